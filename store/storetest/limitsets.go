package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

var limitSetTests = []test{
	{"are stored and published with the next version", limitsCreate},
	{"change, and a text alone publishes nothing", limitsUpdate},
	{"go, unless a key has the plan", limitsDelete},
	{"are bounded on each subject", limitsBounds},
	{"are refused if gateways could not read them", limitsInvalid},
	{"come in pages", limitsPages},
	{"are in the audit", limitsAudit},
	{"of a plan cannot go while a key gets it", limitsRace},
}

// rule returns a rule of some requests a minute.
func rule(requests uint32) jwks.Limit {
	return jwks.Limit{Name: "burst", Requests: requests, Seconds: 60}
}

func newLimits(workspace, on, name string, limits ...jwks.Limit) store.LimitSet {
	return store.LimitSet{
		Workspace: workspace, LimitSet: jwks.LimitSet{On: on, Name: name, Limits: append([]jwks.Limit{}, limits...)},
		Description: "für alle", Signed: "burst", CreatedAt: now,
	}
}

// plan creates a plan and returns it.
func (e env) plan(workspace, name string, limits ...jwks.Limit) store.LimitSet {
	e.Helper()
	l, err := e.CreateLimits(e.ctx, newLimits(workspace, jwks.OnPlan, name, limits...))
	e.ok(err)
	return l
}

// sharedOf returns the published sets of limits by subject and name.
func (e env) sharedOf(workspace string) map[string]jwks.LimitSet {
	e.Helper()
	return e.feed(workspace).shared
}

func limitsCreate(e env) {
	e.create("acme")
	e.create("other")
	want := newLimits("acme", jwks.OnPlan, "free", rule(10), jwks.Limit{Name: "monthly", Requests: 1000, Calendar: jwks.Month})
	got, err := e.CreateLimits(e.ctx, want)
	e.ok(err)
	want.UpdatedAt = now
	e.equal("created", got, want)
	read, err := e.Limits(e.ctx, "acme", jwks.OnPlan, "free")
	e.ok(err)
	e.equal("read", read, want)
	e.equal("published", e.sharedOf("acme"), map[string]jwks.LimitSet{"plan free": want.LimitSet})
	changes := e.changesOf("acme")
	e.equal("the change", changes[1:], []jwks.Change{{
		Version: 2, Add: []jwks.Key{}, Remove: []jwks.KID{}, Unsigned: jwks.Unsigned{Limits: []jwks.LimitSet{want.LimitSet}},
	}})
	_, err = e.CreateLimits(e.ctx, want)
	e.is(err, store.ErrExists)
	want.Workspace = "nobody"
	_, err = e.CreateLimits(e.ctx, want)
	e.is(err, store.ErrNotFound)
	for _, l := range []store.LimitSet{
		newLimits("acme", jwks.OnOwner, "free", rule(1)), newLimits("acme", jwks.OnOwner, jwks.AnyName, rule(2)),
		newLimits("acme", jwks.OnRoute, "free", rule(3)), newLimits("acme", jwks.OnAddress, jwks.AnyName, rule(4)),
		newLimits("acme", jwks.OnTotal, jwks.AnyName, rule(5)), newLimits("other", jwks.OnPlan, "free", rule(6)),
	} {
		_, err := e.CreateLimits(e.ctx, l)
		e.ok(err)
	}
	e.equal("published sets", len(e.sharedOf("acme")), 6)
	e.equal("those of the other", len(e.sharedOf("other")), 1)
	e.consistent("acme")
	e.consistent("other")
}

func limitsUpdate(e env) {
	e.create("acme")
	want := e.plan("acme", "free", rule(10))
	change := func(change func(l *store.LimitSet) error) (store.LimitSet, error) {
		return e.UpdateLimits(e.ctx, "acme", jwks.OnPlan, "free", change)
	}
	want.Description, want.Signed, want.UpdatedAt = "new", "", now.Add(time.Hour)
	got, err := change(func(l *store.LimitSet) error {
		*l = store.LimitSet{
			Workspace: "x", Description: want.Description, UpdatedAt: want.UpdatedAt,
			LimitSet: jwks.LimitSet{On: "x", Name: "x", Limits: want.Limits},
		}
		return nil
	})
	e.ok(err)
	e.equal("updated", got, want)
	_, version := e.published("acme")
	e.equal("version", version, uint64(2))
	want.Limits = []jwks.Limit{rule(20)}
	got, err = change(func(l *store.LimitSet) error { l.Limits[0].Requests = 20; return nil })
	e.ok(err)
	e.equal("updated", got, want)
	e.equal("published", e.sharedOf("acme")["plan free"], want.LimitSet)
	_, version = e.published("acme")
	e.equal("version", version, uint64(3))
	refusal := errors.New("refused")
	_, err = change(func(l *store.LimitSet) error { l.Limits[0].Requests = 30; return refusal })
	e.is(err, refusal)
	read, err := e.Limits(e.ctx, "acme", jwks.OnPlan, "free")
	e.ok(err)
	e.equal("read", read, want)
	// Without rules, it is no longer published, and with rules it returns.
	for _, limits := range [][]jwks.Limit{nil, {rule(1)}} {
		got, err = change(func(l *store.LimitSet) error { l.Limits = limits; return nil })
		e.ok(err)
		e.equal("rules", len(got.Limits), len(limits))
		e.equal("published", len(e.sharedOf("acme")), len(limits))
		e.consistent("acme")
	}
	_, err = e.UpdateLimits(e.ctx, "acme", jwks.OnOwner, "free", func(*store.LimitSet) error { return nil })
	e.is(err, store.ErrNotFound)
}

func limitsDelete(e env) {
	e.create("acme")
	e.plan("acme", "free", rule(10))
	e.plan("acme", "none")
	k := NewRecord("acme", "o")
	k.Plan = "free"
	k, _ = e.issue(k)
	e.is(e.DeleteLimits(e.ctx, "acme", jwks.OnPlan, "free", now), store.ErrInUse)
	e.suspend(k)
	e.is(e.DeleteLimits(e.ctx, "acme", jwks.OnPlan, "free", now), store.ErrInUse)
	e.revoke(k)
	_, version := e.published("acme")
	e.ok(e.DeleteLimits(e.ctx, "acme", jwks.OnPlan, "free", now))
	_, after := e.published("acme")
	e.equal("version", after, version+1)
	e.equal("published", e.sharedOf("acme"), map[string]jwks.LimitSet{})
	_, err := e.Limits(e.ctx, "acme", jwks.OnPlan, "free")
	e.is(err, store.ErrNotFound)
	e.is(e.DeleteLimits(e.ctx, "acme", jwks.OnPlan, "free", now), store.ErrNotFound)
	e.ok(e.DeleteLimits(e.ctx, "acme", jwks.OnPlan, "none", now)) // was not published
	_, again := e.published("acme")
	e.equal("version", again, after)
	e.equal("the plan of the revoked key", e.key(k).Plan, "free")
	e.consistent("acme")
}

func limitsBounds(e env) {
	e.create("acme")
	_, err := e.CreateLimits(e.ctx, newLimits("acme", jwks.OnTotal, jwks.AnyName, rule(1)))
	e.ok(err)
	_, err = e.CreateLimits(e.ctx, newLimits("acme", jwks.OnTotal, jwks.AnyName, rule(1)))
	e.is(err, store.ErrExists)
	for i := range store.MaxPlans {
		e.plan("acme", fmt.Sprint(i))
	}
	_, err = e.CreateLimits(e.ctx, newLimits("acme", jwks.OnPlan, "one more", rule(1)))
	e.is(err, store.ErrTooMany)
	_, err = e.CreateLimits(e.ctx, newLimits("acme", jwks.OnPlan, "7", rule(1)))
	e.is(err, store.ErrExists)
	_, err = e.CreateLimits(e.ctx, newLimits("acme", jwks.OnRoute, "one more", rule(1)))
	e.ok(err)
	e.ok(e.DeleteLimits(e.ctx, "acme", jwks.OnPlan, "7", now))
	e.plan("acme", "one more", rule(1))
	e.consistent("acme")
}

func limitsInvalid(e env) {
	e.create("acme")
	for name, l := range map[string]store.LimitSet{
		"no name":            newLimits("acme", jwks.OnPlan, "", rule(1)),
		"unknown subject":    newLimits("acme", "key", "x", rule(1)),
		"named total":        newLimits("acme", jwks.OnTotal, "x", rule(1)),
		"no requests":        newLimits("acme", jwks.OnPlan, "x", rule(0)),
		"no UTF-8 in rule":   newLimits("acme", jwks.OnPlan, "x", jwks.Limit{Name: "\xff", Requests: 1, Seconds: 1}),
		"no UTF-8 in name":   newLimits("acme", jwks.OnPlan, "\xff", rule(1)),
		"NUL in the name":    newLimits("acme", jwks.OnPlan, "\x00", rule(1)),
		"two kinds of rules": newLimits("acme", jwks.OnPlan, "x", jwks.Limit{Name: "x", Requests: 1, Seconds: 1, Calendar: jwks.Day}),
	} {
		if _, err := e.CreateLimits(e.ctx, l); err == nil {
			e.Errorf("%s: stored", name)
		}
	}
	e.plan("acme", "x", rule(1))
	_, err := e.UpdateLimits(e.ctx, "acme", jwks.OnPlan, "x", func(l *store.LimitSet) error { l.Limits[0].Requests = 0; return nil })
	if err == nil {
		e.Error("an invalid rule is stored")
	}
	for _, name := range []string{"\xff", "\x00", ""} {
		_, err := e.Limits(e.ctx, "acme", jwks.OnPlan, name)
		e.is(err, store.ErrNotFound)
	}
	e.consistent("acme")
}

func limitsPages(e env) {
	e.create("acme")
	names := []string{"a", "b", "c", "d", "e"}
	for _, name := range names {
		e.plan("acme", name, rule(1))
	}
	_, err := e.CreateLimits(e.ctx, newLimits("acme", jwks.OnOwner, "o", rule(1)))
	e.ok(err)
	for limit := 1; limit <= 6; limit++ {
		var got []string
		for after := ""; ; {
			list, next, err := e.LimitSets(e.ctx, "acme", jwks.OnPlan, after, limit)
			e.ok(err)
			for _, l := range list {
				got = append(got, l.Name)
			}
			if len(list) > limit {
				e.Errorf("a page of %d has %d", limit, len(list))
			}
			if after = next; next == "" {
				break
			}
		}
		e.equal("names", got, names)
	}
	for _, on := range []string{jwks.OnRoute, "\xff"} {
		list, next, err := e.LimitSets(e.ctx, "acme", on, "", 10)
		e.ok(err)
		e.equal("none", list, []store.LimitSet{})
		e.equal("next", next, "")
	}
	if _, _, err := e.LimitSets(e.ctx, "acme", jwks.OnPlan, "", 0); err == nil {
		e.Error("a limit of 0 passes")
	}
}

func limitsAudit(e env) {
	e.create("acme")
	ctx := store.By(e.ctx, store.Actor{Kind: store.ActorOperator, ID: "jo"})
	_, err := e.CreateLimits(ctx, newLimits("acme", jwks.OnPlan, "free", rule(10)))
	e.ok(err)
	_, err = e.UpdateLimits(ctx, "acme", jwks.OnPlan, "free", func(l *store.LimitSet) error {
		l.Limits, l.UpdatedAt = []jwks.Limit{rule(20)}, now.Add(time.Hour)
		return nil
	})
	e.ok(err)
	e.ok(e.DeleteLimits(ctx, "acme", jwks.OnPlan, "free", now.Add(2*time.Hour)))
	got := e.audit("acme", store.AuditFilter{})
	ten, twenty := `[{"name":"burst","requests":10,"seconds":60}]`, `[{"name":"burst","requests":20,"seconds":60}]`
	for i, want := range []struct{ action, detail string }{
		{store.ActionLimitsDelete, `{"description":"für alle","limits":` + twenty + `,"name":"free","on":"plan","signed":"burst"}`},
		{store.ActionLimitsUpdate, `{"limits":{"before":` + ten + `,"after":` + twenty + `},"name":"free","on":"plan"}`},
		{store.ActionLimitsCreate, `{"description":"für alle","limits":` + ten + `,"name":"free","on":"plan","signed":"burst"}`},
	} {
		e.equal("action", got[i].Action, want.action)
		e.equal("detail", string(got[i].Detail), want.detail)
		e.equal("actor", got[i].Actor.ID, "jo")
	}
}

func limitsRace(e env) {
	e.create("acme")
	for range 20 {
		e.plan("acme", "free", rule(1))
		var issued, deleted error
		var k store.Key
		e.parallel(2, func(i int) {
			if i == 0 {
				record := NewRecord("acme", "o")
				record.Plan = "free"
				k, issued = e.Issue(context.WithoutCancel(e.ctx), record, NewKey(e), nil)
			} else {
				deleted = e.DeleteLimits(e.ctx, "acme", jwks.OnPlan, "free", now)
			}
		})
		switch {
		case issued == nil:
			e.is(deleted, store.ErrInUse)
			e.revoke(k)
			e.ok(e.DeleteLimits(e.ctx, "acme", jwks.OnPlan, "free", now))
		default:
			e.is(issued, store.ErrNoPlan)
			e.ok(deleted)
		}
	}
	e.consistent("acme")
}
