package sqlite

import (
	"context"
	"time"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	selectHome = `SELECT coalesce(home, '') FROM installation`
	updateHome = `UPDATE installation SET home = ?`
	clearLog   = `DELETE FROM changes WHERE workspace = ?`
)

// Settle implements store.Store. The file's inode identifies it: a copy has another, while a renamed file keeps it.
func (s *Store) Settle(ctx context.Context, moved bool) error {
	here, err := inode(s.file)
	if err != nil || here == "" {
		return wrap(ctx, "settle", err)
	}
	return wrap(ctx, "settle", s.write(ctx, func(t *tx) error {
		var home string
		if err := t.row(selectHome).Scan(&home); err != nil || home == here {
			return err
		}
		if home != "" && !moved {
			return store.ErrMoved
		}
		_, err := t.exec(updateHome, here)
		return err
	}))
}

// Leap implements store.Store.
func (s *Store) Leap(ctx context.Context, workspace string, at time.Time) (version uint64, err error) {
	err = s.write(ctx, func(t *tx) error {
		next, err := raiseVersion(t, workspace)
		if err != nil {
			return err
		}
		if _, err := t.exec(clearLog, workspace); err != nil {
			return err
		}
		version = store.Leapt(next-1, at)
		if err := logChange(t, workspace, jwks.Change{Version: version}); err != nil {
			return err
		}
		return record(t, store.WorkspaceRestored(t.ctx, workspace, next-1, version, rows.Cut(at)))
	})
	return orZero(version, wrap(ctx, "leap", err))
}
