package storetest

import (
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

var dueTests = []test{
	{"comes at the end of a grace, and revokes", retireGrace},
	{"comes with the expiry", retireExpired},
	{"happens once when many try", retireRace},
	{"is a grace's end where that and the expiry are one", retireBoth},
	{"leaves a key that may still be revoked, for no version", revokeRetired},
	{"may race with revocation", retireWhileRevoked},
	{"lists what is due in all workspaces, the earliest first", dueList},
	{"lists what is due in pages", duePages},
	{"tells when it is next", nextDue},
}

// notRetired calls Retire, which must change nothing.
func (e env) notRetired(k store.Key, at time.Time) {
	e.Helper()
	_, version := e.published(k.Workspace)
	entries := e.audit(k.Workspace, store.AuditFilter{})
	got, err := e.Retire(e.ctx, k.Workspace, k.ID, at)
	e.ok(err)
	e.equal("what is not due", got, k)
	e.equal("read", e.key(k), k)
	_, after := e.published(k.Workspace)
	e.equal("version", after, version)
	e.equal("audit", e.audit(k.Workspace, store.AuditFilter{}), entries)
}

func retireGrace(e env) {
	e.create("acme")
	k, pub := e.issue(NewRecord("acme", "o"))
	old, issued := e.rotate(k)
	e.notRetired(old, old.GraceEndsAt.Add(-1))
	at := old.GraceEndsAt.Add(3 * time.Millisecond)
	got, err := e.Retire(e.ctx, "acme", k.ID, at.Add(999).In(time.FixedZone("", 60)))
	e.ok(err)
	want := old
	want.RevokedAt, want.RevokedVersion = at, 4
	e.equal("retired", got, want)
	e.equal("read", e.key(k), want)
	e.equal("status", got.Status(now), store.Revoked)
	e.equal("change", e.changesOf("acme")[3], jwks.Change{Version: 4, Add: []jwks.Key{}, Remove: []jwks.KID{pub.KID()}})
	e.notRetired(got, at.Add(time.Hour))
	e.equal("revoked again", e.revoke(got), got)
	e.equal("the successor", e.key(issued), issued)
	_, err = e.Retire(e.ctx, "acme", uuid.Must(uuid.NewV7()), at)
	e.is(err, store.ErrNotFound)
	e.consistent("acme")
}

func retireExpired(e env) {
	e.create("acme")
	k, pub := e.issue(NewRecord("acme", "o"))
	e.notRetired(k, k.ExpiresAt.Add(-1))
	got, err := e.Retire(e.ctx, "acme", k.ID, k.ExpiresAt)
	e.ok(err)
	want := k
	want.ExpiredVersion = 3
	e.equal("retired", got, want)
	e.equal("read", e.key(k), want)
	e.equal("change", e.changesOf("acme")[2], jwks.Change{Version: 3, Add: []jwks.Key{}, Remove: []jwks.KID{pub.KID()}})
	// Its status is that of the set, also for a clock that is behind.
	for _, at := range []time.Time{k.ExpiresAt, now, {}} {
		e.equal("status", got.Status(at), store.Expired)
		e.equal("active", e.list("acme", store.Filter{Status: store.Active, Now: at}), []store.Key{})
		e.equal("expired", e.list("acme", store.Filter{Status: store.Expired, Now: at}), []store.Key{got})
	}
	e.notRetired(got, k.ExpiresAt.Add(time.Hour))
	next := successor(k)
	e.rotateRefused(k.ID, next, NewKey(e), store.ErrNotActive)

	forever := NewRecord("acme", "o")
	forever.ExpiresAt = time.Time{}
	forever, _ = e.issue(forever)
	e.notRetired(forever, now.Add(100000*time.Hour))
	e.notRetired(e.revoke(e.issueMany("acme", "o")[0]), now.Add(time.Hour))
	e.consistent("acme")
}

func retireRace(e env) {
	const callers = 8
	e.create("acme")
	for i := range 6 {
		k, _ := e.issue(NewRecord("acme", "o"))
		if i%2 == 0 {
			k, _ = e.rotate(k)
		}
		_, version := e.published("acme")
		answers := make([]store.Key, callers)
		e.parallel(callers, func(i int) {
			var err error
			if answers[i], err = e.Retire(e.ctx, "acme", k.ID, now.Add(time.Hour+time.Duration(i)*time.Second)); err != nil {
				e.Error(err)
			}
		})
		for _, got := range answers {
			e.equal("answer", got, answers[0])
		}
		e.equal("removed", answers[0].Removed(), version+1)
		e.equal("read", e.key(k), answers[0])
	}
	e.consistent("acme")
}

func retireBoth(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	old, _, err := e.Rotate(e.ctx, "acme", k.ID, successor(k), NewKey(e), now.Add(1000*time.Hour))
	e.ok(err)
	e.equal("due", old.DueAt(), k.ExpiresAt)
	got, err := e.Retire(e.ctx, "acme", k.ID, k.ExpiresAt)
	e.ok(err)
	e.equal("revoked at", got.RevokedAt, k.ExpiresAt)
	e.equal("expired version", got.ExpiredVersion, uint64(0))
	e.consistent("acme")
}

func revokeRetired(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	expired, err := e.Retire(e.ctx, "acme", k.ID, k.ExpiresAt)
	e.ok(err)
	const callers = 4
	answers := make([]store.Key, callers)
	e.parallel(callers, func(i int) {
		var err error
		if answers[i], err = e.Revoke(e.ctx, "acme", k.ID, k.ExpiresAt.Add(time.Duration(i+1)*time.Second)); err != nil {
			e.Error(err)
		}
	})
	want := expired
	want.RevokedAt = answers[0].RevokedAt
	if want.RevokedAt.IsZero() {
		e.Error("it has no time")
	}
	for _, got := range answers {
		e.equal("revoked", got, want)
	}
	e.equal("read", e.key(k), want)
	e.equal("status", want.Status(now), store.Revoked)
	e.equal("changes", len(e.changesOf("acme")), 3)
	e.equal("entries", len(e.audit("acme", store.AuditFilter{Action: store.ActionKeyRevoke})), 1)
	e.notRetired(want, k.ExpiresAt.Add(time.Hour))
	e.consistent("acme")
}

func retireWhileRevoked(e env) {
	e.create("acme")
	for range 8 {
		k, _ := e.issue(NewRecord("acme", "o"))
		var retired, revoked atomic.Uint64
		e.parallel(4, func(i int) {
			change, result := e.Retire, &retired
			if i%2 == 0 {
				change, result = e.Revoke, &revoked
			}
			got, err := change(e.ctx, "acme", k.ID, k.ExpiresAt)
			if err != nil {
				e.Error(err)
			}
			result.Store(got.Removed())
		})
		got := e.key(k)
		e.equal("removed", got.Removed(), k.Version+1)
		e.equal("as Retire has it", retired.Load(), got.Removed())
		e.equal("as Revoke has it", revoked.Load(), got.Removed())
		if got.RevokedAt.IsZero() {
			e.Error("the revocation is lost")
		}
	}
	e.consistent("acme")
}

// dueKeys issues keys that are due in the order in which they are returned.
func (e env) dueKeys() []store.Key {
	e.Helper()
	e.create("acme")
	e.create("other")
	issue := func(workspace string, expires time.Time) store.Key {
		k := NewRecord(workspace, "o")
		k.ExpiresAt = expires
		k, _ = e.issue(k)
		return k
	}
	e.revoke(issue("acme", now.Add(time.Second)))
	expired := issue("acme", now)
	_, err := e.Retire(e.ctx, "acme", expired.ID, now)
	e.ok(err)
	issue("other", time.Time{})
	third := issue("other", now.Add(time.Second))
	first := issue("other", time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC))
	second := issue("acme", now.Add(time.Second))
	last := issue("acme", now.Add(59*time.Minute))
	old, next := e.rotate(issue("acme", now.Add(time.Hour)))
	e.revoke(next)
	return []store.Key{first, second, third, old, last}
}

func dueList(e env) {
	want := e.dueKeys()
	for _, k := range want {
		for _, until := range []time.Time{k.DueAt().Add(-1), k.DueAt(), k.DueAt().Add(1), k.DueAt().In(time.FixedZone("", 60))} {
			n := 0
			for n < len(want) && !want[n].DueAt().After(until) {
				n++
			}
			got, err := e.Due(e.ctx, store.DuePlace{}, until, 100)
			e.ok(err)
			e.equal("due at "+until.String(), got, append([]store.Key{}, want[:n]...))
		}
	}
	for _, limit := range []int{0, -1} {
		if _, err := e.Due(e.ctx, store.DuePlace{}, now, limit); err == nil {
			e.Errorf("a limit of %d passes", limit)
		}
	}
}

func duePages(e env) {
	want := e.dueKeys()
	until := now.Add(time.Hour)
	for limit := 1; limit <= len(want)+1; limit++ {
		got, after := []store.Key{}, store.DuePlace{}
		for {
			page, err := e.Due(e.ctx, after, until, limit)
			e.ok(err)
			if len(page) == 0 {
				break
			}
			got, after = append(got, page...), page[len(page)-1].DuePlace()
		}
		e.equal("pages", got, want)
	}
	got, err := e.Due(e.ctx, store.DuePlace{At: now.Add(time.Minute)}, until, 10)
	e.ok(err)
	e.equal("from a time on", got, want[3:])
}

func nextDue(e env) {
	at := func() time.Time {
		e.Helper()
		at, err := e.NextDue(e.ctx)
		e.ok(err)
		return at
	}
	e.equal("in an empty database", at(), time.Time{})
	e.create("acme")
	e.create("other")
	e.equal("without keys", at(), time.Time{})
	forever := NewRecord("acme", "o")
	forever.ExpiresAt = time.Time{}
	e.issue(forever)
	e.equal("without an expiry", at(), time.Time{})
	k, _ := e.issue(NewRecord("acme", "o"))
	e.equal("an expiry", at(), k.ExpiresAt)
	old, _ := e.rotate(k)
	e.equal("a grace's end", at(), old.GraceEndsAt)
	soon := NewRecord("other", "o")
	soon.ExpiresAt = now.Add(time.Microsecond)
	soon, _ = e.issue(soon)
	e.equal("another workspace's", at(), soon.ExpiresAt)
	e.revoke(soon)
	_, _, err := e.UndoRotation(e.ctx, "acme", k.ID, uuid.Nil, now)
	e.ok(err)
	e.equal("after the undoing", at(), k.ExpiresAt)
	_, err = e.Retire(e.ctx, "acme", k.ID, k.ExpiresAt)
	e.ok(err)
	e.equal("when all are gone", at(), time.Time{})
}
