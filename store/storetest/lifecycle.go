package storetest

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

var lifecycleTests = []test{
	{"finds everything again when it is opened again", reopened},
	{"lets two stores on one database see each other", together},
	{"does nothing for a context that is done", cancelled},
	{"stops a stream when its context is done", cancelledStream},
	{"gives errors once it is closed", closed},
	{"answers a ping", func(e env) { e.ok(e.Ping(e.ctx)) }},
}

func reopened(e env) {
	w, _ := e.create("acme")
	k := NewRecord("acme", "o")
	k.IdempotencyKey = "once"
	k, _ = e.issue(k)
	revoked := e.revoke(e.issueMany("acme", "p")[0])
	set, version := e.published("acme")
	e.ok(e.Close())
	for range 2 {
		e.Store = e.open()
		got, err := e.Workspace(e.ctx, "acme")
		e.ok(err)
		w.Version = version
		e.equal("workspace", got, w)
		e.equal("keys", e.list("acme", store.Filter{}), []store.Key{revoked, k})
		again, versionAgain := e.published("acme")
		e.equal("published", again, set)
		e.equal("version", versionAgain, version)
		_, err = e.Issue(e.ctx, k, NewKey(e), nil)
		e.is(err, store.ErrIdempotencyKey)
		e.consistent("acme")
		e.ok(e.Close())
	}
	e.Store = e.open()
	next, _ := e.issue(NewRecord("acme", "o"))
	e.equal("the next version", next.Version, version+1)
}

func together(e env) {
	other := e
	other.Store = e.open()
	e.create("acme")
	k, _ := other.issue(NewRecord("acme", "o"))
	e.equal("issued there, read here", e.key(k), k)
	revoked := e.revoke(k)
	e.equal("revoked here, read there", other.key(k), revoked)
	e.equal("revoked again there", other.revoke(k), revoked)
	e.ok(e.Close())
	other.issue(NewRecord("acme", "o"))
	other.consistent("acme")
}

// allCalls has a valid call of every method that can return an error.
func (e env) allCalls(k store.Key) map[string]func(context.Context) error {
	calls := e.calls(k.Workspace, k.ID)
	calls["CreateWorkspace"] = func(ctx context.Context) error {
		_, err := e.CreateWorkspace(ctx, store.Workspace{ID: "new-" + uuid.NewString(), CreatedAt: now}, NewKey(e))
		return err
	}
	calls["Logo"] = func(ctx context.Context) error {
		_, err := e.Logo(ctx, k.Workspace)
		return unless(err, store.ErrNotFound)
	}
	calls["Workspaces"] = func(ctx context.Context) error {
		_, _, err := e.Workspaces(ctx, store.WorkspaceFilter{Limit: 10})
		return err
	}
	calls["FindWorkspaces"] = func(ctx context.Context) error {
		_, _, err := e.Workspaces(ctx, store.WorkspaceFilter{Query: "new", Limit: 10})
		return err
	}
	calls["Keys"] = func(ctx context.Context) error {
		_, _, err := e.Keys(ctx, k.Workspace, store.Filter{Limit: 10})
		return err
	}
	calls["Requests"] = func(ctx context.Context) error {
		_, _, err := e.Requests(ctx, k.Workspace, store.RequestFilter{Limit: 10})
		return err
	}
	calls["UnsentRequests"] = func(ctx context.Context) error {
		_, err := e.UnsentRequests(ctx, "", uuid.Nil, 10)
		return err
	}
	calls["RequestSent"] = func(ctx context.Context) error {
		return e.RequestSent(ctx, k.Workspace, k.ID, store.RequestDecided)
	}
	calls["Versions"] = func(ctx context.Context) error {
		return e.Versions(ctx, func(string, uint64, jwks.Fingerprint) error { return nil })
	}
	calls["Due"] = func(ctx context.Context) error {
		_, err := e.Due(ctx, store.DuePlace{}, now, 10)
		return err
	}
	calls["NextDue"] = func(ctx context.Context) error {
		_, err := e.NextDue(ctx)
		return err
	}
	calls["ExchangeSession"] = func(ctx context.Context) error {
		_, err := e.ExchangeSession(ctx, [32]byte{}, newSession(store.KindSession), now)
		return unless(err, store.ErrNotFound)
	}
	calls["Session"] = func(ctx context.Context) error {
		_, err := e.Session(ctx, [32]byte{}, now)
		return unless(err, store.ErrNotFound)
	}
	calls["StoredSession"] = func(ctx context.Context) error {
		_, err := e.StoredSession(ctx, [32]byte{})
		return unless(err, store.ErrNotFound)
	}
	calls["EndSession"] = func(ctx context.Context) error {
		return unless(e.EndSession(ctx, [32]byte{}, now), store.ErrNotFound)
	}
	calls["SpendLogin"] = func(ctx context.Context) error {
		return unless(e.SpendLogin(ctx, k.Workspace, [32]byte{}, now), store.ErrExists)
	}
	calls["PruneSessions"] = func(ctx context.Context) error { return e.PruneSessions(ctx, now) }
	calls["Record"] = func(ctx context.Context) error {
		return e.Record(ctx, store.Entry{Workspace: k.Workspace, At: now, Action: "x"})
	}
	calls["Audit"] = func(ctx context.Context) error {
		_, _, err := e.Audit(ctx, k.Workspace, store.AuditFilter{Limit: 10})
		return err
	}
	calls["LimitSets"] = func(ctx context.Context) error {
		_, _, err := e.LimitSets(ctx, k.Workspace, jwks.OnPlan, "", 10)
		return err
	}
	calls["Signers"] = func(ctx context.Context) error {
		_, err := e.Signers(ctx, k.Workspace)
		return err
	}
	calls["SignersDue"] = func(ctx context.Context) error {
		_, err := e.SignersDue(ctx, now, 10)
		return err
	}
	calls["RemoveSigners"] = func(ctx context.Context) error {
		_, _, err := e.RemoveSigners(ctx, k.Workspace, now)
		return err
	}
	calls["EndSigners"] = func(ctx context.Context) error { return e.EndSigners(ctx, k.Workspace, []jwks.KID{k.KID}, now, now) }
	calls["Exchanging"] = func(ctx context.Context) error {
		_, err := e.Exchanging(ctx, 10)
		return err
	}
	calls["KeyForExchange"] = func(ctx context.Context) error {
		_, _, err := e.KeyForExchange(ctx, k.Workspace, k.KID)
		return err
	}
	calls["Ping"] = e.Ping
	return calls
}

func cancelled(e env) {
	w, _ := e.create("acme")
	k := NewRecord("acme", "o")
	k.IdempotencyKey = "once"
	k, _ = e.issue(k)
	e.limitOn(k)
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	for name, call := range e.allCalls(k) {
		if err := call(ctx); !errors.Is(err, context.Canceled) {
			e.Errorf("%s: got %v, want context.Canceled", name, err)
		}
	}
	all, _, err := e.Workspaces(e.ctx, store.WorkspaceFilter{Limit: 10})
	e.ok(err)
	w.Version = 3
	e.equal("workspaces", all, []store.Workspace{w})
	e.equal("keys", e.list("acme", store.Filter{}), []store.Key{k})
	for name, call := range e.allCalls(k) {
		if err := call(e.ctx); err != nil {
			e.Errorf("%s after all: %v", name, err)
		}
	}
	e.consistent("acme")
}

func cancelledStream(e env) {
	e.create("acme")
	e.issueMany("acme", "a", "b", "c", "d")
	for range 20 { // more often than a backend has connections
		ctx, cancel := context.WithCancel(e.ctx)
		_, _, err := e.Published(ctx, "acme", func(jwks.Key, jwks.Attributes) error {
			cancel()
			return ctx.Err()
		})
		e.is(err, context.Canceled)
	}
	e.consistent("acme")
}

func closed(e env) {
	e.create("acme")
	k := NewRecord("acme", "o")
	k.IdempotencyKey = "once"
	k, _ = e.issue(k)
	e.ok(e.Close())
	e.ok(e.Close())
	for name, call := range e.allCalls(k) {
		if err := call(e.ctx); err == nil {
			e.Errorf("%s: no error", name)
		}
	}
	e.Store = e.open()
	e.equal("keys", e.list("acme", store.Filter{}), []store.Key{k})
	// Concurrent calls can fail because of Close, but nothing worse can happen.
	e.parallel(4, func(i int) {
		if i == 0 {
			if err := e.Close(); err != nil {
				e.Error(err)
			}
			return
		}
		for range 5 {
			if _, err := e.Issue(e.ctx, NewRecord("acme", "o"), NewKey(e), nil); err != nil {
				return
			}
		}
	})
	e.Store = e.open()
	e.consistent("acme")
}
