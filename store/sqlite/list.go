package sqlite

import (
	"context"
	"database/sql"
	"iter"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

// query returns a rows.Query on a reading connection.
func (s *Store) query(ctx context.Context) rows.Query {
	return func(into []any, query string, args ...any) iter.Seq[error] {
		return func(yield func(error) bool) {
			each(s.reads.rows(ctx, s.reader, query, args...))(into)(yield)
		}
	}
}

// each returns a function that scans each row into the destinations and yields nil. An error is the last value.
func each(found *sql.Rows, err error) func(into []any) iter.Seq[error] {
	return func(into []any) iter.Seq[error] {
		return func(yield func(error) bool) {
			if err != nil {
				yield(err)
				return
			}
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
func (s *Store) Keys(ctx context.Context, workspace string, f store.Filter) ([]store.Key, uuid.UUID, error) {
	list, next, err := dialect.Keys(s.query(ctx), workspace, f)
	return list, next, wrap(ctx, "list keys", err)
}

// Audit implements store.Store.
func (s *Store) Audit(ctx context.Context, workspace string, f store.AuditFilter) ([]store.Entry, uuid.UUID, error) {
	list, next, err := dialect.Audit(s.query(ctx), workspace, f)
	return list, next, wrap(ctx, "read audit", err)
}

// Workspaces implements store.Store.
func (s *Store) Workspaces(ctx context.Context, f store.WorkspaceFilter) ([]store.Workspace, string, error) {
	list, next, err := dialect.Workspaces(s.query(ctx), f)
	return list, next, wrap(ctx, "list workspaces", err)
}
