package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/sqlite"
)

// restoring is a database as it was restored from a backup, with one key.
type restoring struct {
	*testing.T
	plan *restorePlan
	key  store.Key
	now  time.Time
}

func newRestoring(t *testing.T) *restoring {
	t.Helper()
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "burnkey.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	public := func(last byte) jwks.Key {
		n := [jwks.ModulusLen]byte{0: 0x80, jwks.ModulusLen - 1: last}
		key, err := jwks.FromModulus(n[:])
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	now := time.Now()
	issued := now.Add(-24 * time.Hour)
	w, err := st.CreateWorkspace(t.Context(), store.Workspace{ID: "acme", Name: "acme", CreatedAt: issued}, public(1))
	if err != nil {
		t.Fatal(err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	key, err := st.Issue(t.Context(), store.Key{
		Workspace: "acme", ID: id, Owner: "cust_1", Scopes: []string{"a", "b"}, Audience: []string{"x"},
		Claims: []byte(`{}`), Metadata: []byte(`{}`), CreatedAt: issued, UpdatedAt: issued,
	}, public(3), func(*store.Workspace) (int, error) { return 0, nil })
	if err != nil {
		t.Fatal(err)
	}
	return &restoring{t, newRestorePlan(st, []store.Workspace{w}, now), key, now}
}

// entry is an entry about the key, some hours ago.
func (r *restoring) entry(hours int, action, detail string) archivedEntry {
	return archivedEntry{Workspace: "acme", Entry: client.Entry{
		At: r.now.Add(-time.Duration(hours) * time.Hour), Action: action, Key: r.key.ID.String(), Result: store.ResultOK,
		Detail: json.RawMessage(detail),
	}}
}

// is checks the action for the key after files with these entries were read.
func (r *restoring) is(want string, lists ...[]archivedEntry) {
	r.Helper()
	var files []string
	for _, list := range lists {
		text, err := json.Marshal(map[string]any{"entries": list})
		if err != nil {
			r.Fatal(err)
		}
		file := filepath.Join(r.TempDir(), "audit.json")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			r.Fatal(err)
		}
		files = append(files, file)
	}
	if err := r.plan.readAudits(r.Context(), files); err != nil {
		r.Fatal(err)
	}
	got := ""
	if found := r.plan.keys[r.key.ID]; found != nil {
		got = found.act
		for _, part := range []string{"scopes", "suspended", "grace"} {
			if strings.Contains(found.why, part) {
				got += " " + part
			}
		}
	}
	if got != want {
		r.Errorf("got %q, want %q", got, want)
	}
}

const (
	suspended = `{"enabled":{"before":true,"after":false}}`
	resumed   = `{"enabled":{"before":false,"after":true}}`
	narrowed  = `{"scopes":{"before":["a","b"],"after":["a"]}}`
)

// A later entry undoes an earlier one, whatever the order of the files, and nothing else.
func TestRestoreReadsSuspensions(t *testing.T) {
	t.Parallel()
	r := newRestoring(t)
	off, on := r.entry(3, store.ActionKeyUpdate, suspended), r.entry(2, store.ActionKeyUpdate, resumed)
	again, narrow := r.entry(1, store.ActionKeyUpdate, suspended), r.entry(4, store.ActionKeyUpdate, narrowed)
	both := r.entry(1, store.ActionKeyUpdate, strings.TrimSuffix(suspended, "}")+","+narrowed[1:])
	for _, c := range []struct {
		want  string
		lists [][]archivedEntry
	}{
		{"", [][]archivedEntry{{off, on}}},
		{"", [][]archivedEntry{{on}, {off}}},
		{"change suspended", [][]archivedEntry{{again}, {off, on}}},
		{"check scopes", [][]archivedEntry{{narrow, off, on}}},
		{"change scopes suspended", [][]archivedEntry{{narrow, off}}},
		{"change scopes suspended", [][]archivedEntry{{both}}},
	} {
		r.plan = newRestorePlan(r.plan.store, r.plan.workspaces, r.now)
		r.is(c.want, c.lists...)
	}

	// The database that was in use had the key with fewer scopes.
	r.plan = newRestorePlan(r.plan.store, r.plan.workspaces, r.now)
	was := r.key
	was.Scopes, was.UpdatedAt = []string{"a"}, r.now
	r.plan.compareKey(&r.key, &was)
	r.is(actChange, []archivedEntry{off, on})
}

// A rotation without a grace revokes the key, and no other entry says so.
func TestRestoreReadsRotations(t *testing.T) {
	t.Parallel()
	r := newRestoring(t)
	rotation := func(hours, grace int) archivedEntry {
		ends := r.now.Add(time.Duration(grace-hours) * time.Hour)
		return r.entry(hours, store.ActionKeyRotate, `{"grace_ends_at":"`+ends.Format(time.RFC3339Nano)+`"}`)
	}
	for _, c := range []struct {
		want string
		list []archivedEntry
	}{
		{"revoke grace", []archivedEntry{rotation(2, 0)}},
		{"revoke grace", []archivedEntry{rotation(2, 1)}},
		{"check", []archivedEntry{rotation(2, 3)}},
		{"check", []archivedEntry{r.entry(2, store.ActionKeyRotate, `{}`)}},
		{"", []archivedEntry{rotation(3, 2), r.entry(2, store.ActionRotationUndo, `{}`)}},
		{"revoke grace", []archivedEntry{rotation(4, 2), r.entry(3, store.ActionRotationUndo, `{}`), rotation(2, 0)}},
	} {
		r.plan = newRestorePlan(r.plan.store, r.plan.workspaces, r.now)
		r.is(c.want, c.list)
	}
}

// A lost key that ended is not listed: an imported one would come back if it were imported again.
func TestRestoreListsLostKeysThatLive(t *testing.T) {
	t.Parallel()
	r := newRestoring(t)
	r.key.ID = uuid.Must(uuid.NewV7()) // not in the restored database
	imported := r.entry(5, store.ActionKeyImport, `{}`)
	rotated := r.entry(4, store.ActionKeyRotate, `{"grace_ends_at":"`+r.now.Add(-time.Hour).Format(time.RFC3339Nano)+`"}`)
	inGrace := r.entry(4, store.ActionKeyRotate, `{"grace_ends_at":"`+r.now.Add(time.Hour).Format(time.RFC3339Nano)+`"}`)
	for _, c := range []struct {
		want string
		list []archivedEntry
	}{
		{"lost", []archivedEntry{imported}},
		{"lost", []archivedEntry{imported, inGrace}},
		{"", []archivedEntry{imported, rotated}},
		{"lost", []archivedEntry{imported, rotated, r.entry(3, store.ActionRotationUndo, `{}`)}},
		{"", []archivedEntry{imported, r.entry(3, store.ActionKeyRevoke, `{}`)}},
	} {
		r.plan = newRestorePlan(r.plan.store, r.plan.workspaces, r.now)
		r.is(c.want, c.list)
	}
}

func TestRestoreComparesLostKeys(t *testing.T) {
	t.Parallel()
	old := newRestoring(t)
	_, err := old.plan.store.UpdateKey(t.Context(), "acme", old.key.ID, func(_ *store.Workspace, k *store.Key) error {
		k.ExpiresAt, k.UpdatedAt = old.now.Add(time.Hour), old.now
		return nil
	})
	testkit.Check(t, err)
	empty, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "burnkey.db"))
	testkit.Check(t, err)
	defer func() { testkit.Check(t, empty.Close()) }()
	for hours, want := range map[int]int{0: 1, 2: 0} {
		p := newRestorePlan(empty, nil, old.now.Add(time.Duration(hours)*time.Hour))
		testkit.Check(t, p.compare(t.Context(), old.plan.store, "acme"))
		if n := p.count(actLost); n != want {
			t.Errorf("%d keys are lost after %d hours, want %d", n, hours, want)
		}
	}
}

// A table without the columns that are read is refused.
func TestRestoreRefusesOtherTables(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"at,action,result,key,\n1,2,3,4,\n", "at,action,result,key,owner,id\n1,2,3,4,5,6\n"} {
		if _, err := parseAudit([]byte(text)); err == nil {
			t.Errorf("accepted: %s", text)
		}
	}
	row := auditColumns + "id\n2026-11-30T10:00:00Z,key.revoke,ok,k,o,,,,{},i\n"
	if list, err := parseAudit([]byte(row)); err != nil || len(list) != 1 || list[0].Action != store.ActionKeyRevoke {
		t.Errorf("%v %v", list, err)
	}
}

// A set that was fetched without the feed never has imported keys.
func TestRestoreComparesImportedKeys(t *testing.T) {
	t.Parallel()
	imported, set := jwks.ImportedKID("018f0000-0000-7000-8000-000000000001"), new(jwks.Table)
	got := []bool{isGone(imported, set, true), isGone(imported, set, false), isGone(jwks.KID{1}, set, true), isGone(jwks.KID{1}, set, false)}
	if want := []bool{true, false, true, true}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The state of all workspaces is feed.jwks, also if one of them is named feed.
func TestRestoreFindsTheState(t *testing.T) {
	t.Parallel()
	one, other := new(jwks.Table), new(jwks.Table)
	for _, c := range []struct {
		sets            map[string]*jwks.Table
		workspace, file string
		want            *jwks.Table
		feed            bool
	}{
		{map[string]*jwks.Table{"feed": one, "acme": other}, "feed", "state/feed.jwks", one, true},
		{map[string]*jwks.Table{"feed": one, "acme": other}, "acme", "state/feed.jwks", other, true},
		{map[string]*jwks.Table{"": one}, "feed", "feed.jwks", one, false},
		{map[string]*jwks.Table{"": one}, "acme", "state/acme.jwks", one, false},
		{map[string]*jwks.Table{"": one}, "acme", "other.jwks", nil, false},
	} {
		if got, feed := stateOf(c.sets, c.workspace, c.file); got != c.want || feed != c.feed {
			t.Errorf("%s in %s: got %p from the feed: %t", c.workspace, c.file, got, feed)
		}
	}
}
