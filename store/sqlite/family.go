package sqlite

import (
	"cmp"
	"context"
	"errors"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

func createEnvironment(t *tx, w store.Workspace, tombstone jwks.Key) (store.Workspace, error) {
	f, err := t.family(selectWorkspace, w.EnvironmentOf)
	if errors.Is(err, store.ErrNotFound) {
		return w, store.ErrNoFirst
	}
	if err != nil {
		return w, err
	}
	if _, err := scanWorkspace(t.row(selectWorkspace, w.ID)); !errors.Is(err, store.ErrNotFound) {
		return w, cmp.Or(err, store.ErrExists)
	}
	if w, err = f.New(w); err != nil {
		return w, err
	}
	if w, err = createWorkspace(t, w, tombstone); err != nil {
		return w, err
	}
	if err := t.locked(w).InheritPlans(w.EnvironmentOf); err != nil {
		return w, err
	}
	return scanWorkspace(t.row(selectWorkspace, w.ID))
}

// family reads a workspace that a query finds, and its environments.
func (t *tx) family(query, id string) (f rows.Family, err error) {
	if f.First, err = scanWorkspace(t.row(query, id)); err != nil {
		return f, err
	}
	var w store.Workspace
	for err := range t.query(dialect.Workspace(&w), selectEnvironments, f.First.ID) {
		if err != nil {
			return f, err
		}
		f.Environments = append(f.Environments, w)
		w = store.Workspace{}
	}
	f.Logo = func(workspace string) (logo []byte, err error) {
		err = rows.NotFound(t.row(selectLogo, workspace).Scan(&logo))
		return logo, err
	}
	f.Store = func(before store.Workspace, after *store.Workspace, logo []byte, newLogo bool) error {
		if err := storeWorkspace(t, *after); err != nil {
			return err
		}
		if newLogo {
			if err := storeLogo(t, after.ID, logo); err != nil {
				return err
			}
		}
		if err := t.locked(before).Settle(after); err != nil {
			return err
		}
		return record(t, store.WorkspaceUpdated(t.ctx, before, *after))
	}
	return f, nil
}

// lockingFamily is locking, with the environments of the workspace.
func (s *Store) lockingFamily(ctx context.Context, workspace string, do func(rows.Locked) error) error {
	return s.write(ctx, func(t *tx) error {
		f, err := t.family(selectFirst, workspace)
		if err != nil {
			return err
		}
		w, err := f.Member(workspace)
		if err != nil {
			return err
		}
		c := t.locked(w)
		if w.EnvironmentOf == "" {
			for _, environment := range f.Environments {
				c.Environments = append(c.Environments, t.locked(environment))
			}
		}
		return do(c)
	})
}
