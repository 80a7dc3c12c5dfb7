package sqlite

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/storetest"
)

// schema creates a database with an earlier version of the schema, and returns a function that runs SQL on it.
func schema(t *testing.T, path string, version int64) (exec func(query string, args ...any)) {
	t.Helper()
	file, err := ensureFile(path)
	if err != nil {
		t.Fatal(err)
	}
	db, err := openPool(file, writerPragmas, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	provider, err := newProvider(db)
	if err == nil {
		err = claim(t.Context(), db)
	}
	if err == nil {
		_, err = provider.UpTo(t.Context(), version)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func(query string, args ...any) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
	}
}

// firstSchema creates a database with the schema of the first release, a workspace, its tombstone, and three
// keys: active, expired and revoked.
func firstSchema(t *testing.T, path string) []store.Key {
	t.Helper()
	exec := schema(t, path, 1)
	exec(`INSERT INTO workspaces VALUES ('acme', 'Acme', '["api"]', 1, 5, 0, 0)`)
	publish := func(version int, pub jwks.Key) []byte {
		kid := pub.KID()
		exec(`INSERT INTO jwks VALUES ('acme', ?, ?)`, kid[:], pub.Modulus())
		exec(`INSERT INTO changes VALUES ('acme', ?, ?, x'')`, version, pub.Modulus())
		return kid[:]
	}
	publish(1, storetest.NewKey(t))
	hour := time.Hour.Microseconds()
	var ids []uuid.UUID
	for i, expires := range []any{nil, hour, 2 * hour} {
		id := uuid.Must(uuid.NewV7())
		kid := publish(i+2, storetest.NewKey(t))
		exec(`INSERT INTO keys VALUES ('acme', ?, ?, 'o', 'name', '["a"]', '["api"]', '{"x":1}', '{}', ?, 0, 0, ?, NULL, ?, NULL)`,
			id[:], kid, id.String(), expires, i+2)
		ids = append(ids, id)
		if i == 2 {
			exec(`UPDATE keys SET revoked_at = 1, revoked_version = 5 WHERE id = ?`, id[:])
			exec(`DELETE FROM jwks WHERE kid = ?`, kid)
			exec(`INSERT INTO changes VALUES ('acme', 5, x'', ?)`, kid)
		}
	}
	return storedKeys(t, ids)
}

// storedKeys returns the keys of firstSchema as they should be read, except for their kids.
func storedKeys(t *testing.T, ids []uuid.UUID) []store.Key {
	t.Helper()
	epoch := time.UnixMicro(0).UTC()
	var keys []store.Key
	for i, id := range ids {
		k := store.Key{
			Workspace: "acme", ID: id, Owner: "o", Name: "name", Scopes: []string{"a"}, Audience: []string{"api"},
			Claims: json.RawMessage(`{"x":1}`), Metadata: json.RawMessage(`{}`), IdempotencyKey: id.String(),
			CreatedAt: epoch, UpdatedAt: epoch, Version: uint64(i + 2),
		}
		if i > 0 {
			k.ExpiresAt = epoch.Add(time.Duration(i) * time.Hour)
		}
		if i == 2 {
			k.RevokedAt, k.RevokedVersion = time.UnixMicro(1).UTC(), 5
		}
		keys = append(keys, k)
	}
	return keys
}

func TestADatabaseOfTheFirstSchemaComesThrough(t *testing.T) {
	path := filepath.Join(t.TempDir(), "burnkey.db")
	want := firstSchema(t, path)
	s := openTest(t, path)
	w, err := s.Workspace(t.Context(), "acme")
	unset := reflect.DeepEqual(w.Policy, store.Policy{}.Clone()) && reflect.DeepEqual(w.Portal, store.Portal{}.Clone())
	if err != nil || w.Version != 5 || !unset {
		t.Errorf("workspace %+v, %v", w, err)
	}
	for _, k := range want {
		got, err := s.Key(t.Context(), "acme", k.ID)
		if k.KID = got.KID; err != nil || !reflect.DeepEqual(got, k) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, k)
		}
	}
	if _, err := s.Issue(t.Context(), want[0], storetest.NewKey(t), nil); err == nil || !strings.Contains(err.Error(), "idempotency") {
		t.Errorf("the idempotency keys are lost: %v", err)
	}
	n := 0
	version, _, err := s.Published(t.Context(), "acme", func(jwks.Key, jwks.Attributes) error { n++; return nil })
	if err != nil || version != 5 || n != 3 {
		t.Errorf("%d published keys of version %d, %v", n, version, err)
	}
	if stored, published := storetest.Fingerprints(t, s, "acme"); stored != published {
		t.Errorf("the fingerprint is %s, want %s", stored, published)
	}
	// The key that expired long ago is due.
	due, err := s.Due(t.Context(), store.DuePlace{}, time.Now(), 10)
	if err != nil || len(due) != 1 || due[0].ID != want[1].ID {
		t.Fatalf("due: %+v, %v", due, err)
	}
	got, err := s.Retire(t.Context(), "acme", []uuid.UUID{due[0].ID}, time.Now())
	if err != nil || len(got) != 1 || got[0].ExpiredVersion != 6 {
		t.Errorf("got %+v, %v", got, err)
	}
	old, next, err := s.Rotate(t.Context(), "acme", want[0].ID, storetest.NewRecord("acme", "o"), storetest.NewKey(t),
		time.Now().Add(time.Hour), nil)
	if err != nil || next.Version != 7 || old.RotatedTo != next.ID {
		t.Errorf("got %+v, %+v, %v", old, next, err)
	}
	if stored, published := storetest.Fingerprints(t, s, "acme"); stored != published {
		t.Errorf("after changes the fingerprint is %s, want %s", stored, published)
	}
	if _, err := s.UpdateWorkspace(t.Context(), "acme", func(w *store.Workspace) error { w.Policy.KeysPerOwner = 1; return nil }); err != nil {
		t.Error(err)
	}
	for range 2 {
		s = openTest(t, path)
		if w, err := s.Workspace(t.Context(), "acme"); err != nil || w.Policy.KeysPerOwner != 1 {
			t.Errorf("got %+v, %v", w, err)
		}
	}
}

// After a manual change, the fingerprint is unknown until the program's next change.
func TestChangesByHandResetTheFingerprint(t *testing.T) {
	for name, change := range map[string]string{
		"insert":    `INSERT INTO jwks (workspace, kid, n) SELECT 'acme', kid, n FROM jwks WHERE workspace = 'other'`,
		"delete":    `DELETE FROM jwks WHERE workspace = 'acme' AND kid = (SELECT max(kid) FROM jwks WHERE workspace = 'acme')`,
		"move here": `UPDATE jwks SET workspace = 'acme' WHERE workspace = 'other'`,
		"move away": `UPDATE jwks SET workspace = 'other' WHERE kid = (SELECT max(kid) FROM jwks WHERE workspace = 'acme')`,
	} {
		s := openTest(t, filepath.Join(t.TempDir(), "burnkey.db"))
		create(t, s, "acme")
		create(t, s, "other")
		print := func() (print jwks.Fingerprint) {
			t.Helper()
			err := s.Versions(t.Context(), func(id string, _ uint64, p jwks.Fingerprint) error {
				if id == "acme" {
					print = p
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return print
		}
		if print() == (jwks.Fingerprint{}) {
			t.Error("there is no fingerprint")
		}
		if _, err := s.writer.ExecContext(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		if got := print(); got != (jwks.Fingerprint{}) {
			t.Errorf("%s: got %s", name, got)
		}
		if _, err := s.Issue(t.Context(), storetest.NewRecord("acme", "o"), storetest.NewKey(t), nil); err != nil {
			t.Error(err)
		}
		stored, published := storetest.Fingerprints(t, s, "acme")
		if stored != published || stored == (jwks.Fingerprint{}) {
			t.Errorf("%s and a new key: got %s, want %s", name, stored, published)
		}
	}
}

func TestLogosComeThrough(t *testing.T) {
	path := filepath.Join(t.TempDir(), "burnkey.db")
	exec := schema(t, path, 3)
	logos := storetest.OldPortals(t)
	for id, old := range logos {
		exec(`INSERT INTO workspaces VALUES (?, '', '[]', 1, 1, 0, 0)`, id)
		if old.Text != "" {
			exec(`INSERT INTO settings VALUES (?, '{"keys_per_owner":7}', ?)`, id, old.Text)
		}
	}
	s := openTest(t, path)
	var short bool
	if err := s.writer.QueryRowContext(t.Context(), `SELECT max(length(portal)) < 500 FROM settings`).Scan(&short); err != nil || !short {
		t.Error("the logo is still in the portal", err)
	}
	logos.Check(t, s)
}

// A link that was created before the column made_by existed remains valid.
func TestSessionsComeThrough(t *testing.T) {
	path := filepath.Join(t.TempDir(), "burnkey.db")
	exec := schema(t, path, 5)
	exec(`INSERT INTO workspaces VALUES ('acme', '', '[]', 1, 1, 0, 0)`)
	exec(`INSERT INTO sessions VALUES (?, 'link', 'acme', 'o', 'owner', 'jo', NULL, '', 0, 0, 1000000, 1)`, make([]byte, 32))
	s := openTest(t, path)
	want := store.Session{
		Kind: store.KindLink, Workspace: "acme", Owner: "o", Role: store.RoleOwner, Subject: "jo", Login: true,
		CreatedAt: time.UnixMicro(0).UTC(), ExpiresAt: time.Unix(1, 0).UTC(),
	}
	if got, err := s.StoredSession(t.Context(), [32]byte{}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestTheAuditIsAppendOnly(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "burnkey.db"))
	create(t, s, "acme")
	for _, query := range []string{`UPDATE audit SET owner = ''`, `DELETE FROM audit`} {
		if _, err := s.writer.ExecContext(t.Context(), query); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v", query, err)
		}
	}
}
