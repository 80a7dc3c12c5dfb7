package storetest

import (
	"time"

	"github.com/burnkey/burnkey/store"
)

var restoreTests = []test{
	{"raises the version past all copies, and no follower resumes", leaps},
	{"raises a version that is later than the clock", leapsFromTheFuture},
	{"stays where it is", settles},
}

func leaps(e env) {
	e.create("acme")
	e.create("beta")
	k, _ := e.issue(NewRecord("acme", "cust_1"))
	stored, _ := Fingerprints(e.T, e.Store, "acme")
	version, err := e.Leap(e.ctx, "acme", now)
	e.ok(err)
	e.equal("version", version, uint64(now.UnixMicro()))
	for _, after := range []uint64{0, 1, 2, 3, version - 2} {
		_, err := e.Changes(e.ctx, "acme", after, 10)
		e.is(err, store.ErrCompacted)
	}
	list, err := e.Changes(e.ctx, "acme", version, 10)
	e.ok(err)
	e.equal("later changes", len(list), 0)
	e.equal("the key", e.key(k), k)
	after, published := Fingerprints(e.T, e.Store, "acme")
	e.equal("fingerprint", after, stored)
	e.equal("published", published, stored)
	next, _ := e.issue(NewRecord("acme", "cust_1"))
	e.equal("next version", next.Version, version+1)
	again, err := e.Leap(e.ctx, "acme", now.Add(time.Second))
	e.ok(err)
	if again <= next.Version {
		e.Errorf("version %d after %d", again, next.Version)
	}
	last := e.audit("acme", store.AuditFilter{Action: store.ActionWorkspaceRestore})
	e.equal("entries", len(last), 2)
	e.equal("entries of another workspace", len(e.audit("beta", store.AuditFilter{Action: store.ActionWorkspaceRestore})), 0)
	_, err = e.Leap(e.ctx, "nobody", now)
	e.is(err, store.ErrNotFound)
}

func leapsFromTheFuture(e env) {
	e.create("acme")
	first, err := e.Leap(e.ctx, "acme", now.Add(time.Hour))
	e.ok(err)
	second, err := e.Leap(e.ctx, "acme", now)
	e.ok(err)
	if second <= first {
		e.Errorf("version %d after %d", second, first)
	}
}

func settles(e env) {
	for _, s := range []store.Store{e.Store, e.open(), e.Store} {
		e.ok(s.Settle(e.ctx, false))
		e.ok(s.Settle(e.ctx, true))
	}
}
