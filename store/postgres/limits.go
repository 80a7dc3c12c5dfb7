package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

// logUnsigned records a change that leaves the set as it is, after the statement raise.
const logUnsigned = `INSERT INTO changes (workspace, version, added, removed, unsigned)
	SELECT id, version, '', '', $2::text FROM workspaces WHERE id = $1`

// CreateLimits implements store.Store.
func (s *Store) CreateLimits(ctx context.Context, l store.LimitSet) (store.LimitSet, error) {
	l, err := rows.NewLimits(l)
	if err == nil {
		err = s.lockingFamily(ctx, l.Workspace, func(ctx context.Context, c rows.Locked) error { return c.CreateLimits(ctx, l) })
	}
	if err != nil {
		return store.LimitSet{}, wrap(ctx, "create limits", err)
	}
	return l, nil
}

// UpdateLimits implements store.Store. While change runs, the workspace is locked against all other changes.
func (s *Store) UpdateLimits(ctx context.Context, workspace, on, name string,
	change func(*store.LimitSet) error,
) (l store.LimitSet, err error) {
	err = s.lockingFamily(ctx, workspace, func(ctx context.Context, c rows.Locked) (err error) {
		l, err = c.UpdateLimits(ctx, workspace, on, name, change)
		return err
	})
	if err != nil {
		return store.LimitSet{}, wrap(ctx, "update limits", err)
	}
	return l, nil
}

// DeleteLimits implements store.Store.
func (s *Store) DeleteLimits(ctx context.Context, workspace, on, name string, at time.Time) error {
	err := s.lockingFamily(ctx, workspace, func(ctx context.Context, c rows.Locked) error {
		return c.DeleteLimits(ctx, workspace, on, name, at)
	})
	return wrap(ctx, "delete limits", err)
}

// locking runs do in a transaction that has locked a workspace.
func (s *Store) locking(ctx context.Context, workspace string, do func(context.Context, rows.Locked) error) error {
	begun, raised := false, false
	err := s.writeUnless(ctx, workspace, &begun, inTx(func(ctx context.Context, t pgx.Tx) error {
		w, err := scanWorkspace(t.QueryRow(ctx, lockWorkspace, workspace))
		if err != nil {
			return err
		}
		begun = true
		return do(ctx, asLocked(ctx, t, w, &raised))
	}))
	if err == nil && raised {
		s.notifier.notify(workspace)
	}
	return err
}

// asLocked returns a transaction as a rows.Locked.
func asLocked(ctx context.Context, t pgx.Tx, w store.Workspace, raised *bool) rows.Locked {
	exec := func(query string, args ...any) error { _, err := t.Exec(ctx, query, args...); return err }
	next := w.Version + 1
	return rows.Locked{
		Dialect: &dialect, Workspace: w,
		Row: func(into []any, query string, args ...any) error {
			return t.QueryRow(ctx, query, args...).Scan(into...)
		},
		Exec:  exec,
		Query: query(ctx, t),
		Publish: func(u jwks.Unsigned) error {
			*raised = true
			return raising(ctx, t, w.ID, nil, func(r pgx.BatchResults) error { _, err := r.Exec(); return err },
				statement{logUnsigned, []any{w.ID, rows.UnsignedArg(u)}})
		},
		Record: func(e store.Entry) error { return exec(recordEntry, dialect.EntryArgs(e)...) },
		Key: func(id uuid.UUID) (store.Key, error) {
			return scanUsed(w.ID, t.QueryRow(ctx, lockKey, w.ID, [16]byte(id)))
		},
		Update: func(before, after store.Key) error {
			did, err := storeUpdate(ctx, t, next, before, after)
			if did {
				*raised = true
				next++
			}
			return err
		},
	}
}

// Limits implements store.Store.
func (s *Store) Limits(ctx context.Context, workspace, on, name string) (l store.LimitSet, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		l, err = rows.Limits(query(ctx, c), workspace, on, name)
		return err
	})
	return l, wrap(ctx, "read limits", err)
}

// LimitSets implements store.Store.
func (s *Store) LimitSets(ctx context.Context, workspace, on, after string, limit int) (list []store.LimitSet, next string, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		list, next, err = rows.LimitSets(query(ctx, c), workspace, on, after, limit)
		return err
	})
	return list, next, wrap(ctx, "list limits", err)
}
