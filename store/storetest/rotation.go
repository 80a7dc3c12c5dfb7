package storetest

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

var rotationTests = []test{
	{"publishes the successor beside the old key, in one version", rotateKey},
	{"without a grace removes the old key in the same version", rotateAtOnce},
	{"cuts a grace to the old key's expiry", rotateCut},
	{"has no fields of its making from the caller", rotateSetFields},
	{"refuses a key that is not active", rotateNotActive},
	{"is made once for an idempotency key", rotateIdempotency},
	{"refuses what Issue refuses, and stores nothing", rotateDuplicates},
	{"needs times", rotateTimes},
	{"is made once when many try", rotateRace},
	{"and revocation may race", rotateWhileRevoked},
	{"is undone: the successor goes, the old key goes on", undoRotation},
	{"is undone within the grace and while the successor is active", undoRefused},
	{"is undone once when many try", undoRace},
	{"may be undone while the grace is ended", undoWhileEnded},
	{"is of one successor", rotationOfOne},
}

// successor returns the record of a key that replaces the key `old` one second after the suite's time `now`.
func successor(old store.Key) store.Key {
	k := NewRecord(old.Workspace, old.Owner)
	k.CreatedAt = now.Add(time.Second)
	return k
}

// rotate rotates a key with a grace of a minute.
func (e env) rotate(k store.Key) (old, issued store.Key) {
	e.Helper()
	old, issued, err := e.Rotate(e.ctx, k.Workspace, k.ID, successor(k), NewKey(e), now.Add(time.Minute), nil)
	e.ok(err)
	return old, issued
}

func rotateKey(e env) {
	_, tombstone := e.create("acme")
	k, oldPub := e.issue(NewRecord("acme", "o"))
	next, pub := successor(k), NewKey(e)
	graceEnds := now.Add(time.Minute)
	old, issued, err := e.Rotate(e.ctx, "acme", k.ID, next, pub, graceEnds.Add(999).In(time.FixedZone("", 60)), nil)
	e.ok(err)
	wantOld, wantNew := k, next
	wantOld.RotatedTo, wantOld.GraceEndsAt = next.ID, graceEnds
	wantNew.KID, wantNew.Version, wantNew.RotatedFrom = pub.KID(), 3, k.ID
	e.equal("old", old, wantOld)
	e.equal("successor", issued, wantNew)
	e.equal("old, read", e.key(k), wantOld)
	e.equal("successor, read", e.key(next), wantNew)
	e.equal("list", e.list("acme", store.Filter{}), []store.Key{wantNew, wantOld})
	keys, version := e.published("acme")
	e.equal("version", version, uint64(3))
	e.equal("published", keys, sorted(map[jwks.KID]jwks.Key{tombstone.KID(): tombstone, oldPub.KID(): oldPub, pub.KID(): pub}))
	e.equal("change", e.changesOf("acme")[2], jwks.Change{
		Version: 3, Add: []jwks.Key{pub}, Remove: []jwks.KID{},
		Unsigned: jwks.Unsigned{Set: []jwks.KeyAttributes{{KID: k.KID, Attributes: jwks.Attributes{
			RotatedAt: timeOf(next.ID), EndsAt: graceEnds,
		}}}},
	})
	for at, want := range map[time.Time]store.Status{
		now: store.Deprecated, graceEnds.Add(-1): store.Deprecated, graceEnds: store.Revoked, graceEnds.Add(time.Hour): store.Revoked,
	} {
		e.equal("status", old.Status(at), want)
	}
	// A revocation of the old key ends its grace early.
	ended := e.revoke(old)
	e.equal("status", ended.Status(now), store.Revoked)
	e.equal("rotated to", ended.RotatedTo, issued.ID)
	e.equal("the successor", e.key(issued), issued)
	e.consistent("acme")
}

// timeOf returns the time in a UUIDv7: its first 48 bits count milliseconds.
func timeOf(id uuid.UUID) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16)).UTC()
}

func rotateAtOnce(e env) {
	e.create("acme")
	for i, graceEnds := range []time.Time{now.Add(time.Second), now.Add(-time.Hour), {}} {
		k, oldPub := e.issue(NewRecord("acme", "o"))
		next, pub := successor(k), NewKey(e)
		old, issued, err := e.Rotate(e.ctx, "acme", k.ID, next, pub, graceEnds, nil)
		e.ok(err)
		want := k
		want.RotatedTo, want.GraceEndsAt = next.ID, next.CreatedAt
		want.RevokedAt, want.RevokedVersion = next.CreatedAt, k.Version+1
		e.equal("old", old, want)
		e.equal("read", e.key(k), want)
		e.equal("version", issued.Version, k.Version+1)
		e.equal("change", e.changesOf("acme")[2*i+2],
			jwks.Change{Version: issued.Version, Add: []jwks.Key{pub}, Remove: []jwks.KID{oldPub.KID()}})
	}
	keys, _ := e.published("acme")
	e.equal("published", len(keys), 4)
	e.consistent("acme")
}

func rotateCut(e env) {
	e.create("acme")
	for _, c := range []struct{ expires, graceEnds, want time.Time }{
		{now.Add(time.Hour), now.Add(2 * time.Hour), now.Add(time.Hour)},
		{now.Add(time.Hour), now.Add(time.Hour), now.Add(time.Hour)},
		{now.Add(time.Hour), now.Add(time.Hour - 1000), now.Add(time.Hour - 1000)},
		{time.Time{}, now.Add(1000 * time.Hour), now.Add(1000 * time.Hour)},
	} {
		k := NewRecord("acme", "o")
		k.ExpiresAt = c.expires
		k, _ = e.issue(k)
		old, _, err := e.Rotate(e.ctx, "acme", k.ID, successor(k), NewKey(e), c.graceEnds, nil)
		e.ok(err)
		e.equal("grace", old.GraceEndsAt, c.want)
		e.equal("read", e.key(k), old)
	}
}

func rotateSetFields(e env) {
	e.create("acme")
	e.create("other")
	k, _ := e.issue(NewRecord("acme", "o"))
	next := successor(k)
	next.Workspace, next.KID, next.Version = "other", k.KID, 50
	next.RevokedAt, next.RevokedVersion, next.ExpiredVersion = now, 51, 52
	next.RotatedFrom, next.RotatedTo, next.GraceEndsAt = next.ID, next.ID, now
	next.Scopes, next.Claims = nil, nil
	pub := NewKey(e)
	_, issued, err := e.Rotate(e.ctx, "acme", k.ID, next, pub, now.Add(time.Minute), nil)
	e.ok(err)
	want := successor(k)
	want.ID, want.KID, want.Version, want.RotatedFrom = next.ID, pub.KID(), 3, k.ID
	want.Scopes, want.Claims = []string{}, []byte(`{}`)
	e.equal("successor", issued, want)
	e.equal("read", e.key(want), want)
	e.consistent("acme")
	e.consistent("other")
}

// rotateRefused rotates a key and checks that this fails and changes nothing.
func (e env) rotateRefused(id uuid.UUID, next store.Key, pub jwks.Key, want error) {
	e.Helper()
	e.rotateRefusedOn(nil, id, next, pub, want)
}

func (e env) rotateRefusedOn(terms store.Terms, id uuid.UUID, next store.Key, pub jwks.Key, want error) {
	e.Helper()
	records := e.list("acme", store.Filter{})
	set, version := e.published("acme")
	entries := e.audit("acme", store.AuditFilter{})
	_, _, err := e.Rotate(e.ctx, "acme", id, next, pub, now.Add(time.Minute), terms)
	e.is(err, want)
	setAfter, versionAfter := e.published("acme")
	e.equal("version", versionAfter, version)
	e.equal("published", setAfter, set)
	e.equal("records", e.list("acme", store.Filter{}), records)
	e.equal("audit", e.audit("acme", store.AuditFilter{}), entries)
}

func rotateNotActive(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	e.rotateRefused(uuid.Must(uuid.NewV7()), successor(k), NewKey(e), store.ErrNotFound)
	revoked := e.revoke(e.issueMany("acme", "o")[0])
	e.rotateRefused(revoked.ID, successor(k), NewKey(e), store.ErrNotActive)
	old, issued := e.rotate(k)
	e.rotateRefused(old.ID, successor(k), NewKey(e), store.ErrNotActive)
	for _, created := range []time.Time{k.ExpiresAt, k.ExpiresAt.Add(time.Hour)} {
		next := successor(issued)
		next.CreatedAt = created
		e.rotateRefused(issued.ID, next, NewKey(e), store.ErrNotActive)
	}
	next := successor(issued)
	next.CreatedAt = k.ExpiresAt.Add(-1)
	_, _, err := e.Rotate(e.ctx, "acme", issued.ID, next, NewKey(e), now.Add(2*time.Hour), nil)
	e.ok(err)
	e.consistent("acme")
}

func rotateIdempotency(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	next := successor(k)
	next.IdempotencyKey = "once"
	_, issued, err := e.Rotate(e.ctx, "acme", k.ID, next, NewKey(e), now.Add(time.Minute), nil)
	e.ok(err)
	other, _ := e.issue(NewRecord("acme", "o"))
	again := successor(k)
	again.IdempotencyKey = "once"
	// The key has been rotated by now, but the error of the repeated request still names its successor.
	for _, id := range []uuid.UUID{k.ID, other.ID} {
		_, _, err = e.Rotate(e.ctx, "acme", id, again, NewKey(e), now.Add(time.Minute), nil)
		var named *store.IdempotencyError
		if !errors.As(err, &named) || named.ID != issued.ID {
			e.Fatalf("got %v, want an error that names %s", err, issued.ID)
		}
	}
	e.rotateRefused(uuid.Must(uuid.NewV7()), again, NewKey(e), store.ErrNotFound)
	_, err = e.Issue(e.ctx, again, NewKey(e), nil)
	e.is(err, store.ErrIdempotencyKey)
}

func rotateDuplicates(e env) {
	_, tombstone := e.create("acme")
	k, pub := e.issue(NewRecord("acme", "o"))
	other, _ := e.issue(NewRecord("acme", "o"))
	gone, gonePub := e.issue(NewRecord("acme", "o"))
	e.revoke(gone)
	for _, pub := range []jwks.Key{pub, gonePub, tombstone} {
		e.rotateRefused(k.ID, successor(k), pub, store.ErrDuplicateKID)
	}
	next := successor(k)
	for _, next.ID = range []uuid.UUID{other.ID, k.ID, gone.ID} {
		e.rotateRefused(k.ID, next, NewKey(e), store.ErrExists)
	}
	e.rotateRefused(gone.ID, next, gonePub, store.ErrNotActive)
	e.equal("the key", e.key(k), k)
	e.rotate(k)
	e.consistent("acme")
}

func rotateTimes(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	next := successor(k)
	next.CreatedAt = time.Time{}
	if _, _, err := e.Rotate(e.ctx, "acme", k.ID, next, NewKey(e), now, nil); err == nil {
		e.Error("a rotation without a time passes")
	}
	if _, _, err := e.UndoRotation(e.ctx, "acme", k.ID, uuid.Nil, time.Time{}); err == nil || errors.Is(err, store.ErrNotActive) {
		e.Errorf("undoing without a time: %v", err)
	}
	e.equal("read", e.key(k), k)
}

func rotateRace(e env) {
	const callers = 8
	e.create("acme")
	for range 5 {
		k, _ := e.issue(NewRecord("acme", "o"))
		var won atomic.Int32
		e.parallel(callers, func(int) {
			switch _, _, err := e.Rotate(e.ctx, "acme", k.ID, successor(k), NewKey(e), now.Add(time.Minute), nil); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, store.ErrNotActive):
				e.Error(err)
			}
		})
		e.equal("winners", won.Load(), int32(1))
		next, err := e.Key(e.ctx, "acme", e.key(k).RotatedTo)
		e.ok(err)
		e.equal("version", next.Version, k.Version+1)
	}
	e.equal("records", len(e.list("acme", store.Filter{})), 10)
	e.consistent("acme")
}

func rotateWhileRevoked(e env) {
	e.create("acme")
	for range 10 {
		k, _ := e.issue(NewRecord("acme", "o"))
		var rotated atomic.Bool
		e.parallel(6, func(i int) {
			if i > 0 {
				if _, err := e.Revoke(e.ctx, "acme", k.ID, now.Add(time.Second)); err != nil {
					e.Error(err)
				}
				return
			}
			_, _, err := e.Rotate(e.ctx, "acme", k.ID, successor(k), NewKey(e), now.Add(time.Minute), nil)
			if rotated.Store(err == nil); err != nil && !errors.Is(err, store.ErrNotActive) {
				e.Error(err)
			}
		})
		got := e.key(k)
		if got.RevokedVersion == 0 || rotated.Load() != (got.RotatedTo != uuid.Nil) {
			e.Errorf("rotated: %v, and the key is %+v", rotated.Load(), got)
		}
	}
	e.consistent("acme")
}

func undoRotation(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	_, issued := e.rotate(k)
	at := now.Add(30 * time.Second)
	old, undone, err := e.UndoRotation(e.ctx, "acme", k.ID, uuid.Nil, at.Add(999).In(time.FixedZone("", 60)))
	e.ok(err)
	want := issued
	want.RevokedAt, want.RevokedVersion = at, 4
	e.equal("old", old, k)
	e.equal("successor", undone, want)
	e.equal("old, read", e.key(k), k)
	e.equal("successor, read", e.key(issued), want)
	e.equal("change", e.changesOf("acme")[3], jwks.Change{
		Version: 4, Add: []jwks.Key{}, Remove: []jwks.KID{issued.KID},
		Unsigned: jwks.Unsigned{Set: []jwks.KeyAttributes{{KID: k.KID}}},
	})
	_, _, err = e.UndoRotation(e.ctx, "acme", k.ID, uuid.Nil, at)
	e.is(err, store.ErrNotActive)
	_, again := e.rotate(k) // and redone
	e.equal("version", again.Version, uint64(5))
	e.equal("the first successor", e.key(issued), want)
	e.consistent("acme")
}

func undoRefused(e env) {
	e.create("acme")
	refused := func(id uuid.UUID, at time.Time, want error) {
		e.Helper()
		records, entries := e.list("acme", store.Filter{}), e.audit("acme", store.AuditFilter{})
		_, _, err := e.UndoRotation(e.ctx, "acme", id, uuid.Nil, at)
		e.is(err, want)
		e.equal("records", e.list("acme", store.Filter{}), records)
		e.equal("audit", e.audit("acme", store.AuditFilter{}), entries)
	}
	k, _ := e.issue(NewRecord("acme", "o"))
	refused(uuid.Must(uuid.NewV7()), now, store.ErrNotFound)
	refused(k.ID, now, store.ErrNotActive)
	old, issued := e.rotate(k)
	refused(issued.ID, now, store.ErrNotActive)
	refused(k.ID, old.GraceEndsAt, store.ErrNotActive)
	_, third := e.rotate(issued)
	refused(k.ID, now, store.ErrNotActive) // the successor is rotated itself
	e.revoke(third)
	refused(issued.ID, now, store.ErrNotActive)
	e.revoke(issued)
	refused(k.ID, now, store.ErrNotActive)

	short := NewRecord("acme", "o")
	short.CreatedAt, short.ExpiresAt = now.Add(time.Second), now.Add(10*time.Second)
	k, _ = e.issue(NewRecord("acme", "o"))
	_, _, err := e.Rotate(e.ctx, "acme", k.ID, short, NewKey(e), now.Add(time.Minute), nil)
	e.ok(err)
	refused(k.ID, short.ExpiresAt, store.ErrNotActive) // the successor has expired
	_, _, err = e.UndoRotation(e.ctx, "acme", k.ID, uuid.Nil, short.ExpiresAt.Add(-1))
	e.ok(err)

	k, _ = e.issue(NewRecord("acme", "o"))
	e.rotate(k)
	e.revoke(k)
	refused(k.ID, now, store.ErrNotActive)
	e.consistent("acme")
}

func undoRace(e env) {
	e.create("acme")
	for range 5 {
		k, _ := e.issue(NewRecord("acme", "o"))
		_, issued := e.rotate(k)
		var won atomic.Int32
		e.parallel(6, func(int) {
			switch _, _, err := e.UndoRotation(e.ctx, "acme", k.ID, uuid.Nil, now.Add(time.Second)); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, store.ErrNotActive):
				e.Error(err)
			}
		})
		e.equal("winners", won.Load(), int32(1))
		e.equal("the old key", e.key(k), k)
		e.equal("the successor's end", e.key(issued).RevokedVersion, issued.Version+1)
	}
	e.consistent("acme")
}

// undoWhileEnded: when a rotation is undone while its grace ends, only one of the two succeeds.
func undoWhileEnded(e env) {
	e.create("acme")
	for i := range 12 {
		k, _ := e.issue(NewRecord("acme", "o"))
		old, issued := e.rotate(k)
		end := func() (bool, error) {
			got, err := e.retire("acme", k.ID, old.GraceEndsAt)
			return !got.Published(), err
		}
		switch i % 3 {
		case 1:
			end = func() (bool, error) {
				_, err := e.EndGrace(e.ctx, "acme", k.ID, uuid.Nil, now.Add(2*time.Second))
				return err == nil, err
			}
		case 2:
			end = func() (bool, error) {
				_, _, err := e.Rotate(e.ctx, "acme", issued.ID, successor(issued), NewKey(e), now.Add(time.Minute), nil)
				return err == nil, err
			}
		}
		var undone, ended bool
		e.parallel(2, func(i int) {
			var err error
			if i == 0 {
				_, _, err = e.UndoRotation(e.ctx, "acme", k.ID, uuid.Nil, now.Add(2*time.Second))
				undone = err == nil
			} else {
				ended, err = end()
			}
			if unless(err, store.ErrNotActive) != nil {
				e.Error(err)
			}
		})
		next := e.key(issued)
		if undone == ended || next.Published() == undone {
			e.Errorf("undone: %v, ended: %v, and the keys are %+v and %+v", undone, ended, e.key(k), next)
		}
	}
	e.consistent("acme")
}

// rotationOfOne: a call that names a rotation that was undone does not affect the next rotation.
func rotationOfOne(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	at := now.Add(2 * time.Second)
	_, first := e.rotate(k)
	_, _, err := e.UndoRotation(e.ctx, "acme", k.ID, first.ID, at)
	e.ok(err)
	_, err = e.EndGrace(e.ctx, "acme", k.ID, uuid.Nil, at)
	e.is(err, store.ErrNotActive)
	old, second := e.rotate(k)
	for _, to := range []uuid.UUID{first.ID, k.ID, uuid.Must(uuid.NewV7())} {
		_, _, err := e.UndoRotation(e.ctx, "acme", k.ID, to, at)
		e.is(err, store.ErrNotActive)
		_, err = e.EndGrace(e.ctx, "acme", k.ID, to, at)
		e.is(err, store.ErrNotActive)
	}
	_, err = e.EndGrace(e.ctx, "acme", k.ID, second.ID, old.GraceEndsAt)
	e.is(err, store.ErrNotActive)
	_, err = e.EndGrace(e.ctx, "acme", uuid.Must(uuid.NewV7()), uuid.Nil, at)
	e.is(err, store.ErrNotFound)
	if _, err := e.EndGrace(e.ctx, "acme", k.ID, second.ID, time.Time{}); err == nil || errors.Is(err, store.ErrNotActive) {
		e.Errorf("without a time: %v", err)
	}
	e.equal("the old key", e.key(k), old)
	ended, err := e.EndGrace(e.ctx, "acme", k.ID, second.ID, at)
	e.ok(err)
	want := old
	want.RevokedAt, want.RevokedVersion = at, second.Version+1
	e.equal("ended", ended, want)
	e.equal("read", e.key(k), want)
	e.equal("the successor", e.key(second), second)
	e.equal("entry", e.audit("acme", store.AuditFilter{Limit: 1})[0].Action, store.ActionKeyRevoke)
	e.consistent("acme")
}
