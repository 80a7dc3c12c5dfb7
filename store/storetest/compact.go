package storetest

import (
	"errors"
	"math"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

var compactTests = []test{
	{"drops the changes up to a version and no more", compactThrough},
	{"never drops the latest change", compactLatest},
	{"leaves versions, keys and other workspaces alone", compactApart},
	{"goes on while others write, read and compact", compactWhileWritten},
}

// compact calls Compact until it has deleted all changes up to a version.
func (e env) compact(workspace string, through uint64) {
	e.Helper()
	for range 1000 {
		more, err := e.Compact(e.ctx, workspace, through)
		if err != nil {
			e.Error(err)
			return
		}
		if !more {
			return
		}
	}
	e.Errorf("Compact of %s has never done enough", workspace)
}

// logIs checks that the log has all changes from the version `first` on, and no earlier changes.
func (e env) logIs(workspace string, all []jwks.Change, first uint64) {
	e.Helper()
	for after := range uint64(len(all)) + 3 {
		got, err := e.Changes(e.ctx, workspace, after, 100)
		if after+1 < first {
			e.is(err, store.ErrCompacted)
			continue
		}
		e.ok(err)
		e.equal("changes", got, append([]jwks.Change{}, all[min(after, uint64(len(all))):]...))
	}
}

// eightChanges creates a workspace with eight versions and returns its log.
func (e env) eightChanges(id string) []jwks.Change {
	e.Helper()
	e.create(id)
	for i, k := range e.issueMany(id, "a", "b", "c", "d") {
		if i > 0 {
			e.revoke(k)
		}
	}
	return e.changesOf(id)
}

func compactThrough(e env) {
	all := e.eightChanges("acme")
	e.equal("changes", len(all), 8)
	for _, c := range []struct{ through, first uint64 }{{0, 1}, {1, 2}, {1, 2}, {0, 2}, {5, 6}, {3, 6}, {7, 8}, {7, 8}} {
		e.compact("acme", c.through)
		e.logIs("acme", all, c.first)
	}
	_, err := e.Compact(e.ctx, "nobody", 1)
	e.is(err, store.ErrNotFound)
}

func compactLatest(e env) {
	for i, through := range []uint64{8, 9, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64} {
		id := string(rune('a' + i))
		all := e.eightChanges(id)
		e.compact(id, through)
		e.logIs(id, all, 8)
		// Later changes stay until the next Compact.
		e.issueMany(id, "x", "y")
		page, err := e.Changes(e.ctx, id, 7, 10)
		e.ok(err)
		e.equal("the latest change and those after it", len(page), 3)
		e.compact(id, through)
	}
	e.create("new")
	e.compact("new", math.MaxUint64)
	e.consistent("new")
}

func compactApart(e env) {
	e.eightChanges("acme")
	e.eightChanges("other")
	e.plan("acme", "gold", rule(1))
	e.issue(fencedRecord())
	w, err := e.Workspace(e.ctx, "acme")
	e.ok(err)
	published := e.feed("acme")
	records := e.list("acme", store.Filter{})
	e.compact("acme", math.MaxUint64)
	got, err := e.Workspace(e.ctx, "acme")
	e.ok(err)
	e.equal("workspace", got, w)
	e.equal("published", e.feed("acme"), published)
	e.equal("records", e.list("acme", store.Filter{}), records)
	e.consistent("other")
	k, _ := e.issue(NewRecord("acme", "o"))
	e.equal("the next version", k.Version, published.version+1)
}

func compactWhileWritten(e env) {
	const writes = 30
	e.create("acme")
	var after []uint64 // what a follower saw
	e.parallel(4, func(i int) {
		switch i {
		case 0:
			for range writes {
				if _, err := e.Issue(e.ctx, NewRecord("acme", "o"), NewKey(e), nil); err != nil {
					e.Error(err)
				}
			}
		case 1:
			after = e.followVersions(writes)
		default:
			for through := range uint64(writes) {
				e.compact("acme", through)
			}
		}
	})
	for i := 1; i < len(after); i++ {
		if after[i] <= after[i-1] {
			e.Errorf("change %d came after %d", after[i], after[i-1])
		}
	}
	e.compact("acme", math.MaxUint64)
	keys, version := e.published("acme")
	e.equal("published", len(keys), writes+1)
	e.equal("version", version, uint64(writes+1))
	page, err := e.Changes(e.ctx, "acme", version-1, 10)
	e.ok(err)
	e.equal("the latest", len(page), 1)
}

// followVersions reads the log while it grows and is compacted. A page has no gap; if the next change was
// dropped, the reader continues from the version of the published set.
func (e env) followVersions(count int) (seen []uint64) {
	at := uint64(0)
	for range count {
		page, err := e.Changes(e.ctx, "acme", at, 5)
		switch {
		case err == nil:
			for i, c := range page {
				if c.Version != at+uint64(i)+1 {
					e.Errorf("change %d after %d", c.Version, at)
				}
				seen = append(seen, c.Version)
			}
			at += uint64(len(page))
		case errors.Is(err, store.ErrCompacted):
			version, _, err := e.Published(e.ctx, "acme", func(jwks.Key, jwks.Attributes) error { return nil })
			if err != nil {
				e.Error(err)
			}
			at = version
		default:
			e.Error(err)
		}
	}
	return seen
}
