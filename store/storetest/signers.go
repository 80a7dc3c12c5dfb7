package storetest

import (
	"sync/atomic"
	"time"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

var signerTests = []test{
	{"are in the set until they are removed, and no tombstone", signersPublished},
	{"are listed, and end earlier but not later", signersEnd},
	{"are limited in each workspace, also if many servers add them", signersBound},
	{"are removed once if many try", signersRace},
	{"are refused for unknown workspaces and known kids", signersRefused},
	{"are for the workspaces whose policy has an exchange", signersExchanging},
	{"are for keys that are read together with the policy", signersKey},
}

// signer publishes a signer that is removed at a time after now.
func (e env) signer(workspace string, removed time.Duration) (store.Signer, jwks.Key) {
	e.Helper()
	pub := NewKey(e)
	s := store.Signer{
		Workspace: workspace, KID: pub.KID(), UsableAt: now.Add(time.Minute), EndsAt: now.Add(removed / 2), RemoveAt: now.Add(removed),
	}
	_, err := e.PublishSigner(e.ctx, s, pub)
	e.ok(err)
	return s, pub
}

func (e env) signers(workspace string) []store.Signer {
	e.Helper()
	list, err := e.Signers(e.ctx, workspace)
	e.ok(err)
	return list
}

func signersPublished(e env) {
	_, tombstone := e.create("acme")
	e.create("other")
	k, pub := e.issue(NewRecord("acme", "o"))
	var pubs []jwks.Key
	for i := range 3 {
		_, pub := e.signer("acme", time.Duration(i+1)*time.Hour)
		pubs = append(pubs, pub)
	}
	_, others := e.signer("other", time.Hour)
	set, version := e.published("acme")
	e.equal("version", version, uint64(5))
	e.equal("set", set, sorted(map[jwks.KID]jwks.Key{
		tombstone.KID(): tombstone, k.KID: pub, pubs[0].KID(): pubs[0], pubs[1].KID(): pubs[1], pubs[2].KID(): pubs[2],
	}))
	got, err := e.Tombstone(e.ctx, "acme")
	e.ok(err)
	e.equal("tombstone", got.KID(), tombstone.KID())
	e.consistent("acme")

	for _, at := range []time.Duration{time.Hour - 1000, 2 * time.Hour} {
		due, err := e.SignersDue(e.ctx, now.Add(at), 10)
		e.ok(err)
		e.equal("workspaces with signers due", len(due), map[bool]int{true: 2}[at > time.Hour])
	}
	kids, version, err := e.RemoveSigners(e.ctx, "acme", now.Add(time.Hour-1000))
	e.ok(err)
	if len(kids) != 0 || version != 0 {
		e.Errorf("before the time, %v were removed by version %d", kids, version)
	}
	kids, version, err = e.RemoveSigners(e.ctx, "acme", now.Add(2*time.Hour))
	e.ok(err)
	e.equal("removed", len(kids), 2)
	e.equal("version", version, uint64(6))
	set, _ = e.published("acme")
	e.equal("set", set, sorted(map[jwks.KID]jwks.Key{tombstone.KID(): tombstone, k.KID: pub, pubs[2].KID(): pubs[2]}))
	e.equal("signers left", len(e.signers("acme")), 1)
	e.equal("of the other workspace", e.signers("other")[0].KID, others.KID())
	e.consistent("acme")
}

func signersEnd(e env) {
	e.create("acme")
	later, _ := e.signer("acme", 2*time.Hour)
	sooner, _ := e.signer("acme", time.Hour)
	e.equal("signers", e.signers("acme"), []store.Signer{sooner, later})
	e.ok(e.EndSigners(e.ctx, "acme", []jwks.KID{later.KID, newKID(e)}, now.Add(time.Minute), now.Add(90*time.Minute)))
	later.EndsAt, later.RemoveAt = now.Add(time.Minute), now.Add(90*time.Minute)
	e.ok(e.EndSigners(e.ctx, "acme", []jwks.KID{later.KID, sooner.KID}, now.Add(24*time.Hour), now.Add(24*time.Hour)))
	e.equal("signers", e.signers("acme"), []store.Signer{sooner, later})
	e.equal("of an unknown workspace", len(e.signers("nobody")), 0)
}

func signersBound(e env) {
	e.create("acme")
	e.create("other")
	stores := []store.Store{e.Store, e.open()}
	var added atomic.Int32
	e.parallel(2, func(i int) {
		for {
			pub := NewKey(e)
			_, err := stores[i].PublishSigner(e.ctx, store.Signer{Workspace: "acme", UsableAt: now, EndsAt: now, RemoveAt: now}, pub)
			if err != nil {
				e.is(err, store.ErrTooMany)
				return
			}
			added.Add(1)
		}
	})
	e.equal("signers", int(added.Load()), store.MaxSigners)
	e.equal("listed", len(e.signers("acme")), store.MaxSigners)
	e.signer("other", time.Hour)
	set, _ := e.published("acme")
	e.equal("set", len(set), store.MaxSigners+1)
	e.consistent("acme")
}

func signersRace(e env) {
	e.create("acme")
	for range 20 {
		e.signer("acme", time.Hour)
	}
	_, before := e.published("acme")
	stores := []store.Store{e.Store, e.open()}
	var removed atomic.Int32
	e.parallel(4, func(i int) {
		kids, _, err := stores[i%2].RemoveSigners(e.ctx, "acme", now.Add(time.Hour))
		e.ok(err)
		removed.Add(int32(len(kids)))
	})
	e.equal("removed", int(removed.Load()), 20)
	set, version := e.published("acme")
	e.equal("set", len(set), 1)
	e.equal("version", version, before+1)
	e.consistent("acme")
}

func signersRefused(e env) {
	e.create("acme")
	k, pub := e.issue(NewRecord("acme", "o"))
	s := store.Signer{Workspace: "acme", UsableAt: now, EndsAt: now, RemoveAt: now}
	_, err := e.PublishSigner(e.ctx, s, pub)
	e.is(err, store.ErrDuplicateKID)
	_, published := e.signer("acme", time.Hour)
	_, err = e.PublishSigner(e.ctx, s, published)
	e.is(err, store.ErrDuplicateKID)
	_, err = e.Issue(e.ctx, NewRecord("acme", "o"), published, nil)
	e.is(err, store.ErrDuplicateKID)
	s.Workspace = "nobody"
	_, err = e.PublishSigner(e.ctx, s, NewKey(e))
	e.is(err, store.ErrNotFound)
	_, version := e.published("acme")
	e.equal("version", version, k.Version+1)
	e.consistent("acme")
}

func signersExchanging(e env) {
	for _, id := range []string{"acme", "beta", "gamma"} {
		e.create(id)
	}
	set := func(id string, x store.Exchange) {
		_, err := e.UpdateWorkspace(e.ctx, id, func(w *store.Workspace) error {
			w.Policy.Scopes = []store.OfferedScope{{Name: "x", Description: `"exchange":{"enabled":true`}}
			w.Policy.Exchange = x
			return nil
		})
		e.ok(err)
	}
	on := store.Exchange{Enabled: true, MaxExpiresIn: 600, MaxCacheAge: 5, PerMinute: 7}
	set("gamma", on)
	set("beta", store.Exchange{MaxExpiresIn: 600})
	set("acme", on)
	list := func(limit int) (ids []string) {
		all, err := e.Exchanging(e.ctx, limit)
		e.ok(err)
		for _, x := range all {
			e.equal("exchange", x.Exchange, on)
			ids = append(ids, x.Workspace)
		}
		return ids
	}
	e.equal("workspaces", list(10), []string{"acme", "gamma"})
	e.equal("the first", list(1), []string{"acme"})
	set("acme", store.Exchange{})
	e.equal("workspaces", list(10), []string{"gamma"})
}

func signersKey(e env) {
	e.create("acme")
	e.create("other")
	k, _ := e.issue(NewRecord("acme", "o"))
	got, policy, err := e.KeyForExchange(e.ctx, "acme", k.KID)
	e.ok(err)
	e.equal("key", got, k)
	e.equal("exchange", policy.Exchange, store.Exchange{})
	_, err = e.UpdateWorkspace(e.ctx, "acme", func(w *store.Workspace) error {
		w.Policy.Exchange.Enabled = true
		return nil
	})
	e.ok(err)
	revoked := e.revoke(k)
	got, policy, err = e.KeyForExchange(e.ctx, "acme", k.KID)
	e.ok(err)
	e.equal("key", got, revoked)
	e.equal("exchange", policy.Exchange.Enabled, true)
	for workspace, kid := range map[string]jwks.KID{"acme": newKID(e), "other": k.KID} {
		_, _, err = e.KeyForExchange(e.ctx, workspace, kid)
		e.is(err, store.ErrNotFound)
	}
}
