package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

var tenantTests = []test{
	{"cannot reach each other's keys", tenantsApart},
	{"may hold the same ids and idempotency keys", tenantsSameIDs},
}

// calls has a call of every method that returns ErrNotFound for an unknown workspace or an unknown key in it.
func (e env) calls(workspace string, id uuid.UUID) map[string]func(context.Context) error {
	calls := e.keyCalls(workspace, id)
	calls["Workspace"] = func(ctx context.Context) error {
		_, err := e.Workspace(ctx, workspace)
		return err
	}
	calls["UpdateWorkspace"] = func(ctx context.Context) error {
		_, err := e.UpdateWorkspace(ctx, workspace, func(*store.Workspace) error { return nil })
		return err
	}
	calls["Issue"] = func(ctx context.Context) error {
		_, err := e.Issue(ctx, NewRecord(workspace, "o"), NewKey(e), nil)
		return err
	}
	calls["Published"] = func(ctx context.Context) error {
		_, _, err := e.Published(ctx, workspace, func(jwks.Key, jwks.Attributes) error { return nil })
		return err
	}
	calls["Changes"] = func(ctx context.Context) error {
		_, err := e.Changes(ctx, workspace, 0, 10)
		return err
	}
	calls["CreateLimits"] = func(ctx context.Context) error {
		_, err := e.CreateLimits(ctx, newLimits(workspace, jwks.OnPlan, uuid.NewString(), rule(1)))
		return err
	}
	calls["CreateRequest"] = func(ctx context.Context) error {
		_, err := e.CreateRequest(ctx, wish(store.Key{Workspace: workspace, ID: id}, store.Wanted{Scopes: []string{"x"}}), anything)
		return unless(unless(err, store.ErrNotActive), store.ErrExists)
	}
	calls["CreateSession"] = func(ctx context.Context) error {
		s := newSession(store.KindLink)
		s.Workspace = workspace
		return e.CreateSession(ctx, s)
	}
	calls["RecordUsage"] = func(ctx context.Context) error {
		_, err := e.RecordUsage(ctx, workspace, nil, store.Report{At: now})
		return err
	}
	calls["Compact"] = func(ctx context.Context) error {
		_, err := e.Compact(ctx, workspace, 0)
		return err
	}
	return calls
}

// keyCalls has a call of every method that takes a workspace and a key in it, or limits whose name is its id, or a
// request that has its id.
func (e env) keyCalls(workspace string, id uuid.UUID) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Limits": func(ctx context.Context) error {
			_, err := e.Limits(ctx, workspace, jwks.OnOwner, id.String())
			return err
		},
		"UpdateLimits": func(ctx context.Context) error {
			_, err := e.UpdateLimits(ctx, workspace, jwks.OnOwner, id.String(), func(l *store.LimitSet) error { l.Limits = someLimits; return nil })
			return err
		},
		"DeleteLimits": func(ctx context.Context) error {
			err := e.DeleteLimits(ctx, workspace, jwks.OnOwner, id.String(), now)
			if err == nil { // other calls need it
				_, err = e.CreateLimits(ctx, newLimits(workspace, jwks.OnOwner, id.String(), rule(1)))
			}
			return err
		},
		"Request": func(ctx context.Context) error {
			_, err := e.Request(ctx, workspace, id)
			return err
		},
		"DecideRequest": func(ctx context.Context) error {
			_, _, err := e.DecideRequest(ctx, workspace, id, decide(store.RequestDeclined))
			return unless(err, store.ErrDecided)
		},
		"Key": func(ctx context.Context) error {
			_, err := e.Key(ctx, workspace, id)
			return err
		},
		"KeyByIdempotencyKey": func(ctx context.Context) error {
			_, err := e.KeyByIdempotencyKey(ctx, workspace, "once")
			return err
		},
		"Revoke": func(ctx context.Context) error {
			_, err := e.Revoke(ctx, workspace, id, now)
			return err
		},
		// The key can be revoked, so ErrNotActive from these calls is accepted.
		"Rotate": func(ctx context.Context) error {
			k := NewRecord(workspace, "o")
			_, _, err := e.Rotate(ctx, workspace, id, k, NewKey(e), k.CreatedAt.Add(time.Minute), nil)
			return unless(err, store.ErrNotActive)
		},
		"UndoRotation": func(ctx context.Context) error {
			_, _, err := e.UndoRotation(ctx, workspace, id, uuid.Nil, now)
			return unless(err, store.ErrNotActive)
		},
		"EndGrace": func(ctx context.Context) error {
			_, err := e.EndGrace(ctx, workspace, id, uuid.Nil, now)
			return unless(err, store.ErrNotActive)
		},
		"Retire": func(ctx context.Context) error {
			got, err := e.Retire(ctx, workspace, []uuid.UUID{id}, now.Add(time.Hour))
			if err == nil && len(got) == 0 { // passing it over is no error
				_, err = e.Key(ctx, workspace, id)
			}
			return err
		},
		"Suspend": func(ctx context.Context) error {
			_, err := e.UpdateKey(ctx, workspace, id, func(_ *store.Workspace, k *store.Key) error { k.SuspendedAt = now; return nil })
			return unless(err, store.ErrNotActive)
		},
		"UpdateKey": func(ctx context.Context) error {
			_, err := e.UpdateKey(ctx, workspace, id, func(_ *store.Workspace, k *store.Key) error { k.Name = "changed"; return nil })
			return err
		},
	}
}

// unless returns err, or nil if err is the expected error.
func unless(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

func tenantsApart(e env) {
	e.create("acme")
	e.create("other")
	k := NewRecord("acme", "o")
	k.IdempotencyKey = "once"
	k, _ = e.issue(k)
	e.limitOn(k)
	r, err := e.Request(e.ctx, "acme", k.ID)
	e.ok(err)
	_, version := e.published("other")
	for name, call := range e.keyCalls("other", k.ID) {
		if err := call(e.ctx); !errors.Is(err, store.ErrNotFound) {
			e.Errorf("%s: got %v, want ErrNotFound", name, err)
		}
	}
	for _, f := range []store.Filter{{}, {Owner: "o"}, {Query: k.KID.String()}, {Query: k.ID.String()}, {Query: "key"}} {
		e.equal("the other's list", e.list("other", f), []store.Key{})
	}
	e.equal("the key", e.key(k), k)
	e.equal("its request", e.requests("acme", store.RequestFilter{}), []store.Request{r})
	e.equal("its limits", len(e.sharedOf("acme")), 1)
	e.equal("the other's limits", len(e.sharedOf("other")), 0)
	keys, after := e.published("other")
	e.equal("the other's version", after, version)
	e.equal("the other's set", len(keys), 1)
	e.equal("the other's changes", len(e.changesOf("other")), 1)
	e.equal("the other's audit", len(e.audit("other", store.AuditFilter{})), 1)
	e.equal("the other's audit of the key", e.audit("other", store.AuditFilter{Key: k.ID}), []store.Entry{})
}

func tenantsSameIDs(e env) {
	e.create("acme")
	e.create("other")
	k := NewRecord("acme", "o")
	k.IdempotencyKey = "once"
	mine, _ := e.issue(k)
	k.Workspace, k.Name = "other", "theirs"
	theirs, _ := e.issue(k)
	e.revoke(theirs)
	e.equal("mine", e.key(mine), mine)
	got, err := e.KeyByIdempotencyKey(e.ctx, "acme", "once")
	e.ok(err)
	e.equal("mine by idempotency key", got, mine)
	e.equal("my list", e.list("acme", store.Filter{Query: mine.ID.String()}), []store.Key{mine})
	keys, _ := e.published("acme")
	e.equal("my set", len(keys), 2)
	e.consistent("acme")
	e.consistent("other")
}

// limitOn creates limits and a request for the calls of keyCalls.
func (e env) limitOn(k store.Key) {
	e.Helper()
	_, err := e.CreateLimits(e.ctx, newLimits(k.Workspace, jwks.OnOwner, k.ID.String(), rule(1)))
	e.ok(err)
	r := wish(k, moreScopes)
	r.ID = k.ID
	_, err = e.CreateRequest(e.ctx, r, anything)
	e.ok(err)
}
