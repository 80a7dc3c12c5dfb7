package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	// forShare locks a row against transactions that delete or revoke it: one of the two waits for the other.
	forShare = ` FOR SHARE`
	// lockHome is for changes of Home's keys. It locks the workspace before the key that authorizes the change,
	// because a change of that key also locks the workspace first: in another order, the two changes could
	// deadlock.
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
	a := store.AuthorityOf(ctx)
	if a.Own() {
		return nil
	}
	return wrap(ctx, "check the caller", s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		return dialect.Stands(a, look(ctx, c), "")
	}))
}

// standing wraps do, a change of a workspace, in a transaction that checks the authority of ctx. The authority
// stays valid until the transaction ends.
func standing(ctx context.Context, workspace string, do change) change {
	a := store.AuthorityOf(ctx)
	if a.Own() {
		return do
	}
	return inTx(func(ctx context.Context, t pgx.Tx) error {
		if workspace == store.Home {
			if _, err := t.Exec(ctx, lockHome); err != nil {
				return err
			}
		}
		if err := dialect.Stands(a, look(ctx, t), forShare); err != nil {
			return err
		}
		return do(ctx, t)
	})
}

// look returns a rows.Look on a connection.
func look(ctx context.Context, c conn) rows.Look {
	return func(into any, query string, args ...any) error { return c.QueryRow(ctx, query, args...).Scan(into) }
}
