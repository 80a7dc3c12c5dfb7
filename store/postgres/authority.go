package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/store"
)

const (
	selectCaller = `SELECT FROM keys WHERE workspace = '` + store.Home + `' AND id = $1 AND ` + published + `
		AND (expires_at IS NULL OR expires_at > $2) AND (grace_ends_at IS NULL OR grace_ends_at > $2)`
	// selectMaker finds a key that is not revoked; it may have expired.
	selectMaker = `SELECT FROM keys WHERE workspace = '` + store.Home + `' AND id = $1 AND revoked_at IS NULL
		AND (expired_version IS NOT NULL OR grace_ends_at IS NULL OR grace_ends_at > $2)`
	selectMadeBy = `SELECT made_by FROM sessions WHERE hash = $1 AND expires_at > $2`
	// forShare makes transactions that delete or revoke the row wait for this one, or this one for them.
	forShare = ` FOR SHARE`
	// lockHome is for changes of Home's keys. It locks the workspace before the key that authorizes the
	// change, because changes of that key lock the workspace first: otherwise two of them could deadlock.
	lockHome = `SELECT FROM workspaces WHERE id = '` + store.Home + `' FOR NO KEY UPDATE`
)

// conn is a connection, or a transaction on one.
type conn interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// Standing implements store.Store.
func (s *Store) Standing(ctx context.Context) error {
	if store.AuthorityOf(ctx).Own() {
		return nil
	}
	return wrap(ctx, "check the caller", s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error { return stands(ctx, c, "") }))
}

// standing wraps do, a change of a workspace, in a transaction that checks the authority of ctx. It
// stays valid until the transaction ends.
func standing(ctx context.Context, workspace string, do change) change {
	if store.AuthorityOf(ctx).Own() {
		return do
	}
	return inTx(func(ctx context.Context, t pgx.Tx) error {
		if workspace == store.Home {
			if _, err := t.Exec(ctx, lockHome); err != nil {
				return err
			}
		}
		if err := stands(ctx, t, forShare); err != nil {
			return err
		}
		return do(ctx, t)
	})
}

// stands returns store.ErrNoAuthority if the authority of ctx is not valid.
func stands(ctx context.Context, c conn, lock string) error {
	a := store.AuthorityOf(ctx)
	if a.Own() {
		return nil
	}
	now := a.Time()
	if a.Key != uuid.Nil {
		if err := found(c.QueryRow(ctx, selectCaller+lock, [16]byte(a.Key), now.UnixMicro()).Scan()); err != nil {
			return err
		}
	}
	if a.Session == [32]byte{} {
		return nil
	}
	var madeBy *[16]byte
	if err := found(c.QueryRow(ctx, selectMadeBy+lock, a.Session[:], now.UnixMicro()).Scan(&madeBy)); err != nil {
		return err
	}
	return maker(ctx, c, orZero(madeBy), now, lock)
}

// maker returns store.ErrNoAuthority if the key that made a link is revoked.
func maker(ctx context.Context, c conn, madeBy uuid.UUID, now time.Time, lock string) error {
	if madeBy == uuid.Nil {
		return nil
	}
	return found(c.QueryRow(ctx, selectMaker+lock, [16]byte(madeBy), now.UnixMicro()).Scan())
}

func found(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return store.ErrNoAuthority
	}
	return err
}
