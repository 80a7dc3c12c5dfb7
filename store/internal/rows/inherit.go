package rows

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

const (
	// copyPlans copies the plans of a workspace to a new environment.
	copyPlans = `INSERT INTO limit_sets (` + limitColumns + `)
		SELECT CAST($1 AS text), subject, name, limits, description, signed, created_at, updated_at, TRUE FROM limit_sets
		WHERE workspace = $2 AND subject = '` + jwks.OnPlan + `'`
	// plansAtOnce is how many plans one version publishes, so that no change is long.
	plansAtOnce = 100
)

// Family is a transaction that has locked a workspace and its environments.
type Family struct {
	First        store.Workspace
	Environments []store.Workspace
	Logo         func(workspace string) ([]byte, error)
	// Store stores a changed workspace with its audit entry, and its logo if newLogo is true. It publishes its settings.
	Store func(before store.Workspace, after *store.Workspace, logo []byte, newLogo bool) error
}

// distinct checks the name of a workspace in its family.
func (f Family) distinct(w store.Workspace) error {
	for _, other := range append([]store.Workspace{f.First}, f.Environments...) {
		if other.ID != w.ID && other.EnvironmentName() == w.EnvironmentName() {
			return store.ErrSameEnvironment
		}
	}
	return nil
}

// New returns a new environment with the parts that it inherits.
func (f Family) New(w store.Workspace) (store.Workspace, error) {
	switch {
	case f.First.EnvironmentOf != "":
		return w, store.ErrNoFirst
	case len(f.Environments) >= store.MaxEnvironments:
		return w, store.ErrTooMany
	}
	if err := f.distinct(w); err != nil {
		return w, err
	}
	return w, f.inherit(&w, f.First, "")
}

// inherit replaces the parts that an environment inherits, which has the logo with a hash.
func (f Family) inherit(w *store.Workspace, first store.Workspace, logo string) (err error) {
	*w = w.Inherit(&first)
	if hash := w.Portal.LogoHash; w.InheritsPart(store.PartPortal) && hash != "" && hash != logo {
		w.Portal.Logo, err = f.Logo(first.ID)
	}
	return err
}

// Member returns a workspace of the family. Errors: store.ErrNotFound.
func (f Family) Member(id string) (store.Workspace, error) {
	for _, w := range append([]store.Workspace{f.First}, f.Environments...) {
		if w.ID == id {
			return w, nil
		}
	}
	return store.Workspace{}, store.ErrNotFound
}

// Update implements store.Store.UpdateWorkspace.
func (f Family) Update(id string, change func(*store.Workspace) error) (store.Workspace, error) {
	old, err := f.Member(id)
	if err != nil {
		return old, err
	}
	if own := change; id != f.First.ID {
		change = func(w *store.Workspace) error {
			if err := own(w); err != nil {
				return err
			}
			return f.inherit(w, f.First, old.Portal.LogoHash)
		}
	}
	w, logo, newLogo, err := ChangedWorkspace(old, change)
	if err != nil {
		return w, err
	}
	if err := f.distinct(w); err != nil {
		return w, err
	}
	if err := f.Store(old, &w, logo, newLogo); err != nil {
		return w, err
	}
	if id != f.First.ID {
		return w, nil
	}
	return w, f.pass(w)
}

// pass changes the environments that inherit parts of a changed first workspace.
func (f Family) pass(first store.Workspace) error {
	for _, old := range f.Environments {
		w, logo, newLogo, err := ChangedWorkspace(old, func(w *store.Workspace) error {
			return f.inherit(w, first, old.Portal.LogoHash)
		})
		if err != nil {
			return err
		}
		if reflect.DeepEqual(w, old) {
			continue
		}
		w.UpdatedAt = first.UpdatedAt
		if err := f.Store(old, &w, logo, newLogo); err != nil {
			return err
		}
	}
	return nil
}

// InheritPlans copies the plans of the first workspace to a new environment, and publishes them.
func (c Locked) InheritPlans(first string) error {
	if err := c.Exec(copyPlans, c.Workspace.ID, first); err != nil {
		return err
	}
	var sets []jwks.LimitSet
	var set jwks.LimitSet
	for err := range c.Query(Shared(&set), SelectShared, c.Workspace.ID) {
		if err != nil {
			return err
		}
		sets = append(sets, set)
		set = jwks.LimitSet{}
	}
	for some := range slices.Chunk(sets, plansAtOnce) {
		if err := c.Publish(jwks.Unsigned{Limits: some}); err != nil {
			return err
		}
	}
	return nil
}

// pass stores a created or changed plan in the environments of the workspace, except in those with a plan of their own.
func (c Locked) pass(ctx context.Context, l store.LimitSet) error {
	if l.On != jwks.OnPlan {
		return nil
	}
	for _, environment := range c.Environments {
		if err := environment.take(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// take stores a copy of the first workspace's plan.
func (c Locked) take(ctx context.Context, l store.LimitSet) error {
	l.Workspace, l.Inherited = c.Workspace.ID, true
	before, err := c.limits(l.Workspace, l.On, l.Name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return c.insert(ctx, l)
	case err != nil || !before.Inherited:
		return err
	}
	return c.replace(ctx, before, l)
}

// inheritAgain replaces an environment's own plan by a copy of the first workspace's. It reports whether there is one.
func (c Locked) inheritAgain(ctx context.Context, own store.LimitSet, at time.Time) (bool, error) {
	if own.On != jwks.OnPlan || c.Workspace.EnvironmentOf == "" {
		return false, nil
	}
	l, err := c.limits(c.Workspace.EnvironmentOf, own.On, own.Name)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	l.Workspace, l.Inherited, l.CreatedAt, l.UpdatedAt = own.Workspace, true, own.CreatedAt, Cut(at)
	return true, c.replace(ctx, own, l)
}

// dropCopies deletes the copies of a deleted plan in the environments of the workspace.
func (c Locked) dropCopies(ctx context.Context, l store.LimitSet, at time.Time) error {
	if l.On != jwks.OnPlan {
		return nil
	}
	for _, environment := range c.Environments {
		held, err := environment.limits(environment.Workspace.ID, l.On, l.Name)
		if err == nil && held.Inherited {
			err = environment.drop(ctx, held, at)
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}
