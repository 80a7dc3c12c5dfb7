package storetest

import (
	"context"
	"errors"
	"math"
	"reflect"
	"sync/atomic"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

var publishTests = []test{
	{"comes in the order of kids", publishedOrder},
	{"knows its tombstone", publishedTombstone},
	{"passes on an error of yield", publishedYield},
	{"is that of one version while others write", publishedSnapshot},
	{"returns its changes in pages", changesPages},
	{"returns every workspace's version", versionsAll},
}

func publishedOrder(e env) {
	_, tombstone := e.create("acme")
	e.create("other")
	set := map[jwks.KID]jwks.Key{tombstone.KID(): tombstone}
	for range 50 {
		_, pub := e.issue(NewRecord("acme", "o"))
		set[pub.KID()] = pub
		e.issue(NewRecord("other", "o"))
	}
	keys, version := e.published("acme")
	e.equal("published", keys, sorted(set))
	e.equal("version", version, uint64(51))
	_, _, err := e.Published(e.ctx, "nobody", func(jwks.Key, jwks.Attributes) error { return nil })
	e.is(err, store.ErrNotFound)
}

func publishedTombstone(e env) {
	_, want := e.create("acme")
	_, other := e.create("other")
	e.issueMany("acme", "a", "b", "c")
	k, _ := e.issue(NewRecord("acme", "o"))
	e.revoke(k)
	for workspace, want := range map[string]jwks.Key{"acme": want, "other": other} {
		got, err := e.Tombstone(e.ctx, workspace)
		e.ok(err)
		e.equal("tombstone of "+workspace, got.KID(), want.KID())
	}
	_, err := e.Tombstone(e.ctx, "nobody")
	e.is(err, store.ErrNotFound)
}

func publishedYield(e env) {
	e.create("acme")
	e.issueMany("acme", "a", "b", "c")
	enough := errors.New("enough")
	calls := 0
	for range 20 { // more often than a backend has connections
		_, _, err := e.Published(e.ctx, "acme", func(jwks.Key, jwks.Attributes) error { calls++; return enough })
		e.is(err, enough)
		e.is(e.Versions(e.ctx, func(string, uint64, jwks.Fingerprint) error { calls++; return enough }), enough)
	}
	e.equal("calls of yield", calls, 40)
	e.consistent("acme")
}

func publishedSnapshot(e env) {
	e.create("acme")
	e.issueMany("acme", "a", "b", "c")
	ctx, stop := context.WithCancel(e.ctx)
	defer stop()
	var writes atomic.Int32
	e.parallel(2, func(i int) {
		if i == 0 {
			defer stop()
			for range 30 {
				e.seeOneVersion()
			}
			return
		}
		for ctx.Err() == nil {
			k, err := e.Issue(e.ctx, NewRecord("acme", "o"), NewKey(e), nil)
			if err == nil && writes.Add(1)%2 == 0 {
				_, err = e.Revoke(e.ctx, "acme", k.ID, now)
			}
			if err != nil {
				e.Error(err)
			}
		}
	})
	e.consistent("acme")
}

// seeOneVersion checks that a set read during writes is exactly that of the version it claims.
func (e env) seeOneVersion() {
	got, err := readFeed(e.ctx, e.Store, "acme")
	if err != nil {
		e.Error(err)
		return
	}
	changes, err := e.Changes(e.ctx, "acme", 0, int(got.version))
	if err != nil {
		e.Error(err)
	}
	want := newFeed()
	for _, c := range changes {
		if err := want.apply(c); err != nil {
			e.Error(err)
		}
	}
	if !reflect.DeepEqual(got, want) {
		e.Errorf("version %d has %d keys, not the %d of its changes", got.version, len(got.keys), len(want.keys))
	}
}

func changesPages(e env) {
	e.create("acme")
	for _, k := range e.issueMany("acme", "a", "b", "c", "d") {
		e.revoke(k)
	}
	all, err := e.Changes(e.ctx, "acme", 0, math.MaxInt32)
	e.ok(err)
	e.equal("all", len(all), 9)
	for after := range len(all) + 1 {
		for limit := 1; limit <= len(all)+1; limit++ {
			page, err := e.Changes(e.ctx, "acme", uint64(after), limit)
			e.ok(err)
			e.equal("page", page, append([]jwks.Change{}, all[after:min(after+limit, len(all))]...))
		}
	}
	for _, after := range []uint64{10, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64} {
		none, err := e.Changes(e.ctx, "acme", after, 10)
		e.ok(err)
		e.equal("after the last", len(none), 0)
		_, err = e.Changes(e.ctx, "nobody", after, 10)
		e.is(err, store.ErrNotFound)
	}
	for _, limit := range []int{0, -1} {
		if _, err := e.Changes(e.ctx, "acme", 0, limit); err == nil {
			e.Errorf("a limit of %d passes", limit)
		}
	}
}

func versionsAll(e env) {
	e.equal("none", e.versions(), map[string]uint64{})
	e.create("a")
	e.create("b")
	e.create("c")
	e.revoke(e.issueMany("b", "o")[0])
	e.issueMany("c", "o")
	e.equal("versions", e.versions(), map[string]uint64{"a": 1, "b": 3, "c": 2})
}

func (e env) versions() map[string]uint64 {
	e.Helper()
	got := map[string]uint64{}
	e.ok(e.Versions(e.ctx, func(workspace string, version uint64, _ jwks.Fingerprint) error {
		if _, twice := got[workspace]; twice {
			e.Errorf("%s comes twice", workspace)
		}
		got[workspace] = version
		return nil
	}))
	return got
}
