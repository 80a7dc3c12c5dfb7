package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

// A family is locked in this order by all calls, so that they do not deadlock: the first workspace, then its
// environments by id. The environments are read afterwards, since one may have been created during the wait.
const (
	lockFirst        = selectWorkspaces + ` WHERE id = (SELECT coalesce(environment_of, id) FROM workspaces WHERE id = $1)` + forChange
	lockEnvironments = selectWorkspaces + ` WHERE environment_of = $1 ORDER BY id` + forChange
)

// raisings are the workspaces that a transaction has locked, and whether it has raised their versions.
type raisings map[string]*bool

func (r raisings) of(workspace string) *bool {
	if r[workspace] == nil {
		r[workspace] = new(bool)
	}
	return r[workspace]
}

func (r raisings) notify(n *notifier) {
	for workspace, raised := range r {
		if *raised {
			n.notify(workspace)
		}
	}
}

// lockFamily locks a workspace that a query finds, and its environments.
func lockFamily(ctx context.Context, t pgx.Tx, first, id string, raised raisings) (f rows.Family, err error) {
	if f.First, err = scanWorkspace(t.QueryRow(ctx, first, id)); err != nil {
		return f, err
	}
	found, _ := t.Query(ctx, lockEnvironments, f.First.ID) // its error is that of CollectRows
	f.Environments, err = pgx.CollectRows(found, func(row pgx.CollectableRow) (store.Workspace, error) { return scanWorkspace(row) })
	f.Logo = func(workspace string) (logo []byte, err error) {
		err = rows.NotFound(t.QueryRow(ctx, selectLogo, workspace).Scan(&logo))
		return logo, err
	}
	f.Store = func(before store.Workspace, after *store.Workspace, logo []byte, newLogo bool) error {
		args, err := workspaceArgs(store.WorkspaceUpdated(ctx, before, *after), *after)
		if err != nil {
			return err
		}
		if _, err = t.Exec(ctx, updateWorkspace, args...); err == nil && newLogo {
			err = storeLogo(ctx, t, after.ID, logo)
		}
		if err != nil {
			return err
		}
		return asLocked(ctx, t, before, raised.of(before.ID)).Settle(after)
	}
	return f, err
}

func createEnvironment(ctx context.Context, t pgx.Tx, w store.Workspace, tombstone jwks.Key) (store.Workspace, error) {
	f, err := lockFamily(ctx, t, lockWorkspace, w.EnvironmentOf, raisings{})
	if errors.Is(err, store.ErrNotFound) {
		return w, store.ErrNoFirst
	}
	if err != nil {
		return w, err
	}
	var exists bool
	if err := t.QueryRow(ctx, knowsWorkspace, w.ID).Scan(&exists); err != nil {
		return w, err
	}
	if exists {
		return w, store.ErrExists
	}
	if w, err = f.New(w); err != nil {
		return w, err
	}
	if w, err = createWorkspace(ctx, t, w, tombstone); err != nil {
		return w, err
	}
	c := asLocked(ctx, t, rows.Unsettled(w), new(bool))
	if err := c.Settle(&w); err != nil {
		return w, err
	}
	if err := c.InheritPlans(w.EnvironmentOf); err != nil {
		return w, err
	}
	return scanWorkspace(t.QueryRow(ctx, selectWorkspace, w.ID))
}

// lockingFamily is locking, with the environments of the workspace.
func (s *Store) lockingFamily(ctx context.Context, workspace string, do func(context.Context, rows.Locked) error) error {
	begun, raised := false, raisings{}
	err := s.writeUnless(ctx, workspace, &begun, inTx(func(ctx context.Context, t pgx.Tx) error {
		f, err := lockFamily(ctx, t, lockFirst, workspace, raised)
		if err != nil {
			return err
		}
		w, err := f.Member(workspace)
		if err != nil {
			return err
		}
		begun = true
		locked := func(w store.Workspace) rows.Locked { return asLocked(ctx, t, w, raised.of(w.ID)) }
		c := locked(w)
		if w.EnvironmentOf == "" {
			for _, environment := range f.Environments {
				c.Environments = append(c.Environments, locked(environment))
			}
		}
		return do(ctx, c)
	}))
	if err == nil {
		raised.notify(s.notifier)
	}
	return err
}
