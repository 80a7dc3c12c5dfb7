package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

const (
	selectCaller = `SELECT 1 FROM keys WHERE workspace = '` + store.Home + `' AND id = ?1 AND revoked_at IS NULL AND expired_version IS NULL
		AND (expires_at IS NULL OR expires_at > ?2) AND (grace_ends_at IS NULL OR grace_ends_at > ?2)`
	// selectMaker finds a key that is not revoked; it may have expired.
	selectMaker = `SELECT 1 FROM keys WHERE workspace = '` + store.Home + `' AND id = ?1 AND revoked_at IS NULL
		AND (expired_version IS NOT NULL OR grace_ends_at IS NULL OR grace_ends_at > ?2)`
	selectMadeBy = `SELECT made_by FROM sessions WHERE hash = ? AND expires_at > ?`
)

// looker runs a query that returns one row.
type looker func(query string, args ...any) *sql.Row

// Standing implements store.Store.
func (s *Store) Standing(ctx context.Context) error {
	return wrap(ctx, "check the caller", stands(ctx, func(query string, args ...any) *sql.Row {
		return s.reads.row(ctx, s.reader, query, args...)
	}))
}

// stands returns store.ErrNoAuthority if the authority of ctx is not valid.
func stands(ctx context.Context, look looker) error {
	a := store.AuthorityOf(ctx)
	if a.Own() {
		return nil
	}
	now := a.Time()
	if a.Key != uuid.Nil {
		if err := found(look(selectCaller, a.Key[:], now.UnixMicro())); err != nil {
			return err
		}
	}
	if a.Session == [32]byte{} {
		return nil
	}
	var madeBy []byte
	err := look(selectMadeBy, a.Session[:], now.UnixMicro()).Scan(&madeBy)
	if errors.Is(err, sql.ErrNoRows) {
		err = store.ErrNoAuthority
	}
	if err != nil {
		return err
	}
	return maker(look, madeBy, now)
}

// maker returns store.ErrNoAuthority if the key that made a link is revoked.
func maker(look looker, madeBy []byte, now time.Time) error {
	if madeBy == nil {
		return nil
	}
	return found(look(selectMaker, madeBy, now.UnixMicro()))
}

func found(row *sql.Row) error {
	var one int
	err := row.Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNoAuthority
	}
	return err
}
