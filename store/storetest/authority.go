package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

var authorityTests = []test{
	{"of a key ends when that is revoked, rotated out or expires", authorityOfKeys},
	{"of a session ends with it, and with the key that made it", authorityOfSessions},
	{"is looked at by everything that changes something", authorityEverywhere},
	{"has nothing come out once its end has returned", authorityRace},
	{"of Home's keys over one another does not deadlock", authorityAmongThemselves},
	{"of a link's maker is looked at when the link is opened", authorityOfLinks},
}

// caller issues a key of Home, and returns a context with its authority.
func (e env) caller() (store.Key, context.Context) {
	e.Helper()
	k, _ := e.issue(NewRecord(store.Home, "operator"))
	return k, e.under(store.Authority{Key: k.ID})
}

// under returns a context with an authority whose clock always shows the suite's time `now`.
func (e env) under(a store.Authority) context.Context {
	a.Now = func() time.Time { return now }
	return store.Under(e.ctx, a)
}

// stands checks whether Standing and a change of acme treat the context's authority as valid.
func (e env) stands(ctx context.Context, want bool) {
	e.Helper()
	var end error
	if !want {
		end = store.ErrNoAuthority
	}
	records := len(e.list("acme", store.Filter{}))
	e.is(e.Standing(ctx), end)
	_, err := e.Issue(ctx, NewRecord("acme", "o"), NewKey(e), nil)
	e.is(err, end)
	if after := len(e.list("acme", store.Filter{})); (after > records) != want {
		e.Fatalf("%d keys became %d", records, after)
	}
}

func authorityOfKeys(e env) {
	e.create(store.Home)
	e.create("acme")
	e.stands(e.ctx, true)
	e.stands(e.under(store.Authority{Key: uuid.Must(uuid.NewV7())}), false)
	elsewhere, _ := e.issue(NewRecord("acme", "o"))
	e.stands(e.under(store.Authority{Key: elsewhere.ID}), false)

	k, ctx := e.caller()
	e.stands(ctx, true)
	e.revoke(k)
	e.stands(ctx, false)

	k, ctx = e.caller()
	late := store.Under(e.ctx, store.Authority{Key: k.ID, Now: func() time.Time { return k.ExpiresAt }})
	e.stands(ctx, true)
	e.stands(late, false)

	rotate := func(k store.Key, ends time.Time) {
		e.Helper()
		next := successor(k)
		next.Workspace = store.Home
		_, _, err := e.Rotate(e.ctx, store.Home, k.ID, next, NewKey(e), ends, nil)
		e.ok(err)
	}
	rotate(k, now.Add(time.Minute))
	e.stands(ctx, true) // in its grace
	e.stands(store.Under(e.ctx, store.Authority{Key: k.ID, Now: func() time.Time { return now.Add(time.Minute) }}), false)
	k, ctx = e.caller()
	rotate(k, now)
	e.stands(ctx, false)

	k, ctx = e.caller() // a key may revoke itself, and nothing after that
	_, err := e.Revoke(ctx, store.Home, k.ID, now)
	e.ok(err)
	_, err = e.Revoke(ctx, store.Home, k.ID, now)
	e.is(err, store.ErrNoAuthority)
	e.stands(ctx, false)
	e.consistent("acme")
	e.consistent(store.Home)
}

func (e env) begun(kind string, madeBy uuid.UUID) store.Session {
	e.Helper()
	s := store.Session{
		Hash: sha256.Sum256([]byte(uuid.NewString())), Kind: kind, Workspace: "acme", Owner: "o", Role: store.RoleOwner,
		MadeBy: madeBy, CreatedAt: now, ExpiresAt: now.Add(time.Minute),
	}
	e.ok(e.CreateSession(e.ctx, s))
	return s
}

func authorityOfSessions(e env) {
	e.create(store.Home)
	e.create("acme")
	e.stands(e.under(store.Authority{Session: [32]byte{1}}), false)
	s := e.begun(store.KindSession, uuid.Nil)
	ctx := e.under(store.Authority{Session: s.Hash})
	e.stands(ctx, true)
	e.stands(store.Under(e.ctx, store.Authority{Session: s.Hash, Now: func() time.Time { return s.ExpiresAt }}), false)
	e.ok(e.EndSession(e.ctx, s.Hash, now))
	e.stands(ctx, false)

	s = e.begun(store.KindSession, uuid.Nil)
	ctx = e.under(store.Authority{Session: s.Hash})
	_, err := e.EndSessions(e.ctx, "acme", "o", now)
	e.ok(err)
	e.stands(ctx, false)

	maker, _ := e.caller()
	ctx = e.under(store.Authority{Session: e.begun(store.KindSession, maker.ID).Hash})
	e.stands(ctx, true)
	_, err = e.Retire(e.ctx, store.Home, []uuid.UUID{maker.ID}, maker.ExpiresAt)
	e.ok(err)
	e.stands(ctx, true) // sessions made by a key survive its expiry
	e.revoke(maker)
	e.stands(ctx, false)
}

// authorityEverywhere calls every method that changes something without a valid authority.
func authorityEverywhere(e env) {
	e.create(store.Home)
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	e.limitOn(k)
	graced, next := e.rotate(e.issueMany("acme", "o")[0])
	link, session := e.begun(store.KindLink, uuid.Nil), e.begun(store.KindSession, uuid.Nil)
	gone, ctx := e.caller()
	e.revoke(gone)
	fresh := store.Session{
		Hash: [32]byte{7}, Kind: store.KindSession, Workspace: "acme", Owner: "o", Role: store.RoleOwner,
		CreatedAt: now, ExpiresAt: now.Add(time.Minute),
	}
	rename := func(_ *store.Workspace, k *store.Key) error { k.Name = "x"; return nil }
	state := e.everything()
	for name, change := range map[string]func() error{
		"CreateWorkspace": func() error {
			_, err := e.CreateWorkspace(ctx, store.Workspace{ID: "new", CreatedAt: now}, NewKey(e))
			return err
		},
		"UpdateWorkspace": func() error {
			_, err := e.UpdateWorkspace(ctx, "acme", func(w *store.Workspace) error { w.Name = "x"; return nil })
			return err
		},
		"Issue":     func() error { _, err := e.Issue(ctx, NewRecord("acme", "o"), NewKey(e), within(9)); return err },
		"Revoke":    func() error { _, err := e.Revoke(ctx, "acme", k.ID, now); return err },
		"UpdateKey": func() error { _, err := e.UpdateKey(ctx, "acme", k.ID, rename); return err },
		"Rotate": func() error {
			_, _, err := e.Rotate(ctx, "acme", k.ID, successor(k), NewKey(e), now.Add(time.Minute), within(9))
			return err
		},
		"UndoRotation":    func() error { _, _, err := e.UndoRotation(ctx, "acme", graced.ID, next.ID, now); return err },
		"EndGrace":        func() error { _, err := e.EndGrace(ctx, "acme", graced.ID, next.ID, now); return err },
		"Retire":          func() error { _, err := e.Retire(ctx, "acme", []uuid.UUID{k.ID}, k.ExpiresAt); return err },
		"CreateSession":   func() error { return e.CreateSession(ctx, fresh) },
		"ExchangeSession": func() error { _, err := e.ExchangeSession(ctx, link.Hash, fresh, now); return err },
		"EndSession":      func() error { return e.EndSession(ctx, session.Hash, now) },
		"EndSessions":     func() error { _, err := e.EndSessions(ctx, "acme", "", now); return err },
		"PruneSessions":   func() error { return e.PruneSessions(ctx, now.Add(time.Hour)) },
		"RecordUsage": func() error {
			_, err := e.RecordUsage(ctx, "acme", []store.Use{{KID: k.KID, At: now}}, store.Report{At: now, Reporter: "r"})
			return err
		},
		"Record": func() error {
			return e.Record(ctx, store.Entry{Workspace: "acme", At: now, Action: store.ActionCallRefuse, Result: store.ResultRefused})
		},
		"CreateLimits": func() error {
			_, err := e.CreateLimits(ctx, newLimits("acme", jwks.OnPlan, "new", rule(1)))
			return err
		},
		"UpdateLimits": func() error {
			_, err := e.UpdateLimits(ctx, "acme", jwks.OnOwner, k.ID.String(), func(l *store.LimitSet) error { l.Limits = nil; return nil })
			return err
		},
		"DeleteLimits": func() error { return e.DeleteLimits(ctx, "acme", jwks.OnOwner, k.ID.String(), now) },
		"CreateRequest": func() error {
			_, err := e.CreateRequest(ctx, wish(k, store.Wanted{Plan: "x"}), anything)
			return err
		},
		"DecideRequest": func() error {
			_, _, err := e.DecideRequest(ctx, "acme", k.ID, decide(store.RequestApproved))
			return err
		},
		"RequestSent": func() error { return e.RequestSent(ctx, "acme", k.ID, store.RequestCreated) },
		"Compact":     func() error { _, err := e.Compact(ctx, "acme", 1); return err },
	} {
		if err := change(); !errors.Is(err, store.ErrNoAuthority) {
			e.Errorf("%s: got %v", name, err)
		}
	}
	e.equal("all that there is", e.everything(), state)
}

// everything returns all records, so that a comparison shows any change.
func (e env) everything() (all []any) {
	e.Helper()
	for _, id := range []string{store.Home, "acme"} {
		w, err := e.Workspace(e.ctx, id)
		e.ok(err)
		all = append(all, w, e.feed(id), e.list(id, store.Filter{}), e.audit(id, store.AuditFilter{}), e.changesOf(id))
	}
	return all
}

// authorityRace issues and rotates keys while another store on the same database revokes the caller's key or
// ends the caller's session.
func authorityRace(e env) {
	e.create(store.Home)
	e.create("acme")
	other := e.open()
	for _, ofKey := range []bool{true, false} {
		var ctx context.Context
		var end func() error
		if ofKey {
			k, under := e.caller()
			ctx, end = under, func() error { _, err := other.Revoke(e.ctx, store.Home, k.ID, now); return err }
		} else {
			s := e.begun(store.KindSession, uuid.Nil)
			ctx, end = e.under(store.Authority{Session: s.Hash}), func() error { return other.EndSession(e.ctx, s.Hash, now) }
		}
		done := make(chan struct{}, 12)
		e.parallel(7, func(i int) {
			if i == 0 {
				for range cap(done) {
					<-done
				}
				e.ok(end())
				_, version := e.published("acme")
				e.atVersion(version)
				return
			}
			for {
				k, err := e.Issue(ctx, NewRecord("acme", "o"), NewKey(e), nil)
				if err == nil && i%2 == 0 {
					_, _, err = e.Rotate(ctx, "acme", k.ID, successor(k), NewKey(e), now, within(3))
				}
				select {
				case done <- struct{}{}:
				default:
				}
				if err != nil {
					e.is(err, store.ErrNoAuthority)
					return
				}
			}
		})
	}
	e.consistent("acme")
}

// atVersion checks several times that acme still has this version.
func (e env) atVersion(version uint64) {
	e.Helper()
	for range 20 {
		if _, now := e.published("acme"); now != version {
			e.Errorf("after the end, version %d became %d", version, now)
			return
		}
	}
}

// authorityAmongThemselves: keys of Home issue, change and revoke each other and themselves at the same time.
func authorityAmongThemselves(e env) {
	e.create(store.Home)
	e.create("acme")
	const callers = 6
	keys, ctxs := make([]store.Key, callers), make([]context.Context, callers)
	for i := range keys {
		keys[i], ctxs[i] = e.caller()
	}
	e.parallel(callers, func(i int) {
		of := func(_ any, err error) {
			if err != nil && !errors.Is(err, store.ErrNoAuthority) {
				e.Errorf("caller %d: %v", i, err)
			}
		}
		for range 3 {
			of(e.Issue(ctxs[i], NewRecord(store.Home, "o"), NewKey(e), within(100)))
			of(e.UpdateKey(ctxs[i], store.Home, keys[i].ID, func(_ *store.Workspace, k *store.Key) error { k.Name = "x"; return nil }))
			of(e.UpdateKey(ctxs[i], store.Home, keys[(i+1)%callers].ID, func(_ *store.Workspace, k *store.Key) error { k.Name = "y"; return nil }))
			of(e.Issue(ctxs[i], NewRecord("acme", "o"), NewKey(e), nil))
			of(e.UpdateWorkspace(ctxs[i], store.Home, func(w *store.Workspace) error { w.Name = "z"; return nil }))
		}
		of(e.Revoke(ctxs[i], store.Home, keys[(i+1)%callers].ID, now))
		of(e.Revoke(ctxs[i], store.Home, keys[i].ID, now))
	})
	e.consistent(store.Home)
	e.consistent("acme")
}

func authorityOfLinks(e env) {
	e.create(store.Home)
	e.create("acme")
	maker, _ := e.caller()
	one, two := e.begun(store.KindLink, maker.ID), e.begun(store.KindLink, maker.ID)
	opened := func(n byte) store.Session {
		return store.Session{Hash: [32]byte{n}, Kind: store.KindSession, CreatedAt: now, ExpiresAt: now.Add(time.Minute)}
	}
	_, err := e.ExchangeSession(e.ctx, one.Hash, opened(1), now)
	e.ok(err)
	e.revoke(maker)
	_, err = e.ExchangeSession(e.ctx, two.Hash, opened(2), now)
	e.is(err, store.ErrNoAuthority)
	_, err = e.Session(e.ctx, two.Hash, now)
	e.ok(err) // the link is not used up
	_, err = e.Session(e.ctx, [32]byte{2}, now)
	e.is(err, store.ErrNotFound)
}
