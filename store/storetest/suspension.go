package storetest

import (
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

func attributesSuspend(e env) {
	e.create("acme")
	e.plan("acme", "gold", rule(1))
	k, pub := e.issue(fencedRecord())
	attributes := e.feed("acme").attributes[k.KID]
	suspended := e.suspend(k)
	e.equal("status", suspended.Status(now), store.Suspended)
	e.equal("the change", e.changesOf("acme")[3], jwks.Change{Version: 4, Add: []jwks.Key{}, Remove: []jwks.KID{k.KID}})
	if f := e.feed("acme"); len(f.keys) != 1 || len(f.attributes) != 0 {
		e.Errorf("published: %+v", f)
	}
	kept, err := e.SuspendedJWK(e.ctx, "acme", k.KID)
	e.ok(err)
	e.equal("the JWK", kept, pub)
	_, err = e.SuspendedJWK(e.ctx, "other", k.KID)
	e.is(err, store.ErrNotFound)
	// Again, later: nothing happens but a new reason. Other attributes change, and nothing is published.
	again := e.update(k, 0, func(k *store.Key) {
		k.SuspendedAt, k.SuspendedReason, k.SuspendedBy = now.Add(time.Minute), "other", store.ByOwner
	})
	e.equal("suspended at", again.SuspendedAt, now)
	e.equal("reason", again.SuspendedReason, "other")
	e.equal("by", again.SuspendedBy, store.ByOwner)
	e.update(k, 0, func(k *store.Key) { k.Limits = nil })
	n, err := e.CountKeys(e.ctx, "acme", "o", store.Active, now, 10)
	e.ok(err)
	e.equal("keys of the owner", n, 1)
	_, err = e.Issue(e.ctx, NewRecord("acme", "o"), NewKey(e), within(1))
	e.is(err, store.ErrTooMany)
	resumed := e.resume(k)
	_, err = e.SuspendedJWK(e.ctx, "acme", k.KID)
	e.is(err, store.ErrNotFound)
	e.equal("reason", resumed.SuspendedReason+resumed.SuspendedBy, "")
	attributes.Limits = nil
	e.equal("attributes", e.feed("acme").attributes[k.KID], attributes)
	e.equal("the change", e.changesOf("acme")[4], jwks.Change{
		Version: 5, Add: []jwks.Key{pub}, Remove: []jwks.KID{}, Unsigned: resumed.Issued(),
	})
	e.update(k, 0, func(k *store.Key) { k.SuspendedAt = time.Time{} })
	e.consistent("acme")
	for range 3 {
		e.suspend(k)
		e.resume(k)
	}
	e.consistent("acme")
}

var suspensionTests = []test{
	{"ends with a revocation", suspendedRevoke},
	{"ends when the key is due", suspendedRetire},
	{"prevents a rotation", suspendedRotate},
	{"is possible in the grace", suspendedGrace},
	{"of a management key ends its authority", suspendedAuthority},
	{"and revocations of one key leave no trace in the set", suspendedRace},
}

func suspendedRevoke(e env) {
	_, tombstone := e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	k = e.suspend(k)
	want := k
	want.RevokedAt, want.RevokedVersion = now.Add(time.Minute), 4
	e.equal("revoked", e.revoke(k), want)
	e.equal("read", e.key(k), want)
	e.equal("the change", e.changesOf("acme")[3], jwks.Change{Version: 4, Add: []jwks.Key{}, Remove: []jwks.KID{}})
	e.equal("status", want.Status(now), store.Revoked)
	e.equal("again", e.revoke(k), want)
	_, err := e.UpdateKey(e.ctx, "acme", k.ID, func(_ *store.Workspace, k *store.Key) error { k.SuspendedAt = time.Time{}; return nil })
	e.is(err, store.ErrNotActive)
	keys, _ := e.published("acme")
	e.equal("published", keys, []jwks.Key{tombstone})
	e.consistent("acme")
}

func suspendedRetire(e env) {
	_, tombstone := e.create("acme")
	var list []uuid.UUID
	for i := range 4 {
		k, _ := e.issue(NewRecord("acme", "o"))
		if list = append(list, k.ID); i%2 == 0 {
			e.suspend(k)
		}
	}
	due, err := e.Due(e.ctx, store.DuePlace{}, now.Add(time.Hour), 10)
	e.ok(err)
	e.equal("due", len(due), 4)
	_, version := e.published("acme")
	retired, err := e.Retire(e.ctx, "acme", list[:1], now.Add(time.Hour)) // only a suspended one
	e.ok(err)
	e.equal("status", retired[0].Status(now), store.Expired)
	retired, err = e.Retire(e.ctx, "acme", list, now.Add(time.Hour))
	e.ok(err)
	e.equal("retired", len(retired), 3)
	keys, after := e.published("acme")
	e.equal("version", after, version+2)
	e.equal("published", keys, []jwks.Key{tombstone})
	e.consistent("acme")
}

func suspendedRotate(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	e.suspend(k)
	for _, grace := range []time.Duration{0, time.Minute} {
		_, _, err := e.Rotate(e.ctx, "acme", k.ID, NewRecord("acme", "o"), NewKey(e), now.Add(grace), nil)
		e.is(err, store.ErrNotActive)
	}
	e.resume(k)
	_, _, err := e.Rotate(e.ctx, "acme", k.ID, NewRecord("acme", "o"), NewKey(e), now.Add(time.Minute), nil)
	e.ok(err)
	e.consistent("acme")
}

func suspendedGrace(e env) {
	e.create("acme")
	for _, end := range []func(old store.Key) store.Key{
		func(old store.Key) store.Key { return e.revoke(old) },
		func(old store.Key) store.Key {
			k, err := e.EndGrace(e.ctx, "acme", old.ID, old.RotatedTo, now)
			e.ok(err)
			return k
		},
		func(old store.Key) store.Key {
			retired, err := e.Retire(e.ctx, "acme", []uuid.UUID{old.ID}, old.GraceEndsAt)
			e.ok(err)
			return retired[0]
		},
	} {
		k, _ := e.issue(NewRecord("acme", "o"))
		old, next, err := e.Rotate(e.ctx, "acme", k.ID, NewRecord("acme", "o"), NewKey(e), now.Add(time.Minute), nil)
		e.ok(err)
		undo := func() error {
			_, _, err := e.UndoRotation(e.ctx, "acme", old.ID, next.ID, now)
			return err
		}
		// The owner of a suspended key could otherwise get a valid one.
		next = e.suspend(next)
		e.is(undo(), store.ErrNotActive)
		e.resume(next)
		old = e.suspend(old)
		e.is(undo(), store.ErrNotActive)
		e.equal("status", old.Status(now), store.Suspended)
		e.equal("in its grace", old.InGrace(next.ID, now), true)
		e.resume(old)
		old = e.suspend(old)
		version := e.feed("acme").version
		ended := end(old)
		e.equal("status", ended.Status(now), store.Revoked)
		e.equal("version", ended.RevokedVersion, version+1)
		e.consistent("acme")
	}
	k, _ := e.issue(NewRecord("acme", "o"))
	old, next, err := e.Rotate(e.ctx, "acme", k.ID, NewRecord("acme", "o"), NewKey(e), now.Add(time.Minute), nil)
	e.ok(err)
	e.suspend(old)
	e.resume(old)
	_, _, err = e.UndoRotation(e.ctx, "acme", old.ID, next.ID, now)
	e.ok(err)
	e.consistent("acme")
}

func suspendedAuthority(e env) {
	e.create(store.Home)
	e.create("acme")
	k, _ := e.issue(NewRecord(store.Home, "admin"))
	at := func() time.Time { return now }
	ctx := store.Under(e.ctx, store.Authority{Key: k.ID, Now: at})
	link := newSession(store.KindLink)
	link.MadeBy = k.ID
	e.ok(e.CreateSession(e.ctx, link))
	session := store.Under(e.ctx, store.Authority{Session: link.Hash, Now: func() time.Time { return link.CreatedAt }})
	e.ok(e.Standing(ctx))
	e.ok(e.Standing(session))
	e.suspend(k)
	e.is(e.Standing(ctx), store.ErrNoAuthority)
	e.is(e.Standing(session), store.ErrNoAuthority)
	_, err := e.Issue(ctx, NewRecord("acme", "o"), NewKey(e), nil)
	e.is(err, store.ErrNoAuthority)
	e.resume(k)
	e.ok(e.Standing(ctx))
	e.ok(e.Standing(session))
}

func suspendedRace(e env) {
	_, tombstone := e.create("acme")
	for round := range 8 {
		k, _ := e.issue(NewRecord("acme", "o"))
		e.parallel(3, func(i int) {
			var err error
			switch {
			case i == 0 && round%2 == 0:
				_, err = e.Revoke(e.ctx, "acme", k.ID, now)
			case i == 0:
				_, err = e.Retire(e.ctx, "acme", []uuid.UUID{k.ID}, now.Add(time.Hour))
			default:
				for range 4 {
					_, err = e.UpdateKey(e.ctx, "acme", k.ID, func(_ *store.Workspace, k *store.Key) error {
						if k.SuspendedAt.IsZero() {
							k.SuspendedAt = now
						} else {
							k.SuspendedAt = time.Time{}
						}
						return nil
					})
				}
				err = unless(err, store.ErrNotActive)
			}
			if err != nil {
				e.Error(err)
			}
		})
		if got := e.key(k); got.Removed() == 0 {
			e.Errorf("not removed: %+v", got)
		}
		keys, _ := e.published("acme")
		e.equal("published", keys, []jwks.Key{tombstone})
	}
	e.consistent("acme")
}
