package storetest

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

var limitTests = []test{
	{"counts what of an owner's is active", limitActive},
	{"holds when many issue at once", limitRace},
	{"is checked after everything else", limitOrder},
	{"of keys in their grace holds for rotations", limitGrace},
}

// within returns terms that allow an owner this many keys.
func within(limit int) store.Terms {
	return func(*store.Workspace) (int, error) { return limit, nil }
}

// issueWithin issues a key of acme under a limit of keys per owner.
func (e env) issueWithin(owner string, limit int) (store.Key, jwks.Key) {
	e.Helper()
	pub := NewKey(e)
	issued, err := e.Issue(e.ctx, NewRecord("acme", owner), pub, within(limit))
	e.ok(err)
	return issued, pub
}

func limitActive(e env) {
	e.create("acme")
	e.create("other")
	elsewhere := NewRecord("other", "o")
	for range 3 {
		elsewhere.ID = NewRecord("", "").ID
		e.issue(elsewhere)
	}
	e.issueMany("acme", "p", "O", "o ")
	first, _ := e.issueWithin("o", 2)
	second, _ := e.issueWithin("o", 2)
	full := func() {
		e.Helper()
		e.refusedOn(within(2), NewRecord("acme", "o"), NewKey(e), store.ErrTooMany)
		e.refusedOn(within(1), NewRecord("acme", "o"), NewKey(e), store.ErrTooMany)
		n, err := e.CountKeys(e.ctx, "acme", "o", store.Active, now, 3)
		e.ok(err)
		e.equal("counted", n, 2)
		n, err = e.CountKeys(e.ctx, "acme", "o", store.Active, now, 1)
		e.ok(err)
		e.equal("counted up to one", n, 1)
	}
	full()
	e.revoke(first)
	third, _ := e.issueWithin("o", 2)
	full()
	e.rotate(third) // its successor counts in its stead
	full()
	late := NewRecord("acme", "o")
	late.CreatedAt = second.ExpiresAt.Add(-1)
	e.refusedOn(within(2), late, NewKey(e), store.ErrTooMany)
	late.CreatedAt = second.ExpiresAt // both have expired, but are not retired
	_, err := e.Issue(e.ctx, late, NewKey(e), within(2))
	e.ok(err)
	e.issue(NewRecord("acme", "o")) // without a limit
	e.issueWithin("q", 2)
	e.consistent("acme")
}

func limitRace(e env) {
	const limit, callers = 3, 12
	e.create("acme")
	var won atomic.Int32
	e.parallel(callers, func(int) {
		switch _, err := e.Issue(e.ctx, NewRecord("acme", "o"), NewKey(e), within(limit)); {
		case err == nil:
			won.Add(1)
		case !errors.Is(err, store.ErrTooMany):
			e.Error(err)
		}
	})
	e.equal("issued", won.Load(), int32(limit))
	e.equal("records", len(e.list("acme", store.Filter{})), limit)
	e.consistent("acme")
}

func limitOrder(e env) {
	_, tombstone := e.create("acme")
	first := NewRecord("acme", "o")
	first.IdempotencyKey = "once"
	issued, pub := e.issue(first)
	e.equal("read", e.key(issued), issued)
	again := NewRecord("acme", "o")
	again.IdempotencyKey = "once"
	_, err := e.Issue(e.ctx, again, NewKey(e), within(1))
	e.is(err, store.ErrIdempotencyKey)
	e.refusedOn(within(1), NewRecord("acme", "o"), pub, store.ErrDuplicateKID)
	e.refusedOn(within(1), NewRecord("acme", "o"), tombstone, store.ErrDuplicateKID)
	same := NewRecord("acme", "o")
	same.ID = first.ID
	e.refusedOn(within(1), same, NewKey(e), store.ErrExists)
	_, err = e.Issue(e.ctx, NewRecord("nobody", "o"), NewKey(e), within(1))
	e.is(err, store.ErrNotFound)
}

func limitGrace(e env) {
	e.create("acme")
	keys := e.issueMany("acme", "o", "o", "o")
	for _, k := range keys[:2] {
		_, _, err := e.Rotate(e.ctx, "acme", k.ID, successor(k), NewKey(e), now.Add(time.Minute), within(2))
		e.ok(err)
	}
	e.rotateRefusedOn(within(2), keys[2].ID, successor(keys[2]), NewKey(e), store.ErrTooMany)
	n, err := e.CountKeys(e.ctx, "acme", "o", store.Deprecated, now, 3)
	e.ok(err)
	e.equal("counted", n, 2)
	// Without a grace there is no third key, and a key whose grace is over no longer counts.
	_, issued, err := e.Rotate(e.ctx, "acme", keys[2].ID, successor(keys[2]), NewKey(e), now, within(2))
	e.ok(err)
	late := successor(issued)
	late.CreatedAt = now.Add(time.Minute)
	_, _, err = e.Rotate(e.ctx, "acme", issued.ID, late, NewKey(e), now.Add(2*time.Minute), within(2))
	e.ok(err)
	e.consistent("acme")
}
