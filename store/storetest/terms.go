package storetest

import (
	"errors"
	"time"

	"github.com/burnkey/burnkey/store"
)

var termTests = []test{
	{"are of the workspace as it is, and refuse", termsRefuse},
	{"hold against an update that comes between", termsRace},
	{"come after the check for a repeat, which says whether the request is the same", termsRepeat},
}

var errTerms = errors.New("the terms refuse it")

func termsRefuse(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	_, err := e.UpdateWorkspace(e.ctx, "acme", func(w *store.Workspace) error { w.Policy.KeysPerOwner = 7; return nil })
	e.ok(err)
	refuse := func(w *store.Workspace) (int, error) {
		if w.Policy.KeysPerOwner != 7 || w.ID != "acme" || len(w.Audiences) != 1 {
			e.Errorf("the terms were shown %+v", w)
		}
		return 0, errTerms
	}
	e.refusedOn(refuse, NewRecord("acme", "o"), NewKey(e), errTerms)
	e.rotateRefusedOn(refuse, k.ID, successor(k), NewKey(e), errTerms)
	_, err = e.Issue(e.ctx, NewRecord("nobody", "o"), NewKey(e), refuse)
	e.is(err, store.ErrNotFound)
	gone := e.revoke(e.issueMany("acme", "o")[0])
	e.rotateRefusedOn(refuse, gone.ID, successor(gone), NewKey(e), store.ErrNotActive)
	e.consistent("acme")
}

// termsRace lowers the limit while many keys are issued. Once the update has returned, no further key exceeds
// the new limit.
func termsRace(e env) {
	e.create("acme")
	limit := func(w *store.Workspace) (int, error) { return w.Policy.KeysPerOwner, nil }
	e.parallel(8, func(i int) {
		if i == 0 {
			_, err := e.UpdateWorkspace(e.ctx, "acme", func(w *store.Workspace) error { w.Policy.KeysPerOwner = 1; return nil })
			e.ok(err)
			before := len(e.list("acme", store.Filter{}))
			if _, err := e.Issue(e.ctx, NewRecord("acme", "o"), NewKey(e), limit); before > 0 && !errors.Is(err, store.ErrTooMany) {
				e.Errorf("after the update: %v", err)
			}
			return
		}
		_, err := e.Issue(e.ctx, NewRecord("acme", "o"), NewKey(e), limit)
		if err != nil && !errors.Is(err, store.ErrTooMany) {
			e.Error(err)
		}
	})
	e.consistent("acme")
}

func termsRepeat(e env) {
	e.create("acme")
	named := func(digest string) store.Key {
		k := NewRecord("acme", "o")
		k.IdempotencyKey, k.RequestDigest = "once", []byte(digest)
		if digest == "" {
			k.RequestDigest = nil
		}
		return k
	}
	first, _ := e.issue(named("one"))
	e.equal("read", e.key(first), first)
	e.equal("digest", string(first.RequestDigest), "one")
	other, _ := e.issue(NewRecord("acme", "o"))
	for digest, want := range map[string]bool{"one": false, "two": true, "": false} {
		for _, terms := range []store.Terms{nil, within(1), func(*store.Workspace) (int, error) { return 0, errTerms }} {
			_, err := e.Issue(e.ctx, named(digest), NewKey(e), terms)
			e.repeated(err, first, want)
			_, _, err = e.Rotate(e.ctx, "acme", other.ID, named(digest), NewKey(e), now.Add(time.Minute), terms)
			e.repeated(err, first, want)
		}
	}
	old := NewRecord("acme", "o") // like one stored before there were digests
	old.IdempotencyKey = "old"
	old, _ = e.issue(old)
	again := named("two")
	again.IdempotencyKey = "old"
	_, err := e.Issue(e.ctx, again, NewKey(e), nil)
	e.repeated(err, old, false)
	e.consistent("acme")
}

func (e env) repeated(err error, first store.Key, other bool) {
	e.Helper()
	var repeated *store.IdempotencyError
	if !errors.As(err, &repeated) || repeated.ID != first.ID || repeated.Other != other {
		e.Fatalf("got %v (%+v), want key %s, another request: %t", err, repeated, first.ID, other)
	}
}
