package sqlite

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

// CreateLimits implements store.Store.
func (s *Store) CreateLimits(ctx context.Context, l store.LimitSet) (store.LimitSet, error) {
	l, err := rows.NewLimits(l)
	if err == nil {
		err = s.lockingFamily(ctx, l.Workspace, func(c rows.Locked) error { return c.CreateLimits(ctx, l) })
	}
	return orZero(l, wrap(ctx, "create limits", err))
}

// UpdateLimits implements store.Store.
func (s *Store) UpdateLimits(ctx context.Context, workspace, on, name string,
	change func(*store.LimitSet) error,
) (l store.LimitSet, err error) {
	err = s.lockingFamily(ctx, workspace, func(c rows.Locked) (err error) {
		l, err = c.UpdateLimits(ctx, workspace, on, name, change)
		return err
	})
	return orZero(l, wrap(ctx, "update limits", err))
}

// DeleteLimits implements store.Store.
func (s *Store) DeleteLimits(ctx context.Context, workspace, on, name string, at time.Time) error {
	err := s.lockingFamily(ctx, workspace, func(c rows.Locked) error { return c.DeleteLimits(ctx, workspace, on, name, at) })
	return wrap(ctx, "delete limits", err)
}

// locking runs do in a transaction that has locked a workspace.
func (s *Store) locking(ctx context.Context, workspace string, do func(rows.Locked) error) error {
	return s.write(ctx, func(t *tx) error {
		w, err := scanWorkspace(t.row(selectWorkspace, workspace))
		if err != nil {
			return err
		}
		return do(t.locked(w))
	})
}

// locked returns the transaction as a rows.Locked.
func (t *tx) locked(w store.Workspace) rows.Locked {
	return rows.Locked{
		Dialect: &dialect, Workspace: w,
		Row:   func(into []any, query string, args ...any) error { return t.row(query, args...).Scan(into...) },
		Exec:  func(query string, args ...any) error { _, err := t.exec(query, args...); return err },
		Query: t.query,
		Publish: func(u jwks.Unsigned) error {
			version, err := raiseVersion(t, w.ID)
			if err != nil {
				return err
			}
			return logChange(t, w.ID, jwks.Change{Version: version, Unsigned: u})
		},
		Record: func(e store.Entry) error { return record(t, e) },
		Key:    func(id uuid.UUID) (store.Key, error) { return readKey(t, w.ID, id) },
		Update: func(before, after store.Key) error { return updateRecord(t, before, after) },
	}
}

// Limits implements store.Store.
func (s *Store) Limits(ctx context.Context, workspace, on, name string) (store.LimitSet, error) {
	l, err := rows.Limits(s.query(ctx), workspace, on, name)
	return l, wrap(ctx, "read limits", err)
}

// LimitSets implements store.Store.
func (s *Store) LimitSets(ctx context.Context, workspace, on, after string, limit int) ([]store.LimitSet, string, error) {
	list, next, err := rows.LimitSets(s.query(ctx), workspace, on, after, limit)
	return list, next, wrap(ctx, "list limits", err)
}
