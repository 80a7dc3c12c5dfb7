package storetest

import (
	"errors"
	"slices"
	"strings"
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
	{"takes many keys by one version", retireMany},
	{"takes each of many keys once when many try, and some are revoked or undone", retireManyRace},
	{"lists what is due in all workspaces, the earliest first", dueList},
	{"lists what is due in pages", duePages},
	{"returns when it is next", nextDue},
}

// retire retires one key and returns its record.
func (e env) retire(workspace string, id uuid.UUID, at time.Time) (store.Key, error) {
	switch got, err := e.Retire(e.ctx, workspace, []uuid.UUID{id}, at); {
	case err != nil:
		return store.Key{}, err
	case len(got) > 0:
		return got[0], nil
	}
	return e.Key(e.ctx, workspace, id)
}

// notRetired calls Retire and checks that nothing changes.
func (e env) notRetired(k store.Key, at time.Time) {
	e.Helper()
	_, version := e.published(k.Workspace)
	entries := e.audit(k.Workspace, store.AuditFilter{})
	got, err := e.retire(k.Workspace, k.ID, at)
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
	got, err := e.retire("acme", k.ID, at.Add(999).In(time.FixedZone("", 60)))
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
	_, err = e.retire("acme", uuid.Must(uuid.NewV7()), at)
	e.is(err, store.ErrNotFound)
	e.consistent("acme")
}

func retireExpired(e env) {
	e.create("acme")
	k, pub := e.issue(NewRecord("acme", "o"))
	e.notRetired(k, k.ExpiresAt.Add(-1))
	got, err := e.retire("acme", k.ID, k.ExpiresAt)
	e.ok(err)
	want := k
	want.ExpiredVersion = 3
	e.equal("retired", got, want)
	e.equal("read", e.key(k), want)
	e.equal("change", e.changesOf("acme")[2], jwks.Change{Version: 3, Add: []jwks.Key{}, Remove: []jwks.KID{pub.KID()}})
	// The key's status follows the published set, even if the clock is wrong.
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
			if answers[i], err = e.retire("acme", k.ID, now.Add(time.Hour+time.Duration(i)*time.Second)); err != nil {
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
	old, _, err := e.Rotate(e.ctx, "acme", k.ID, successor(k), NewKey(e), now.Add(1000*time.Hour), nil)
	e.ok(err)
	e.equal("due", old.DueAt(), k.ExpiresAt)
	got, err := e.retire("acme", k.ID, k.ExpiresAt)
	e.ok(err)
	e.equal("revoked at", got.RevokedAt, k.ExpiresAt)
	e.equal("expired version", got.ExpiredVersion, uint64(0))
	e.consistent("acme")
}

func revokeRetired(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	expired, err := e.retire("acme", k.ID, k.ExpiresAt)
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
			result := &retired
			got, err := k, error(nil)
			if i%2 == 0 {
				result = &revoked
				got, err = e.Revoke(e.ctx, "acme", k.ID, k.ExpiresAt)
			} else {
				got, err = e.retire("acme", k.ID, k.ExpiresAt)
			}
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

func retireMany(e env) {
	e.create("acme")
	e.create("other")
	var ids []uuid.UUID
	want := []store.Key{}
	at := now.Add(time.Hour)
	for i := range 40 {
		k, _ := e.issue(NewRecord("acme", "o"))
		if i%2 == 0 {
			k, _ = e.rotate(k)
			k.RevokedAt = at
		}
		ids, want = append(ids, k.ID), append(want, k)
	}
	late := NewRecord("acme", "o")
	late.ExpiresAt = at.Add(1000)
	late, _ = e.issue(late)
	gone := e.revoke(e.issueMany("acme", "o")[0])
	theirs, _ := e.issue(NewRecord("other", "o"))
	_, version := e.published("acme")
	for i := range want {
		if want[i].RevokedAt.IsZero() {
			want[i].ExpiredVersion = version + 1
		} else {
			want[i].RevokedVersion = version + 1
		}
	}
	got, err := e.Retire(e.ctx, "acme", append(ids, late.ID, gone.ID, theirs.ID, ids[0], uuid.Must(uuid.NewV7())), at)
	e.ok(err)
	e.equal("retired", newestFirst(got), newestFirst(want))
	changes := e.changesOf("acme")
	e.equal("removed by it", len(changes[len(changes)-1].Remove), len(want))
	for _, k := range append(want, late, gone, theirs) {
		e.equal("read", e.key(k), k)
	}
	for _, action := range []string{store.ActionGraceEnd, store.ActionKeyExpire} {
		entries := e.audit("acme", store.AuditFilter{Action: action})
		e.equal("entries of "+action, len(entries), len(want)/2)
		for _, entry := range entries {
			k := want[slices.Index(ids, entry.Key)]
			e.equal("owner", entry.Owner, k.Owner)
			e.equal("actor", entry.Actor, store.Actor{Kind: store.ActorSystem})
			e.equal("kid", strings.Contains(string(entry.Detail), k.KID.String()), true)
			e.equal("at", entry.At, at)
		}
	}
	for _, none := range [][]uuid.UUID{nil, ids, {theirs.ID}} {
		got, err := e.Retire(e.ctx, "acme", none, at)
		e.ok(err)
		e.equal("again", len(got), 0)
	}
	e.equal("changes", len(e.changesOf("acme")), len(changes))
	e.consistent("acme")
	e.consistent("other")
}

// retireManyRace: two stores retire overlapping lists of keys, while other calls revoke some of them, undo
// their rotation or end their grace.
func retireManyRace(e env) {
	e.create("acme")
	another := e.open()
	for range 3 {
		var ids []uuid.UUID
		for i := range 24 {
			k, _ := e.issue(NewRecord("acme", "o"))
			if i%2 == 0 {
				e.rotate(k)
			}
			ids = append(ids, k.ID)
		}
		var removed [24]atomic.Int32
		e.parallel(6, func(i int) {
			s := []store.Store{e.Store, another}[i%2]
			if i < 4 {
				got, err := s.Retire(e.ctx, "acme", ids[i*3:12+i*4], now.Add(time.Hour))
				if err != nil && !errors.Is(err, store.ErrDamaged) { // the keys changed too often under it
					e.Error(err)
				}
				for _, k := range got {
					removed[slices.Index(ids, k.ID)].Add(1)
				}
				return
			}
			for n, id := range ids {
				var err error
				switch (n + i) % 8 {
				case 0:
					_, _, err = s.UndoRotation(e.ctx, "acme", id, uuid.Nil, now.Add(time.Second))
				case 2:
					_, err = s.EndGrace(e.ctx, "acme", id, uuid.Nil, now.Add(time.Second))
				case 5:
					_, err = s.Revoke(e.ctx, "acme", id, now.Add(time.Second))
				}
				if unless(err, store.ErrNotActive) != nil {
					e.Error(err)
				}
			}
		})
		for n, id := range ids {
			entries := e.audit("acme", store.AuditFilter{Key: id})
			retired := slices.DeleteFunc(entries, func(entry store.Entry) bool {
				return entry.Action != store.ActionGraceEnd && entry.Action != store.ActionKeyExpire
			})
			e.equal("times that it was retired", int32(len(retired)), removed[n].Load())
			if len(retired) > 1 {
				e.Errorf("key %d was retired %d times", n, len(retired))
			}
		}
		got, err := e.Retire(e.ctx, "acme", ids, now.Add(time.Hour))
		e.ok(err)
		for _, id := range ids {
			k, err := e.Key(e.ctx, "acme", id)
			e.ok(err)
			if k.Published() {
				e.Errorf("%s is still published, %d were retired at last", id, len(got))
			}
		}
	}
	e.consistent("acme")
}

// dueKeys issues keys and returns them in the order in which they are due.
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
	_, err := e.retire("acme", expired.ID, now)
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

// duePlaces returns the places of keys in the list of due keys.
func duePlaces(keys []store.Key) (places []store.DuePlace) {
	for _, k := range keys {
		places = append(places, store.DuePlace{At: k.DueAt(), Workspace: k.Workspace, ID: k.ID})
	}
	return places
}

func dueList(e env) {
	want := duePlaces(e.dueKeys())
	for _, d := range want {
		for _, until := range []time.Time{d.At.Add(-1), d.At, d.At.Add(1), d.At.In(time.FixedZone("", 60))} {
			n := 0
			for n < len(want) && !want[n].At.After(until) {
				n++
			}
			got, err := e.Due(e.ctx, store.DuePlace{}, until, 100)
			e.ok(err)
			e.equal("due at "+until.String(), got, append([]store.DuePlace{}, want[:n]...))
		}
	}
	for _, limit := range []int{0, -1} {
		if _, err := e.Due(e.ctx, store.DuePlace{}, now, limit); err == nil {
			e.Errorf("a limit of %d passes", limit)
		}
	}
}

func duePages(e env) {
	want := duePlaces(e.dueKeys())
	until := now.Add(time.Hour)
	for limit := 1; limit <= len(want)+1; limit++ {
		got, after := []store.DuePlace{}, store.DuePlace{}
		for {
			page, err := e.Due(e.ctx, after, until, limit)
			e.ok(err)
			if len(page) == 0 {
				break
			}
			got, after = append(got, page...), page[len(page)-1]
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
	_, err = e.retire("acme", k.ID, k.ExpiresAt)
	e.ok(err)
	e.equal("when all are gone", at(), time.Time{})
}
