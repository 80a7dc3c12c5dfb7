package storetest

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

var revokeTests = []test{
	{"deletes the JWK but not the record", revokeKey},
	{"takes one version however often it is asked for", revokeAgain},
	{"takes one version when many ask at once", revokeRace},
	{"may race with the issuing of the same key", revokeWhileIssued},
	{"needs a time", revokeTime},
}

func revokeKey(e env) {
	_, tombstone := e.create("acme")
	k, pub := e.issue(NewRecord("acme", "o"))
	other, otherPub := e.issue(NewRecord("acme", "o"))
	at := now.Add(time.Minute)
	revoked, err := e.Revoke(e.ctx, "acme", k.ID, at.Add(999*time.Nanosecond).In(time.FixedZone("", 60)))
	e.ok(err)
	want := k
	want.RevokedAt, want.RevokedVersion = at, 4
	e.equal("revoked", revoked, want)
	e.equal("read", e.key(k), want)
	e.equal("the other", e.key(other), other)
	keys, version := e.published("acme")
	e.equal("version", version, uint64(4))
	e.equal("published", keys, sorted(map[jwks.KID]jwks.Key{tombstone.KID(): tombstone, otherPub.KID(): otherPub}))
	e.equal("change", e.changesOf("acme")[3],
		jwks.Change{Version: 4, Add: []jwks.Key{}, Remove: []jwks.KID{pub.KID()}})
	e.revoke(other)
	keys, _ = e.published("acme")
	e.equal("published when all are revoked", keys, []jwks.Key{tombstone})
	e.consistent("acme")
}

func revokeAgain(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	first := e.revoke(k)
	for i := range 3 {
		again, err := e.Revoke(e.ctx, "acme", k.ID, now.Add(time.Duration(i)*time.Hour))
		e.ok(err)
		e.equal("again", again, first)
	}
	e.equal("changes", len(e.changesOf("acme")), 3)
	_, err := e.Revoke(e.ctx, "acme", uuid.Must(uuid.NewV7()), now)
	e.is(err, store.ErrNotFound)
	e.consistent("acme")
}

func revokeRace(e env) {
	const callers = 16
	e.create("acme")
	for range 5 {
		k, _ := e.issue(NewRecord("acme", "o"))
		answers := make([]store.Key, callers)
		e.parallel(callers, func(i int) {
			var err error
			if answers[i], err = e.Revoke(e.ctx, "acme", k.ID, now.Add(time.Duration(i)*time.Second)); err != nil {
				e.Error(err)
			}
		})
		for _, got := range answers {
			e.equal("answer", got, answers[0])
		}
		e.equal("read", e.key(k), answers[0])
		e.equal("revoked version", answers[0].RevokedVersion, k.Version+1)
	}
	e.equal("changes", len(e.changesOf("acme")), 1+5*2)
	e.consistent("acme")
}

func revokeWhileIssued(e env) {
	const callers = 6
	e.create("acme")
	for range 5 {
		k, pub := NewRecord("acme", "o"), NewKey(e)
		var won atomic.Int32
		answers := make([]store.Key, callers)
		e.parallel(2*callers, func(i int) {
			if i >= callers {
				answers[i-callers] = e.revokeOnceThere(k)
				return
			}
			switch _, err := e.Issue(e.ctx, k, pub, nil); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, store.ErrDuplicateKID):
				e.Error(err)
			}
		})
		e.equal("issued", won.Load(), int32(1))
		for _, got := range answers {
			e.equal("answer", got, e.key(k))
		}
		e.equal("revoked version", answers[0].RevokedVersion, answers[0].Version+1)
	}
	e.equal("changes", len(e.changesOf("acme")), 1+5*2)
	e.consistent("acme")
}

// revokeOnceThere tries to revoke a key until it has been issued.
func (e env) revokeOnceThere(k store.Key) store.Key {
	for {
		got, err := e.Revoke(e.ctx, k.Workspace, k.ID, now)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			e.Error(err)
		}
		return got
	}
}

func revokeTime(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	if _, err := e.Revoke(e.ctx, "acme", k.ID, time.Time{}); err == nil {
		e.Error("a revocation without a time passes")
	}
	e.equal("read", e.key(k), k)
	for _, at := range []time.Time{time.Unix(0, 0), now.Add(-time.Hour), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} {
		k, _ := e.issue(NewRecord("acme", "o"))
		revoked, err := e.Revoke(e.ctx, "acme", k.ID, at)
		e.ok(err)
		e.equal("revoked at", revoked.RevokedAt, at.UTC())
		e.equal("read", e.key(k), revoked)
		e.equal("status", revoked.Status(now), store.Revoked)
	}
}
