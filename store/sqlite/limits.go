package sqlite

import (
	"context"
	"time"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

// CreateLimits implements store.Store.
func (s *Store) CreateLimits(ctx context.Context, l store.LimitSet) (store.LimitSet, error) {
	l, err := rows.NewLimits(l)
	if err == nil {
		err = s.changeLimits(ctx, l.Workspace, func(c rows.Locked) error { return c.CreateLimits(ctx, l) })
	}
	return orZero(l, wrap(ctx, "create limits", err))
}

// UpdateLimits implements store.Store.
func (s *Store) UpdateLimits(ctx context.Context, workspace, on, name string,
	change func(*store.LimitSet) error,
) (l store.LimitSet, err error) {
	err = s.changeLimits(ctx, workspace, func(c rows.Locked) (err error) {
		l, err = c.UpdateLimits(ctx, workspace, on, name, change)
		return err
	})
	return orZero(l, wrap(ctx, "update limits", err))
}

// DeleteLimits implements store.Store.
func (s *Store) DeleteLimits(ctx context.Context, workspace, on, name string, at time.Time) error {
	err := s.changeLimits(ctx, workspace, func(c rows.Locked) error { return c.DeleteLimits(ctx, workspace, on, name, at) })
	return wrap(ctx, "delete limits", err)
}

func (s *Store) changeLimits(ctx context.Context, workspace string, do func(rows.Locked) error) error {
	return s.write(ctx, func(t *tx) error {
		var version uint64
		if err := t.row(selectVersion, workspace).Scan(&version); err != nil {
			return rows.NotFound(err)
		}
		return do(t.locked(workspace))
	})
}

// locked returns the transaction as a rows.Locked.
func (t *tx) locked(workspace string) rows.Locked {
	return rows.Locked{
		Row:  func(into []any, query string, args ...any) error { return t.row(query, args...).Scan(into...) },
		Exec: func(query string, args ...any) error { _, err := t.exec(query, args...); return err },
		Publish: func(u jwks.Unsigned) error {
			version, err := raiseVersion(t, workspace)
			if err != nil {
				return err
			}
			return logChange(t, workspace, jwks.Change{Version: version, Unsigned: u})
		},
		Record: func(e store.Entry) error { return record(t, e) },
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
