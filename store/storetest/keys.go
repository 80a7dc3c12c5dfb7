package storetest

import (
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

var keyTests = []test{
	{"comes back as it was issued", keyRoundTrip},
	{"has no fields of its issuing or revocation from the caller", keySetFields},
	{"comes back empty where it was nil", keyNil},
	{"stores strings and JSON byte for byte", keyBytes},
	{"stores times in UTC to the microsecond", keyTimes},
	{"is found by its kid, also when it is revoked", keyByKID},
	{"is published by the version it was issued with", keyPublished},
	{"is issued once for an idempotency key", keyIdempotency},
	{"is issued once for an idempotency key when many try", keyIdempotencyRace},
	{"refuses a kid that the workspace has had", keyDuplicateKID},
	{"refuses an id that the workspace has", keyDuplicateID},
	{"lets different workspaces publish the same key", keySameKID},
	{"changes in name and metadata alone", keyUpdate},
	{"stores nothing of an update that fails", keyUpdateFails},
	{"loses no update to another", keyUpdateRace},
}

func keyRoundTrip(e env) {
	e.create("acme")
	k := NewRecord("acme", "cust_1")
	k.IdempotencyKey = "request 1"
	pub := NewKey(e)
	issued, err := e.Issue(e.ctx, k, pub, nil)
	e.ok(err)
	want := k
	want.KID, want.Version = pub.KID(), 2
	e.equal("issued", issued, want)
	e.equal("read", e.key(k), want)
	e.equal("listed", e.list("acme", store.Filter{}), []store.Key{want})
	byKey, err := e.KeyByIdempotencyKey(e.ctx, "acme", "request 1")
	e.ok(err)
	e.equal("by idempotency key", byKey, want)
	for _, other := range []string{"", "request", "Request 1", "request 1 "} {
		_, err = e.KeyByIdempotencyKey(e.ctx, "acme", other)
		e.is(err, store.ErrNotFound)
	}
}

func keySetFields(e env) {
	e.create("acme")
	k := NewRecord("acme", "cust_1")
	k.KID, k.Version = newKID(e), 50
	k.RevokedAt, k.RevokedVersion = now, 51
	issued, pub := e.issue(k)
	e.equal("kid", issued.KID, pub.KID())
	e.equal("version", issued.Version, uint64(2))
	e.equal("revoked at", issued.RevokedAt, time.Time{})
	e.equal("revoked version", issued.RevokedVersion, uint64(0))
	e.equal("read", e.key(k), issued)
}

func keyNil(e env) {
	e.create("acme")
	k, _ := e.issue(store.Key{Workspace: "acme", ID: uuid.Must(uuid.NewV7()), Owner: "o"})
	for _, k := range []store.Key{k, e.key(k), e.list("acme", store.Filter{})[0]} {
		e.equal("scopes", k.Scopes, []string{})
		e.equal("audience", k.Audience, []string{})
		e.equal("claims", k.Claims, json.RawMessage(`{}`))
		e.equal("metadata", k.Metadata, json.RawMessage(`{}`))
		e.equal("times", [3]time.Time{k.CreatedAt, k.UpdatedAt, k.ExpiresAt}, [3]time.Time{})
	}
}

func keyBytes(e env) {
	e.create("acme")
	for _, text := range []string{
		"", " ", "'", `"`, `\`, "%_", "a\tb\nc\r\n", "\x01\x7f", "null", "0", "007", "1e3", "  padded  ",
		"ÄÖÜ é é", "\u2028\u2029<&>", "\ufeffbom", "\ufffd", "مرحبا", strings.Repeat("\U0001F511", 255),
	} {
		k := NewRecord("acme", text)
		k.Name, k.IdempotencyKey = text, text
		k.Scopes, k.Audience = []string{text, "x", text}, []string{text}
		raw, err := json.Marshal(text)
		e.ok(err)
		k.Claims = json.RawMessage("{ \"b\" : 1.0,\n\"a\":" + string(raw) + ", \"b\":1e400 }")
		k.Metadata = json.RawMessage(`{"\u0061":` + string(raw) + `}`)
		issued, _ := e.issue(k)
		k.KID, k.Version = issued.KID, issued.Version
		e.equal("issued", issued, k)
		e.equal("read", e.key(k), k)
		if text != "" {
			e.equal("by owner", e.list("acme", store.Filter{Owner: text}), []store.Key{k})
		}
	}
}

func keyTimes(e env) {
	e.create("acme")
	zone := time.FixedZone("somewhere", -11*3600-1800)
	clock := time.Now() // has a monotonic reading, which goes
	for _, c := range []struct{ given, want time.Time }{
		{now, now},
		{now.Add(999 * time.Nanosecond), now},
		{now.In(zone), now},
		{clock, clock.UTC().Truncate(time.Microsecond)},
		{time.Unix(0, 0), time.Unix(0, 0).UTC()},
		{time.Unix(0, 1000), time.Unix(0, 1000).UTC()},
		{time.Date(1969, 12, 31, 23, 59, 59, 999999999, time.UTC), time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC)},
		{time.Date(1600, 2, 29, 1, 2, 3, 4000, zone), time.Date(1600, 2, 29, 1, 2, 3, 4000, zone).UTC()},
		{time.Date(2262, 4, 12, 0, 0, 0, 1000, time.UTC), time.Date(2262, 4, 12, 0, 0, 0, 1000, time.UTC)},
		{time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)},
		{time.Time{}, time.Time{}},
		{time.Time{}.In(zone), time.Time{}},
	} {
		k := NewRecord("acme", "o")
		k.CreatedAt, k.UpdatedAt, k.ExpiresAt = c.given, c.given, c.given
		issued, _ := e.issue(k)
		for _, at := range []time.Time{issued.CreatedAt, issued.UpdatedAt, issued.ExpiresAt} {
			if !at.Equal(c.want) || at.Location() != time.UTC {
				e.Fatalf("%v came back as %v", c.given, at)
			}
		}
		e.equal("read", e.key(k), issued)
	}
}

func keyByKID(e env) {
	_, tombstone := e.create("acme")
	e.create("other")
	k, _ := e.issue(NewRecord("acme", "o"))
	e.issue(NewRecord("acme", "o"))
	got, err := e.KeyByKID(e.ctx, "acme", k.KID)
	e.ok(err)
	e.equal("by kid", got, k)
	revoked := e.revoke(k)
	got, err = e.KeyByKID(e.ctx, "acme", k.KID)
	e.ok(err)
	e.equal("revoked", got, revoked)
	for workspace, kid := range map[string]jwks.KID{"other": k.KID, "nobody": k.KID, "acme": tombstone.KID()} {
		_, err = e.KeyByKID(e.ctx, workspace, kid)
		e.is(err, store.ErrNotFound)
	}
	_, err = e.KeyByKID(e.ctx, "acme", newKID(e))
	e.is(err, store.ErrNotFound)
}

func keyPublished(e env) {
	_, tombstone := e.create("acme")
	set := map[jwks.KID]jwks.Key{tombstone.KID(): tombstone}
	for i := range 5 {
		k, pub := e.issue(NewRecord("acme", "o"))
		set[pub.KID()] = pub
		e.equal("version", k.Version, uint64(i+2))
		keys, version := e.published("acme")
		e.equal("published version", version, k.Version)
		e.equal("published", keys, sorted(set))
		changes, err := e.Changes(e.ctx, "acme", k.Version-1, 10)
		e.ok(err)
		e.equal("changes", changes, []jwks.Change{{Version: k.Version, Add: []jwks.Key{pub}, Remove: []jwks.KID{}}})
	}
}

func keyIdempotency(e env) {
	e.create("acme")
	e.create("other")
	k := NewRecord("acme", "o")
	k.IdempotencyKey = "once"
	first, pub := e.issue(k)
	again := NewRecord("acme", "p")
	again.IdempotencyKey = "once"
	for _, retry := range []struct {
		k   store.Key
		pub jwks.Key
	}{{again, NewKey(e)}, {k, pub}, {k, NewKey(e)}, {again, pub}} {
		_, err := e.Issue(e.ctx, retry.k, retry.pub, nil)
		e.is(err, store.ErrIdempotencyKey)
		var named *store.IdempotencyError
		if !errors.As(err, &named) || named.ID != first.ID {
			e.Fatalf("got %v, want an error that names %s", err, first.ID)
		}
	}
	e.revoke(first)
	_, err := e.Issue(e.ctx, again, NewKey(e), nil)
	e.is(err, store.ErrIdempotencyKey)
	e.equal("records", len(e.list("acme", store.Filter{})), 1)
	e.equal("changes", len(e.changesOf("acme")), 3)

	again.Workspace = "other"
	e.issue(again) // another workspace's is another key
	e.issue(NewRecord("acme", "o"))
	e.issue(NewRecord("acme", "o")) // without one, any number
	e.consistent("acme")
	e.consistent("other")
}

func keyIdempotencyRace(e env) {
	const callers = 8
	e.create("acme")
	var won atomic.Int32
	named := make([]uuid.UUID, callers)
	e.parallel(callers, func(i int) {
		k := NewRecord("acme", "o")
		k.IdempotencyKey = "once"
		issued, err := e.Issue(e.ctx, k, NewKey(e), nil)
		var taken *store.IdempotencyError
		switch {
		case err == nil:
			won.Add(1)
			named[i] = issued.ID
		case errors.As(err, &taken):
			named[i] = taken.ID
		default:
			e.Error(err)
		}
	})
	e.equal("winners", won.Load(), int32(1))
	keys := e.list("acme", store.Filter{})
	e.equal("records", len(keys), 1)
	for _, id := range named {
		e.equal("the key that is named", id, keys[0].ID)
	}
	e.equal("changes", len(e.changesOf("acme")), 2)
	e.consistent("acme")
}

// refused issues k and checks that this fails and changes nothing.
func (e env) refused(k store.Key, pub jwks.Key, want error) {
	e.Helper()
	e.refusedOn(nil, k, pub, want)
}

func (e env) refusedOn(terms store.Terms, k store.Key, pub jwks.Key, want error) {
	e.Helper()
	records := e.list(k.Workspace, store.Filter{})
	set, version := e.published(k.Workspace)
	_, err := e.Issue(e.ctx, k, pub, terms)
	e.is(err, want)
	setAfter, versionAfter := e.published(k.Workspace)
	e.equal("version", versionAfter, version)
	e.equal("published", setAfter, set)
	e.equal("records", e.list(k.Workspace, store.Filter{}), records)
	e.equal("changes", len(e.changesOf(k.Workspace)), int(version))
	if k.IdempotencyKey != "" {
		_, err := e.KeyByIdempotencyKey(e.ctx, k.Workspace, k.IdempotencyKey)
		e.is(err, store.ErrNotFound)
	}
}

func keyDuplicateKID(e env) {
	_, tombstone := e.create("acme")
	first, pub := e.issue(NewRecord("acme", "o"))
	again := NewRecord("acme", "p")
	again.IdempotencyKey = "not used up"
	e.refused(again, pub, store.ErrDuplicateKID)
	e.refused(again, tombstone, store.ErrDuplicateKID)
	e.revoke(first)
	e.refused(again, pub, store.ErrDuplicateKID)
	e.issue(again)
	e.consistent("acme")
}

func keyDuplicateID(e env) {
	e.create("acme")
	first, _ := e.issue(NewRecord("acme", "o"))
	again := NewRecord("acme", "p")
	again.ID, again.IdempotencyKey = first.ID, "not used up"
	e.refused(again, NewKey(e), store.ErrExists)
	e.revoke(first)
	e.refused(again, NewKey(e), store.ErrExists)
	e.consistent("acme")
}

func keySameKID(e env) {
	_, tombstone := e.create("acme")
	e.create("other")
	first, pub := e.issue(NewRecord("acme", "o"))
	e.revoke(first)
	for _, pub := range []jwks.Key{pub, tombstone} {
		k, err := e.Issue(e.ctx, NewRecord("other", "o"), pub, nil)
		e.ok(err)
		e.equal("kid", k.KID, pub.KID())
	}
	e.consistent("acme")
	e.consistent("other")
}

func keyUpdate(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	revoked := e.revoke(k)
	neighbour, _ := e.issue(NewRecord("acme", "o"))
	for _, before := range []store.Key{neighbour, revoked} {
		want := before
		want.Name, want.Metadata, want.UpdatedAt = "new", json.RawMessage(`{"x": 1}`), now.Add(time.Hour)
		got, err := e.UpdateKey(e.ctx, "acme", before.ID, func(_ *store.Workspace, k *store.Key) error {
			e.equal("what change is given", *k, before)
			*k = store.Key{
				Workspace: "other", ID: uuid.Must(uuid.NewV7()), KID: newKID(e), Owner: "x", IdempotencyKey: "x",
				Name: want.Name, Metadata: want.Metadata, UpdatedAt: want.UpdatedAt.Add(999), Version: 7, RevokedAt: now,
				Scopes: k.Scopes, ExpiresAt: k.ExpiresAt,
			}
			return nil
		})
		e.ok(err)
		e.equal("updated", got, want)
		e.equal("read", e.key(before), want)
	}
	got, err := e.UpdateKey(e.ctx, "acme", k.ID, func(_ *store.Workspace, k *store.Key) error {
		k.Metadata, k.Audience[0], k.Claims[0] = nil, "x", 'x'
		return nil
	})
	e.ok(err)
	e.equal("metadata that were nil", got.Metadata, json.RawMessage(`{}`))
	e.equal("audience", got.Audience, k.Audience)
	e.equal("claims", got.Claims, k.Claims)
	e.equal("changes", len(e.changesOf("acme")), 4)
}

func keyUpdateFails(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	refusal := errors.New("refused")
	_, err := e.UpdateKey(e.ctx, "acme", k.ID, func(_ *store.Workspace, k *store.Key) error {
		k.Name, k.Metadata[0] = "new", 'x'
		return refusal
	})
	e.is(err, refusal)
	e.equal("read", e.key(k), k)
}

func keyUpdateRace(e env) {
	const workers, each = 4, 10
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	e.parallel(workers, func(int) {
		for range each {
			_, err := e.UpdateKey(e.ctx, "acme", k.ID, func(_ *store.Workspace, k *store.Key) error { k.Name += "."; return nil })
			if err != nil {
				e.Error(err)
			}
		}
	})
	e.equal("name", e.key(k).Name, k.Name+strings.Repeat(".", workers*each))
}
