package storetest

import (
	"net/netip"
	"time"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

var ceilingTests = []test{
	{"are stored, and not published", ceilingsStored},
	{"go over to the successor, which expires within them", ceilingsRotate},
	{"that are set during a rotation bind the successor or follow it", ceilingsRace},
	{"of removed keys cannot change", ceilingsRemoved},
}

func someCeiling() store.Ceiling {
	return store.Ceiling{ExpiresAt: now.Add(time.Minute), Scopes: []string{"maps:read"}, AllowedIPs: someNetworks}
}

func ceilingsStored(e env) {
	e.create("acme")
	record := NewRecord("acme", "o")
	record.Ceiling.AllowedIPs = someNetworks
	k, _ := e.issue(record)
	e.equal("issued", k.Ceiling, record.Ceiling)
	e.equal("read", e.key(k), k)
	for _, want := range []store.Ceiling{
		someCeiling(), {ExpiresAt: now}, {Scopes: []string{}}, {Scopes: []string{"maps:write", "a"}}, {AllowedIPs: someNetworks[1:]}, {},
	} {
		got := e.update(k, 0, func(k *store.Key) { k.Ceiling, k.UpdatedAt = want, now.Add(time.Second) })
		e.equal("ceiling", got.Ceiling, want)
		e.equal("read", e.key(k), got)
	}
	e.update(k, 0, func(k *store.Key) { k.Ceiling = store.Ceiling{AllowedIPs: []netip.Prefix{}} })
	if entries := e.audit("acme", store.AuditFilter{Key: k.ID}); string(entries[len(entries)-2].Detail) !=
		`{"ceiling":{"before":{},"after":{"expires_at":"2026-03-04T05:07:07.123456Z","scopes":["maps:read"]}}}` {
		e.Errorf("the audit has %s", entries[len(entries)-2].Detail)
	}
	for _, u := range e.changesOf("acme") {
		if len(u.Unsigned.Set) > 0 {
			e.Errorf("published: %+v", u)
		}
	}
	_, err := e.UpdateKey(e.ctx, "acme", k.ID, func(_ *store.Workspace, k *store.Key) error {
		k.Ceiling.Scopes = []string{"\xff"}
		return nil
	})
	if err == nil {
		e.Error("a scope that is not UTF-8 is stored")
	}
	e.consistent("acme")
}

func ceilingsRotate(e env) {
	e.create("acme")
	for _, grace := range []time.Duration{0, time.Minute} {
		k, _ := e.issue(NewRecord("acme", "o")) // for an hour
		k = e.update(k, 1, func(k *store.Key) { k.Ceiling, k.ExpiresAt = someCeiling(), now.Add(time.Second) })
		record := NewRecord("acme", "o")
		_, next, err := e.Rotate(e.ctx, "acme", k.ID, record, NewKey(e), now.Add(grace), nil)
		e.ok(err)
		e.equal("read", e.key(next), next)
		e.equal("ceiling", next.Ceiling, someCeiling())
		e.equal("expires", next.ExpiresAt, someCeiling().ExpiresAt)
		e.equal("signed", next.Signed.ExpiresAt, record.ExpiresAt)
		e.equal("attributes", e.feed("acme").attributes[next.KID], jwks.Attributes{ExpiresAt: next.ExpiresAt})
		record = NewRecord("acme", "o")
		record.ExpiresAt, record.Ceiling = now.Add(time.Minute), store.Ceiling{}
		_, next, err = e.Rotate(e.ctx, "acme", next.ID, record, NewKey(e), now.Add(grace), nil)
		e.ok(err)
		if next.Signed != nil || !next.Ceiling.Equal(&k.Ceiling) {
			e.Errorf("within the ceiling: %+v", next)
		}
	}
	k, _ := e.issue(NewRecord("acme", "o"))
	old, next, err := e.Rotate(e.ctx, "acme", k.ID, NewRecord("acme", "o"), NewKey(e), now.Add(time.Minute), nil)
	e.ok(err)
	e.update(next, 0, func(k *store.Key) { k.Ceiling = someCeiling() })
	_, _, err = e.UndoRotation(e.ctx, "acme", old.ID, next.ID, now) // the owner would get a key without a ceiling
	e.is(err, store.ErrNotActive)
	e.update(old, 0, func(k *store.Key) { k.Ceiling = someCeiling() })
	_, _, err = e.UndoRotation(e.ctx, "acme", old.ID, next.ID, now)
	e.ok(err)
	e.consistent("acme")
}

func ceilingsRace(e env) {
	e.create("acme")
	for range 10 {
		k, _ := e.issue(NewRecord("acme", "o"))
		var next store.Key
		e.parallel(2, func(i int) {
			var err error
			if i == 0 {
				_, next, err = e.Rotate(e.ctx, "acme", k.ID, NewRecord("acme", "o"), NewKey(e), now.Add(time.Minute), nil)
			} else {
				_, err = e.UpdateKey(e.ctx, "acme", k.ID, func(_ *store.Workspace, k *store.Key) error {
					k.Ceiling, k.ExpiresAt, k.AllowedIPs = someCeiling(), someCeiling().ExpiresAt, someNetworks
					return nil
				})
			}
			if err != nil {
				e.Error(err)
			}
		})
		set := e.restrictedAt(k.KID)
		if before := set < next.Version; before == next.Ceiling.IsZero() || before != next.ExpiresAt.Equal(someCeiling().ExpiresAt) {
			e.Errorf("set at version %d, rotated at %d: %+v", set, next.Version, next)
		}
	}
	e.consistent("acme")
}

func ceilingsRemoved(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	k = e.revoke(k)
	_, err := e.UpdateKey(e.ctx, "acme", k.ID, func(_ *store.Workspace, k *store.Key) error { k.Ceiling = someCeiling(); return nil })
	e.is(err, store.ErrNotActive)
	e.equal("read", e.key(k), k)
}
