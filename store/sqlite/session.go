package sqlite

import (
	"context"
	"time"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	insertSession = `INSERT INTO sessions (` + rows.SessionColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING`
	selectSession = `SELECT ` + rows.SessionColumns + ` FROM sessions WHERE hash = ? AND expires_at > ?`
	deleteSession = `DELETE FROM sessions WHERE hash = ?`
	endSessions   = `DELETE FROM sessions WHERE workspace = ?1 AND (?2 = '' OR owner = ?2) AND expires_at > ?3`
	pruneSessions = `DELETE FROM sessions WHERE hash IN (SELECT hash FROM sessions WHERE expires_at < ?
		ORDER BY expires_at LIMIT ?)`
	spendLogin  = `INSERT INTO spent_logins (hash, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING`
	pruneLogins = `DELETE FROM spent_logins WHERE hash IN (SELECT hash FROM spent_logins WHERE expires_at < ?
		ORDER BY expires_at LIMIT ?)`
)

// CreateSession implements store.Store.
func (s *Store) CreateSession(ctx context.Context, session store.Session) error {
	session = rows.NewSession(session)
	return wrap(ctx, "create session", s.write(ctx, func(t *tx) error {
		var version uint64
		if err := t.row(selectVersion, session.Workspace).Scan(&version); err != nil {
			return rows.NotFound(err)
		}
		return storeSession(t, session)
	}))
}

func storeSession(t *tx, s store.Session) error {
	if s.ExpiresAt.IsZero() {
		return rows.ErrTime
	}
	var scopes any
	if s.ScopesAllowed != nil {
		text, err := encodeList(s.ScopesAllowed)
		if err != nil {
			return err
		}
		scopes = text
	}
	n, err := t.exec(insertSession, s.Hash[:], s.Kind, s.Workspace, s.Owner, s.Role, s.Subject, scopes, s.ReturnURL,
		s.Embedded, rows.Micros(s.CreatedAt), rows.Micros(s.ExpiresAt), s.Login, dialect.IDOrNull(s.MadeBy))
	switch {
	case err != nil:
		return err
	case n == 0:
		return store.ErrExists
	}
	return record(t, store.SessionBegun(t.ctx, s))
}

// ExchangeSession implements store.Store.
func (s *Store) ExchangeSession(ctx context.Context, link [32]byte, session store.Session, now time.Time) (store.Session, error) {
	session = rows.NewSession(session)
	err := s.write(ctx, func(t *tx) error {
		from, err := scanSession(t.row(selectSession, link[:], now.UnixMicro()))
		if err != nil {
			return err
		}
		if from.Kind != store.KindLink {
			return store.ErrNotFound
		}
		if err := dialect.Maker(from.MadeBy, now, t.look, ""); err != nil {
			return err
		}
		if _, err := t.exec(deleteSession, link[:]); err != nil {
			return err
		}
		session = store.Exchanged(from, session)
		return storeSession(t, session)
	})
	return orZero(session, wrap(ctx, "exchange session", err))
}

// StoredSession implements store.Store.
func (s *Store) StoredSession(ctx context.Context, hash [32]byte) (store.Session, error) {
	return s.Session(ctx, hash, beforeAll)
}

// beforeAll is a time at which no session has expired.
var beforeAll time.Time

// Session implements store.Store.
func (s *Store) Session(ctx context.Context, hash [32]byte, now time.Time) (store.Session, error) {
	session, err := scanSession(s.reads.row(ctx, s.reader, selectSession, hash[:], now.UnixMicro()))
	return session, wrap(ctx, "read session", err)
}

func scanSession(row scanner) (session store.Session, err error) {
	err = row.Scan(dialect.Session(&session)...)
	return orZero(session, rows.NotFound(err))
}

// EndSession implements store.Store.
func (s *Store) EndSession(ctx context.Context, hash [32]byte, at time.Time) error {
	return wrap(ctx, "end session", s.write(ctx, func(t *tx) error {
		session, err := scanSession(t.row(selectSession, hash[:], at.UnixMicro()))
		if err != nil {
			return err
		}
		if _, err := t.exec(deleteSession, hash[:]); err != nil {
			return err
		}
		return record(t, store.SessionEnded(t.ctx, session, at))
	}))
}

// EndSessions implements store.Store.
func (s *Store) EndSessions(ctx context.Context, workspace, owner string, at time.Time) (int, error) {
	var n int64
	err := s.write(ctx, func(t *tx) error {
		var version uint64
		err := t.row(selectVersion, workspace).Scan(&version)
		if err != nil {
			return rows.NotFound(err)
		}
		if n, err = t.exec(endSessions, workspace, owner, at.UnixMicro()); err != nil || n == 0 {
			return err
		}
		return record(t, store.SessionsEnded(t.ctx, workspace, owner, int(n), at))
	})
	if err != nil {
		return 0, wrap(ctx, "end sessions", err)
	}
	return int(n), nil
}

// pruneAtOnce limits the rows that one transaction deletes, because other writers wait for it.
const pruneAtOnce = 1000

// SpendLogin implements store.Store.
func (s *Store) SpendLogin(ctx context.Context, _ string, hash [32]byte, until time.Time) error {
	if until.IsZero() {
		return wrap(ctx, "spend login", rows.ErrTime)
	}
	return wrap(ctx, "spend login", s.write(ctx, func(t *tx) error {
		n, err := t.exec(spendLogin, hash[:], until.UnixMicro())
		if err == nil && n == 0 {
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
		err := s.write(ctx, func(t *tx) (err error) {
			n, err = t.exec(some, before.UnixMicro(), pruneAtOnce)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
