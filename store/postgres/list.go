package postgres

import (
	"context"
	"iter"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

// query returns a rows.Query on a connection.
func query(ctx context.Context, c conn) rows.Query {
	return func(into []any, query string, args ...any) iter.Seq[error] {
		return func(yield func(error) bool) {
			found, _ := c.Query(ctx, query, args...) // its error is found.Err
			defer found.Close()
			for found.Next() {
				if !yield(found.Scan(into...)) {
					return
				}
			}
			if err := found.Err(); err != nil {
				yield(err)
			}
		}
	}
}

// Keys implements store.Store.
func (s *Store) Keys(ctx context.Context, workspace string, f store.Filter) (list []store.Key, next uuid.UUID, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		list, next, err = dialect.Keys(query(ctx, c), workspace, f)
		return err
	})
	return list, next, wrap(ctx, "list keys", err)
}

// Audit implements store.Store.
func (s *Store) Audit(ctx context.Context, workspace string, f store.AuditFilter) (list []store.Entry, next uuid.UUID, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		list, next, err = dialect.Audit(query(ctx, c), workspace, f)
		return err
	})
	return list, next, wrap(ctx, "read audit", err)
}

// Workspaces implements store.Store.
func (s *Store) Workspaces(ctx context.Context, f store.WorkspaceFilter) (list []store.Workspace, next string, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		list, next, err = dialect.Workspaces(query(ctx, c), f)
		return err
	})
	return list, next, wrap(ctx, "list workspaces", err)
}
