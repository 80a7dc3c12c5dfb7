package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	// sessionRow are the placeholders of sessionArgs.
	sessionRow    = `$12, $13, $1, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23`
	insertSession = `WITH stored AS (
			INSERT INTO sessions (` + rows.SessionColumns + `) SELECT ` + sessionRow + ` FROM workspaces WHERE id = $1
			ON CONFLICT DO NOTHING RETURNING hash
		), audited AS (
			` + recordEntry + ` FROM stored
		)
		SELECT EXISTS (SELECT FROM workspaces WHERE id = $1), EXISTS (SELECT FROM stored)`
	// exchangeSession finds no link if it had to wait for another exchange that deleted the link.
	exchangeSession = `WITH spent AS (
			DELETE FROM sessions WHERE hash = $24 RETURNING hash
		), stored AS (
			INSERT INTO sessions (` + rows.SessionColumns + `) SELECT ` + sessionRow + ` FROM spent
		), audited AS (
			` + recordEntry + ` FROM spent
		)
		SELECT EXISTS (SELECT FROM spent)`
	selectSession = `SELECT ` + rows.SessionColumns + ` FROM sessions WHERE hash = $1 AND expires_at > $2`
)

// sessionGate returns the gate of a workspace's sessions. Changes of sessions and of keys do not wait for one
// another.
func sessionGate(workspace string) string { return "session " + workspace }

// CreateSession implements store.Store.
func (s *Store) CreateSession(ctx context.Context, session store.Session) error {
	if session.ExpiresAt.IsZero() {
		return wrap(ctx, "create session", rows.ErrTime)
	}
	session = rows.NewSession(session)
	args := sessionArgs(store.SessionBegun(ctx, session), session)
	return wrap(ctx, "create session", s.write(ctx, sessionGate(session.Workspace), func(ctx context.Context, c conn) error {
		var known, stored bool
		err := c.QueryRow(ctx, insertSession, args...).Scan(&known, &stored)
		switch {
		case err != nil:
			return err
		case !known:
			return store.ErrNotFound
		case !stored:
			return store.ErrExists
		}
		return nil
	}))
}

// sessionArgs returns the arguments of a statement that stores a session. Arguments for the session begin at
// $12.
func sessionArgs(e store.Entry, s store.Session) []any {
	return append(dialect.EntryArgs(e), s.Hash[:], s.Kind, s.Owner, s.Role, s.Subject, s.ScopesAllowed, s.ReturnURL, s.Embedded,
		rows.Micros(s.CreatedAt), rows.Micros(s.ExpiresAt), s.Login, dialect.IDOrNull(s.MadeBy))
}

// ExchangeSession implements store.Store.
func (s *Store) ExchangeSession(ctx context.Context, link [32]byte, session store.Session, now time.Time) (store.Session, error) {
	session, err := s.exchangeSession(ctx, link, session, now)
	if err != nil {
		return store.Session{}, wrap(ctx, "exchange session", err)
	}
	return session, nil
}

func (s *Store) exchangeSession(ctx context.Context, link [32]byte, session store.Session, now time.Time) (store.Session, error) {
	if session.ExpiresAt.IsZero() {
		return session, rows.ErrTime
	}
	from, err := s.session(ctx, link, now)
	switch {
	case err != nil:
		return session, err
	case from.Kind != store.KindLink:
		return session, store.ErrNotFound
	}
	session = store.Exchanged(from, rows.NewSession(session))
	args := append(sessionArgs(store.SessionBegun(ctx, session), session), link[:])
	return session, s.write(ctx, sessionGate(session.Workspace), inTx(func(ctx context.Context, c pgx.Tx) error {
		var spent bool
		if err := dialect.Maker(session.MadeBy, now, look(ctx, c), forShare); err != nil {
			return err
		}
		err := c.QueryRow(ctx, exchangeSession, args...).Scan(&spent)
		switch {
		case isCode(err, uniqueViolation):
			return store.ErrExists
		case err == nil && !spent:
			return store.ErrNotFound
		}
		return err
	}))
}

// StoredSession implements store.Store.
func (s *Store) StoredSession(ctx context.Context, hash [32]byte) (store.Session, error) {
	return s.Session(ctx, hash, beforeAll)
}

// beforeAll is a time at which no session has expired.
var beforeAll time.Time

// Session implements store.Store.
func (s *Store) Session(ctx context.Context, hash [32]byte, now time.Time) (store.Session, error) {
	session, err := s.session(ctx, hash, now)
	return session, wrap(ctx, "read session", err)
}

func (s *Store) session(ctx context.Context, hash [32]byte, now time.Time) (session store.Session, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		session, err = scanSession(c.QueryRow(ctx, selectSession, hash[:], now.UnixMicro()))
		return err
	})
	return session, err
}

// scanSession reads a row of rows.SessionColumns.
func scanSession(row pgx.Row) (store.Session, error) {
	var s store.Session
	if err := row.Scan(dialect.Session(&s)...); err != nil {
		return store.Session{}, rows.NotFound(err)
	}
	return s, nil
}
