package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

var environmentTests = []test{
	{"have the policy, portal and plans of their first workspace", environmentInherits},
	{"are refused without a first workspace, under a used name, and if there are too many", environmentRefused},
	{"stay within their bound when many are created", environmentRace},
	{"change with what they inherit, and keep what is their own", environmentFollows},
	{"have another name in the family", environmentRenamed},
	{"have the plans of their first workspace until they have their own", environmentPlans},
	{"keep a plan that their keys have", environmentPlanInUse},
	{"publish many plans in several changes", environmentManyPlans},
	{"follow concurrent changes of their first workspace", environmentFollowsRace},
	{"are in the audit", environmentAudit},
}

var bothParts = []string{store.PartPolicy, store.PartPortal}

// environment creates an environment of acme that inherits everything.
func (e env) environment(name string) store.Workspace {
	e.Helper()
	w, err := e.CreateWorkspace(e.ctx, environmentOf("acme", name), NewKey(e))
	e.ok(err)
	return w
}

func environmentOf(first, name string) store.Workspace {
	id := first + "-" + name
	return store.Workspace{
		ID: id, Name: id, Audiences: []string{id}, Environment: name, EnvironmentOf: first, Inherits: bothParts, CreatedAt: now,
	}
}

// acme creates a first workspace with settings, a logo and a plan.
func (e env) acme() store.Workspace {
	e.Helper()
	e.create("acme")
	e.plan("acme", "free", rule(10))
	return e.changed("acme", func(w *store.Workspace) {
		w.Audiences, w.AllowNeverExpires = []string{"a", "b"}, true
		w.Policy = store.Policy{
			Scopes: []store.OfferedScope{{Name: "maps:read", Description: "Look"}}, KeysPerOwner: 5, DefaultAudience: []string{"a"},
			Webhook: "https://hooks.example/",
		}
		w.Portal = store.Portal{
			DisplayName: "Acme", BaseURL: "https://api.example/", Logo: []byte("PNG"), OIDC: &store.OIDC{Issuer: "https://id.example"},
		}
	})
}

func (e env) changed(id string, change func(w *store.Workspace)) store.Workspace {
	e.Helper()
	w, err := e.UpdateWorkspace(e.ctx, id, func(w *store.Workspace) error { change(w); return nil })
	e.ok(err)
	return w
}

func (e env) workspace(id string) store.Workspace {
	e.Helper()
	w, err := e.Workspace(e.ctx, id)
	e.ok(err)
	return w
}

// inherited checks the parts that an environment inherits, and that its own addresses are empty.
func (e env) inherited(w store.Workspace, first store.Workspace) {
	e.Helper()
	policy, portal := first.Policy.Clone(), first.Portal.Clone()
	policy.DefaultAudience, portal.BaseURL = []string{}, ""
	e.equal("policy", w.Policy, policy)
	e.equal("portal", w.Portal, portal)
	e.equal("allow_never_expires", w.AllowNeverExpires, first.AllowNeverExpires)
}

func environmentInherits(e env) {
	first := e.acme()
	_, err := e.CreateLimits(e.ctx, newLimits("acme", jwks.OnTotal, jwks.AnyName, rule(1)))
	e.ok(err)
	w := e.environment("test")
	e.inherited(w, first)
	e.equal("environment", []any{w.Environment, w.EnvironmentOf, w.Inherits}, []any{"test", "acme", bothParts})
	e.equal("audiences", w.Audiences, []string{"acme-test"})
	e.equal("version", w.Version, uint64(3))
	e.equal("read", e.workspace("acme-test"), w)
	e.equal("logo", e.logo("acme-test"), []byte("PNG"))
	e.equal("the first", e.workspace("acme").Policy, first.Policy)
	e.equal("plans", e.sharedOf("acme-test"), map[string]jwks.LimitSet{"plan free": newLimits("", jwks.OnPlan, "free", rule(10)).LimitSet})
	got, err := e.Limits(e.ctx, "acme-test", jwks.OnPlan, "free")
	e.ok(err)
	want := newLimits("acme-test", jwks.OnPlan, "free", rule(10))
	want.Inherited, want.UpdatedAt = true, now
	e.equal("plan", got, want)
	e.consistent("acme-test")

	w, err = e.CreateWorkspace(e.ctx, store.Workspace{
		ID: "own", Environment: "stage", EnvironmentOf: "acme", CreatedAt: now, Policy: store.Policy{KeysPerOwner: 2},
	}, NewKey(e))
	e.ok(err)
	e.equal("its own policy", w.Policy.KeysPerOwner, 2)
	e.equal("its own portal", w.Portal, store.Portal{FrameAncestors: []string{}})
	e.equal("inherits", w.Inherits, []string{})
	list, _, err := e.Workspaces(e.ctx, store.WorkspaceFilter{EnvironmentOf: "acme", Limit: 10})
	e.ok(err)
	e.equal("environments", []string{list[0].ID, list[0].Environment, list[1].ID}, []string{"acme-test", "test", "own"})
	e.equal("how many", len(list), 2)
}

func environmentRefused(e env) {
	e.acme()
	e.environment("test")
	for name, c := range map[string]struct {
		w    store.Workspace
		want error
	}{
		"no first workspace":   {environmentOf("nobody", "test"), store.ErrNoFirst},
		"an environment":       {environmentOf("acme-test", "more"), store.ErrNoFirst},
		"itself":               {store.Workspace{ID: "self", EnvironmentOf: "self", Environment: "test", CreatedAt: now}, store.ErrNoFirst},
		"another's name":       {store.Workspace{ID: "x", EnvironmentOf: "acme", Environment: "test", CreatedAt: now}, store.ErrSameEnvironment},
		"the first one's name": {environmentOf("acme", store.DefaultEnvironment), store.ErrSameEnvironment},
		"an existing id":       {store.Workspace{ID: "acme-test", EnvironmentOf: "acme", Environment: "x", CreatedAt: now}, store.ErrExists},
	} {
		if _, err := e.CreateWorkspace(e.ctx, c.w, NewKey(e)); !errors.Is(err, c.want) {
			e.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	for i := 1; i < store.MaxEnvironments; i++ {
		e.environment(fmt.Sprint("e", i))
	}
	_, err := e.CreateWorkspace(e.ctx, environmentOf("acme", "last"), NewKey(e))
	e.is(err, store.ErrTooMany)
	_, err = e.Workspace(e.ctx, "acme-last")
	e.is(err, store.ErrNotFound)
}

func environmentRace(e env) {
	e.acme()
	var made, full atomic.Int32
	e.parallel(store.MaxEnvironments+4, func(i int) {
		_, err := e.CreateWorkspace(e.ctx, environmentOf("acme", fmt.Sprint("e", i)), NewKey(e))
		switch {
		case err == nil:
			made.Add(1)
		case errors.Is(err, store.ErrTooMany):
			full.Add(1)
		default:
			e.Error(err)
		}
	})
	e.equal("made and refused", []int32{made.Load(), full.Load()}, []int32{store.MaxEnvironments, 4})
}

func environmentFollows(e env) {
	e.acme()
	e.environment("test")
	e.environment("stage")
	e.create("other")
	others := e.workspace("other")
	first := e.changed("acme", func(w *store.Workspace) {
		w.Policy.KeysPerOwner, w.AllowNeverExpires, w.Portal.Accent = 7, false, "#000000"
		w.Portal.Logo, w.UpdatedAt = []byte("second"), now.Add(time.Hour)
	})
	for _, id := range []string{"acme-test", "acme-stage"} {
		w := e.workspace(id)
		e.inherited(w, first)
		e.equal("time of the change", w.UpdatedAt, first.UpdatedAt)
		e.equal("logo", string(e.logo(id)), "second")
	}
	e.equal("another workspace", e.workspace("other"), others)

	own := e.changed("acme-test", func(w *store.Workspace) {
		w.Inherits, w.Policy.KeysPerOwner = []string{store.PartPortal}, 1
		w.Policy.DefaultAudience, w.Portal.BaseURL, w.EnvironmentOf = []string{"acme-test"}, "https://test.example", "other"
	})
	e.equal("tied to", own.EnvironmentOf, "acme")
	first = e.changed("acme", func(w *store.Workspace) {
		w.Policy.KeysPerOwner, w.AllowNeverExpires, w.Portal.DisplayName, w.Portal.LogoHash = 8, true, "New", ""
	})
	w := e.workspace("acme-test")
	e.equal("its own policy", []any{w.Policy.KeysPerOwner, w.AllowNeverExpires}, []any{1, false})
	e.equal("its own addresses", []any{w.Policy.DefaultAudience, w.Portal.BaseURL}, []any{[]string{"acme-test"}, "https://test.example"})
	e.equal("the inherited name", w.Portal.DisplayName, "New")
	_, err := e.Logo(e.ctx, "acme-test")
	e.is(err, store.ErrNotFound)
	e.inherited(e.workspace("acme-stage"), first)

	stage := e.workspace("acme-stage")
	e.changed("acme", func(w *store.Workspace) {
		w.Name, w.Audiences, w.UpdatedAt = "new", []string{"c"}, now.Add(2*time.Hour)
	})
	e.equal("after a change of what is not inherited", e.workspace("acme-stage"), stage)
	w = e.changed("acme-test", func(w *store.Workspace) { w.Inherits, w.Policy.MaxExpiresIn = bothParts, 99 })
	e.equal("inherited again", []any{w.Policy.KeysPerOwner, w.Policy.MaxExpiresIn, w.AllowNeverExpires}, []any{8, int64(0), true})
	e.equal("its own audience", w.Policy.DefaultAudience, []string{"acme-test"})
	for _, id := range []string{"acme", "acme-test", "acme-stage"} {
		e.consistent(id)
	}
}

func environmentRenamed(e env) {
	e.acme()
	e.environment("test")
	rename := func(id, name string, want error) {
		e.Helper()
		_, err := e.UpdateWorkspace(e.ctx, id, func(w *store.Workspace) error { w.Environment = name; return nil })
		if !errors.Is(err, want) {
			e.Fatalf("%s as %s: got %v, want %v", id, name, err, want)
		}
	}
	rename("acme", "test", store.ErrSameEnvironment)
	rename("acme-test", "live", store.ErrSameEnvironment)
	rename("acme", "production", nil)
	rename("acme-test", "live", nil)
	rename("acme", "", store.ErrSameEnvironment)
	rename("acme", "production", nil)
	e.equal("names", []string{e.workspace("acme").EnvironmentName(), e.workspace("acme-test").EnvironmentName()},
		[]string{"production", "live"})
	e.equal("published names", []string{e.feed("acme").settings.Environment, e.feed("acme-test").settings.Environment},
		[]string{"production", "live"})
	e.consistent("acme")
	e.consistent("acme-test")
}

// planOf returns a plan's requests in a minute and whether it is inherited, as "10 true"; empty: no such plan.
func (e env) planOf(workspace, name string) string {
	e.Helper()
	l, err := e.Limits(e.ctx, workspace, jwks.OnPlan, name)
	if errors.Is(err, store.ErrNotFound) {
		return ""
	}
	e.ok(err)
	e.consistent(workspace)
	return fmt.Sprint(l.Limits[0].Requests, " ", l.Inherited)
}

func (e env) setPlan(workspace, name string, requests uint32) {
	e.Helper()
	l, err := e.UpdateLimits(e.ctx, workspace, jwks.OnPlan, name, func(l *store.LimitSet) error {
		l.Limits = []jwks.Limit{rule(requests)}
		return nil
	})
	e.ok(err)
	e.equal("a plan that was changed is inherited", l.Inherited, false)
}

func environmentPlans(e env) {
	e.acme()
	e.environment("test")
	e.environment("stage")
	e.setPlan("acme", "free", 20)
	e.plan("acme", "gold", rule(30))
	e.equal("changed", e.planOf("acme-test", "free"), "20 true")
	e.equal("created", e.planOf("acme-test", "gold"), "30 true")
	_, err := e.CreateLimits(e.ctx, newLimits("acme-test", jwks.OnPlan, "free", rule(1)))
	e.is(err, store.ErrExists)
	e.is(e.DeleteLimits(e.ctx, "acme-test", jwks.OnPlan, "free", now), store.ErrInherited)

	e.setPlan("acme-test", "free", 1)
	e.plan("acme-test", "trial", rule(2))
	e.setPlan("acme", "free", 40)
	e.equal("its own", e.planOf("acme-test", "free"), "1 false")
	e.equal("that of the other", e.planOf("acme-stage", "free"), "40 true")
	e.equal("the other has", e.planOf("acme-stage", "trial"), "")
	e.plan("acme", "trial", rule(3))
	e.equal("one of its own that the first gets, too", e.planOf("acme-test", "trial"), "2 false")
	e.ok(e.DeleteLimits(e.ctx, "acme-test", jwks.OnPlan, "free", now))
	e.equal("inherited again", e.planOf("acme-test", "free"), "40 true")

	e.ok(e.DeleteLimits(e.ctx, "acme", jwks.OnPlan, "free", now))
	e.ok(e.DeleteLimits(e.ctx, "acme", jwks.OnPlan, "trial", now))
	e.equal("deleted", e.planOf("acme-test", "free")+e.planOf("acme-stage", "free")+e.planOf("acme-stage", "trial"), "")
	e.equal("its own", e.planOf("acme-test", "trial"), "2 false")
	e.ok(e.DeleteLimits(e.ctx, "acme-test", jwks.OnPlan, "trial", now))
	e.equal("deleted", e.planOf("acme-test", "trial"), "")
	_, err = e.CreateLimits(e.ctx, newLimits("acme", jwks.OnRoute, "maps", rule(1)))
	e.ok(err)
	e.equal("published sets", len(e.sharedOf("acme-test")), 1)
}

func environmentPlanInUse(e env) {
	e.acme()
	e.environment("test")
	e.environment("stage")
	k := NewRecord("acme-test", "o")
	k.Plan = "free"
	k, _ = e.issue(k)
	e.is(e.DeleteLimits(e.ctx, "acme", jwks.OnPlan, "free", now), store.ErrInUse)
	e.equal("plans", []string{e.planOf("acme", "free"), e.planOf("acme-stage", "free"), e.planOf("acme-test", "free")},
		[]string{"10 false", "10 true", "10 true"})
	e.setPlan("acme-test", "free", 1)
	e.ok(e.DeleteLimits(e.ctx, "acme", jwks.OnPlan, "free", now))
	e.equal("the key's plan", e.planOf("acme-test", "free"), "1 false")
	e.is(e.DeleteLimits(e.ctx, "acme-test", jwks.OnPlan, "free", now), store.ErrInUse)
	e.revoke(k)
	e.ok(e.DeleteLimits(e.ctx, "acme-test", jwks.OnPlan, "free", now))
}

func environmentManyPlans(e env) {
	e.create("acme")
	const plans = 205
	for i := range plans {
		e.plan("acme", fmt.Sprintf("p%03d", i), rule(uint32(i)+1))
	}
	w := e.environment("test")
	e.equal("version", w.Version, uint64(5))
	e.equal("plans", len(e.sharedOf("acme-test")), plans)
	e.consistent("acme-test")
}

func environmentFollowsRace(e env) {
	e.acme()
	e.environment("e0")
	const most = 4
	e.parallel(3*most, func(i int) {
		var err error
		switch i % 3 {
		case 0:
			_, err = e.CreateWorkspace(e.ctx, environmentOf("acme", fmt.Sprint("e", i+1)), NewKey(e))
		case 1:
			_, err = e.UpdateWorkspace(e.ctx, "acme", func(w *store.Workspace) error { w.Policy.KeysPerOwner++; return nil })
		case 2:
			_, err = e.UpdateLimits(e.ctx, "acme", jwks.OnPlan, "free", func(l *store.LimitSet) error {
				l.Limits = []jwks.Limit{rule(l.Limits[0].Requests + 1)}
				return nil
			})
			if err == nil {
				_, err = e.UpdateWorkspace(e.ctx, "acme-e0", func(w *store.Workspace) error { w.Name += "x"; return nil })
			}
		}
		if err != nil {
			e.Error(err)
		}
	})
	first := e.workspace("acme")
	e.equal("the first", []any{first.Policy.KeysPerOwner, e.planOf("acme", "free")}, []any{5 + most, fmt.Sprint(10+most, " false")})
	list, _, err := e.Workspaces(e.ctx, store.WorkspaceFilter{EnvironmentOf: "acme", Limit: 10})
	e.ok(err)
	e.equal("environments", len(list), 1+most)
	for _, w := range list {
		e.inherited(e.workspace(w.ID), first)
		e.equal(w.ID, e.planOf(w.ID, "free"), fmt.Sprint(10+most, " true"))
	}
}

func environmentAudit(e env) {
	e.acme()
	e.environment("test")
	by := store.By(e.ctx, store.Actor{Kind: store.ActorKey, ID: "k"})
	e.first(by)
	actions := []string{}
	for _, entry := range e.audit("acme-test", store.AuditFilter{ActorID: "k"}) {
		actions = append(actions, entry.Action+" "+string(entry.Detail))
	}
	e.equal("entries by the first workspace's changes", actions, []string{
		store.ActionLimitsUpdate + ` {"limits":{"before":[{"name":"burst","requests":10,"seconds":60}],` +
			`"after":[{"name":"burst","requests":11,"seconds":60}]},"name":"free","on":"plan"}`,
		store.ActionWorkspaceUpdate + ` {"policy":{"before":{"keys_per_owner":5},"after":{"keys_per_owner":6}}}`,
	})
}

// first changes acme.
func (e env) first(ctx context.Context) {
	e.Helper()
	_, err := e.UpdateWorkspace(ctx, "acme", func(w *store.Workspace) error {
		w.Policy.KeysPerOwner, w.UpdatedAt = 6, now.Add(time.Second)
		return nil
	})
	e.ok(err)
	_, err = e.UpdateLimits(ctx, "acme", jwks.OnPlan, "free", func(l *store.LimitSet) error {
		l.Limits, l.UpdatedAt = []jwks.Limit{rule(11)}, now.Add(2*time.Second)
		return nil
	})
	e.ok(err)
}
