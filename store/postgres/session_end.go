package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	endSession = `WITH ended AS (
			DELETE FROM sessions WHERE hash = $12 RETURNING hash
		)
		` + recordEntry + ` FROM ended`
	// endSessions locks rows in order, so that two calls do not deadlock.
	endSessions = `DELETE FROM sessions WHERE hash IN (SELECT hash FROM sessions WHERE workspace = $1
		AND ($2 = '' OR owner = $2) AND expires_at > $3 ORDER BY hash FOR UPDATE)`
	knowsWorkspace = `SELECT EXISTS (SELECT FROM workspaces WHERE id = $1)`
	// SKIP LOCKED, because several servers can prune at the same time.
	pruneSessions = `DELETE FROM sessions WHERE hash IN (SELECT hash FROM sessions WHERE expires_at < $1
		ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)`
	spendLogin  = `INSERT INTO spent_logins (hash, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING`
	pruneLogins = `DELETE FROM spent_logins WHERE hash IN (SELECT hash FROM spent_logins WHERE expires_at < $1
		ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)`
	// pruneAtOnce bounds the size of one transaction.
	pruneAtOnce = 1000
)

// EndSession implements store.Store.
func (s *Store) EndSession(ctx context.Context, hash [32]byte, at time.Time) error {
	return wrap(ctx, "end session", s.endSession(ctx, hash, at))
}

func (s *Store) endSession(ctx context.Context, hash [32]byte, at time.Time) error {
	session, err := s.session(ctx, hash, at)
	if err != nil {
		return err
	}
	args := append(dialect.EntryArgs(store.SessionEnded(ctx, session, at)), hash[:])
	return s.write(ctx, sessionGate(session.Workspace), func(ctx context.Context, c conn) error {
		tag, err := c.Exec(ctx, endSession, args...)
		if err == nil && tag.RowsAffected() == 0 {
			err = store.ErrNotFound
		}
		return err
	})
}

// EndSessions implements store.Store.
func (s *Store) EndSessions(ctx context.Context, workspace, owner string, at time.Time) (int, error) {
	var ended int64
	err := s.write(ctx, sessionGate(workspace), inTx(func(ctx context.Context, t pgx.Tx) error {
		var known bool
		if err := t.QueryRow(ctx, knowsWorkspace, workspace).Scan(&known); err != nil {
			return err
		}
		if !known {
			return store.ErrNotFound
		}
		ended = 0
		// If a link is being exchanged for a session, the first statement waits for the exchange, and the
		// second, with a later snapshot, deletes the new session.
		for range 2 {
			tag, err := t.Exec(ctx, endSessions, workspace, owner, at.UnixMicro())
			if err != nil {
				return err
			}
			ended += tag.RowsAffected()
		}
		if ended == 0 {
			return nil
		}
		_, err := t.Exec(ctx, recordEntry, dialect.EntryArgs(store.SessionsEnded(ctx, workspace, owner, int(ended), at))...)
		return err
	}))
	if err != nil {
		return 0, wrap(ctx, "end sessions", err)
	}
	return int(ended), nil
}

// SpendLogin implements store.Store.
func (s *Store) SpendLogin(ctx context.Context, workspace string, hash [32]byte, until time.Time) error {
	if until.IsZero() {
		return wrap(ctx, "spend login", rows.ErrTime)
	}
	return wrap(ctx, "spend login", s.write(ctx, sessionGate(workspace), func(ctx context.Context, c conn) error {
		tag, err := c.Exec(ctx, spendLogin, hash[:], until.UnixMicro())
		if err == nil && tag.RowsAffected() == 0 {
			err = store.ErrExists
		}
		return err
	}))
}

// PruneSessions implements store.Store.
func (s *Store) PruneSessions(ctx context.Context, before time.Time) error {
	for _, prune := range []string{pruneSessions, pruneLogins} {
		if err := s.prune(ctx, prune, before); err != nil {
			return wrap(ctx, "prune sessions", err)
		}
	}
	return nil
}

func (s *Store) prune(ctx context.Context, some string, before time.Time) error {
	for n := int64(pruneAtOnce); n == pruneAtOnce; {
		err := s.write(ctx, sessionGate(""), func(ctx context.Context, c conn) error {
			tag, err := c.Exec(ctx, some, before.UnixMicro(), pruneAtOnce)
			n = tag.RowsAffected()
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
