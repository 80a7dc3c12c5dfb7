package storetest

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/burnkey/burnkey/store"
)

var limitTests = []test{
	{"counts what of an owner's is active", limitActive},
	{"holds when many issue at once", limitRace},
	{"comes behind what else is wrong", limitOrder},
	{"of keys in their grace holds for rotations", limitGrace},
}

// limited returns a record that may be issued where the owner has fewer keys than
// limit.
func limited(owner string, limit int) store.Key {
	k := NewRecord("acme", owner)
	k.PerOwner = limit
	return k
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
	first, _ := e.issue(limited("o", 2))
	e.equal("the limit is not kept", first.PerOwner, 0)
	second, _ := e.issue(limited("o", 2))
	full := func() {
		e.Helper()
		e.refused(limited("o", 2), NewKey(e), store.ErrTooMany)
		e.refused(limited("o", 1), NewKey(e), store.ErrTooMany)
	}
	full()
	e.revoke(first)
	third, _ := e.issue(limited("o", 2))
	full()
	e.rotate(third) // its successor counts in its stead
	full()
	late := limited("o", 2)
	late.CreatedAt = second.ExpiresAt.Add(-1)
	e.refused(late, NewKey(e), store.ErrTooMany)
	late.CreatedAt = second.ExpiresAt // both have expired, and nobody retired them
	e.issue(late)
	e.issue(NewRecord("acme", "o")) // without a limit
	e.issue(limited("q", 2))
	e.consistent("acme")
}

func limitRace(e env) {
	const limit, callers = 3, 12
	e.create("acme")
	var won atomic.Int32
	e.parallel(callers, func(int) {
		switch _, err := e.Issue(e.ctx, limited("o", limit), NewKey(e)); {
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
	first := limited("o", 1)
	first.IdempotencyKey = "once"
	issued, pub := e.issue(first)
	e.equal("read", e.key(issued), issued)
	again := limited("o", 1)
	again.IdempotencyKey = "once"
	_, err := e.Issue(e.ctx, again, NewKey(e))
	e.is(err, store.ErrIdempotencyKey)
	e.refused(limited("o", 1), pub, store.ErrDuplicateKID)
	e.refused(limited("o", 1), tombstone, store.ErrDuplicateKID)
	same := limited("o", 1)
	same.ID = first.ID
	e.refused(same, NewKey(e), store.ErrExists)
	nowhere := limited("o", 1)
	nowhere.Workspace = "nobody"
	_, err = e.Issue(e.ctx, nowhere, NewKey(e))
	e.is(err, store.ErrNotFound)
}

func limitGrace(e env) {
	e.create("acme")
	keys := e.issueMany("acme", "o", "o", "o")
	next := func(k store.Key) store.Key {
		s := successor(k)
		s.PerOwner = 2
		return s
	}
	for _, k := range keys[:2] {
		_, issued, err := e.Rotate(e.ctx, "acme", k.ID, next(k), NewKey(e), now.Add(time.Minute))
		e.ok(err)
		e.equal("the limit is not kept", issued.PerOwner, 0)
	}
	e.rotateRefused(keys[2].ID, next(keys[2]), NewKey(e), store.ErrTooMany)
	// Without a grace there is no third, and a grace that is over counts no more.
	_, issued, err := e.Rotate(e.ctx, "acme", keys[2].ID, next(keys[2]), NewKey(e), now)
	e.ok(err)
	late := next(issued)
	late.CreatedAt = now.Add(time.Minute)
	_, _, err = e.Rotate(e.ctx, "acme", issued.ID, late, NewKey(e), now.Add(2*time.Minute))
	e.ok(err)
	e.consistent("acme")
}
