// Package storetest tests a backend against the contract of package store.
package storetest

import (
	"context"
	"crypto/rand"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Database opens one more Store on the same database. The caller closes it.
type Database func(ctx context.Context) (store.Store, error)

// Run runs the suite. Before each test it calls create for a new, empty database.
func Run(t *testing.T, create func(t *testing.T) Database) {
	before := goleak.IgnoreCurrent()
	groups := []struct {
		name  string
		tests []test
	}{
		{"workspaces", workspaceTests},
		{"environments", environmentTests},
		{"keys", keyTests},
		{"revocation", revokeTests},
		{"rotation", rotationTests},
		{"retirement", dueTests},
		{"signers", signerTests},
		{"an owner's limit", limitTests},
		{"terms", termTests},
		{"authority", authorityTests},
		{"sessions", sessionTests},
		{"usage", usageTests},
		{"audit", auditTests},
		{"lists", listTests},
		{"lists and counts for operators", operateTests},
		{"attributes", attributeTests},
		{"ceilings", ceilingTests},
		{"a suspension", suspensionTests},
		{"limits that keys share", limitSetTests},
		{"requests", requestTests},
		{"settings", settingsTests},
		{"imported keys", importTests},
		{"keys under a key", append(delegationTests(issuedParent), childTests...)},
		{"keys under an imported key", delegationTests(importedParent)},
		{"published set", publishTests},
		{"compaction", compactTests},
		{"watching", watchTests},
		{"a restore", restoreTests},
		{"tenants", tenantTests},
		{"concurrency", concurrencyTests},
		{"lifecycle", lifecycleTests},
		{"random programs", programTests},
	}
	for _, group := range groups {
		t.Run(group.name, func(t *testing.T) {
			for _, test := range group.tests {
				t.Run(test.promise, func(t *testing.T) { test.run(newEnv(t, create(t))) })
			}
		})
	}
	t.Run("nothing is left running", func(t *testing.T) { goleak.VerifyNone(t, before) })
}

// NewKey returns a key with a random modulus. The modulus is not an RSA modulus: a store does not check it, and
// a random number takes no time.
func NewKey(t testing.TB) jwks.Key {
	t.Helper()
	n := make([]byte, jwks.ModulusLen)
	_, _ = rand.Read(n) // never fails
	return keyOf(t, n)
}

func newKID(t testing.TB) jwks.KID {
	t.Helper()
	key := NewKey(t)
	return key.KID()
}

func keyOf(t testing.TB, n []byte) jwks.Key {
	t.Helper()
	n[0] |= 0x80
	n[len(n)-1] |= 1
	key, err := jwks.FromModulus(n)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// now is the time of the suite's records, in whole microseconds, as a store returns it.
var now = time.Date(2026, 3, 4, 5, 6, 7, 123456000, time.UTC)

// NewRecord returns a record for Issue, with a new id and all fields except the idempotency key.
func NewRecord(workspace, owner string) store.Key {
	return store.Key{
		Workspace: workspace,
		ID:        uuid.Must(uuid.NewV7()),
		Owner:     owner,
		Name:      "key of " + owner,
		Scopes:    []string{"maps:read", "maps:write"},
		Audience:  []string{"api"},
		Claims:    []byte(`{"plan":"gold"}`),
		Metadata:  []byte(`{"team":[1,2]}`),
		CreatedAt: now,
		UpdatedAt: now.Add(time.Microsecond),
		ExpiresAt: now.Add(time.Hour),
	}
}

// test is one rule of the contract and the function that checks it.
type test struct {
	promise string
	run     func(e env)
}

// env has the store of one test, on a database of its own.
type env struct {
	*testing.T
	store.Store
	db  Database
	ctx context.Context
}

func newEnv(t *testing.T, db Database) env {
	e := env{T: t, db: db, ctx: t.Context()}
	e.Store = e.open()
	return e
}

// open opens one more store on the test's database.
func (e env) open() store.Store {
	e.Helper()
	s, err := e.db(e.ctx)
	e.ok(err)
	e.Cleanup(func() {
		if err := s.Close(); err != nil {
			e.Errorf("Close: %v", err)
		}
	})
	return s
}

func (e env) ok(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

func (e env) equal(what string, got, want any) {
	e.Helper()
	if !reflect.DeepEqual(got, want) {
		e.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// create creates a workspace and returns it and its tombstone.
func (e env) create(id string) (store.Workspace, jwks.Key) {
	e.Helper()
	tombstone := NewKey(e)
	w, err := e.CreateWorkspace(e.ctx, store.Workspace{
		ID: id, Name: "Workspace " + id, Audiences: []string{"api"}, CreatedAt: now,
	}, tombstone)
	e.ok(err)
	return w, tombstone
}

// issue issues k with a new JWK.
func (e env) issue(k store.Key) (store.Key, jwks.Key) {
	e.Helper()
	pub := NewKey(e)
	issued, err := e.Issue(e.ctx, k, pub, nil)
	e.ok(err)
	return issued, pub
}

func (e env) revoke(k store.Key) store.Key {
	e.Helper()
	revoked, err := e.Revoke(e.ctx, k.Workspace, k.ID, now.Add(time.Minute))
	e.ok(err)
	return revoked
}

// key reads a record.
func (e env) key(k store.Key) store.Key {
	e.Helper()
	got, err := e.Key(e.ctx, k.Workspace, k.ID)
	e.ok(err)
	return got
}

func (e env) list(workspace string, f store.Filter) []store.Key {
	e.Helper()
	if f.Limit == 0 {
		f.Limit = 1000
	}
	keys, _, err := e.Keys(e.ctx, workspace, f)
	e.ok(err)
	if keys == nil {
		e.Fatal("a list is nil")
	}
	return keys
}

// published returns the published set and its version.
func (e env) published(workspace string) ([]jwks.Key, uint64) {
	e.Helper()
	f := e.feed(workspace)
	return sorted(f.keys), f.version
}

// changesOf returns the whole log of a workspace, read in small pages.
func (e env) changesOf(workspace string) []jwks.Change {
	e.Helper()
	var all []jwks.Change
	for after := uint64(0); ; {
		page, err := e.Changes(e.ctx, workspace, after, 7)
		e.ok(err)
		if len(page) == 0 {
			return all
		}
		if page[0].Version != after+1 {
			e.Fatalf("the change after version %d is %d", after, page[0].Version)
		}
		all = append(all, page...)
		after = page[len(page)-1].Version
	}
}

// consistent checks that a workspace's version, fingerprint, log and published set agree.
func (e env) consistent(workspace string) {
	e.Helper()
	want := newFeed()
	for _, c := range e.changesOf(workspace) {
		e.ok(want.apply(c))
	}
	e.equal("published against the replayed changes", e.feed(workspace), want)
	e.sameFingerprint(workspace)
	w, err := e.Workspace(e.ctx, workspace)
	e.ok(err)
	e.equal("version of the workspace", w.Version, want.version)
}

func (e env) sameFingerprint(workspace string) {
	e.Helper()
	stored, published := Fingerprints(e, e.Store, workspace)
	e.equal("fingerprint of "+workspace, stored, published)
}

// sorted returns a set in the order in which it is published.
func sorted(set map[jwks.KID]jwks.Key) []jwks.Key {
	keys := make([]jwks.Key, 0, len(set))
	for _, key := range set {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b jwks.Key) int {
		x, y := a.KID(), b.KID()
		return slices.Compare(x[:], y[:])
	})
	return keys
}

// ids returns the ids of keys.
func ids(keys []store.Key) []uuid.UUID {
	list := make([]uuid.UUID, 0, len(keys))
	for _, k := range keys {
		list = append(list, k.ID)
	}
	return list
}

// newestFirst returns keys in the order in which they are listed.
func newestFirst(keys []store.Key) []store.Key {
	sorted := slices.Clone(keys)
	slices.SortFunc(sorted, func(a, b store.Key) int { return slices.Compare(b.ID[:], a.ID[:]) })
	return sorted
}
