package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/storetest"
)

// The statements of version 10 of the schema that name no columns of attributes.
const (
	oldInsertKey = `INSERT INTO keys (workspace, id, kid, owner, name, scopes, audience, claims, metadata, idempotency_key,
			created_at, updated_at, expires_at, revoked_at, version, revoked_version,
			rotated_from, rotated_to, grace_ends_at, expired_version, request_digest)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, NULL, ?, NULL, NULL, NULL, ?) ON CONFLICT DO NOTHING`
	oldInsertJWK    = `INSERT INTO jwks (workspace, kid, n) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`
	oldInsertChange = `INSERT INTO changes (workspace, version, added, removed) VALUES (?, ?, ?, ?)`
	oldUpdateState  = `UPDATE keys SET rotated_to = ?, grace_ends_at = ?, revoked_at = ?, revoked_version = ?,
		expired_version = ? WHERE workspace = ? AND id = ?`
	oldDeleteJWK = `DELETE FROM jwks WHERE workspace = ? AND kid = ?`
	oldVersion   = `UPDATE workspaces SET version = ?, fingerprint = zeroblob(32) WHERE id = ?`
)

// A server of the version before goes on beside a new one: it issues keys, and revokes a key with attributes.
func TestAnOlderServerWritesBesideThisOne(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "burnkey.db"))
	create(t, s, "acme")
	fenced := storetest.NewRecord("acme", "o")
	fenced.Limits = []jwks.Limit{{Name: "x", Requests: 1, Seconds: 1}}
	fenced, err := s.Issue(t.Context(), fenced, storetest.NewKey(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	exec := func(query string, args ...any) int64 {
		t.Helper()
		result, err := s.writer.ExecContext(t.Context(), query, args...)
		if err != nil {
			t.Fatal(err)
		}
		n, _ := result.RowsAffected()
		return n
	}
	pub, id := storetest.NewKey(t), uuid.Must(uuid.NewV7())
	kid := pub.KID()
	exec(oldInsertKey, "acme", id[:], kid[:], "o", "old", `["a"]`, `["api"]`, `{}`, `{}`, nil, 1, 1, nil, 3, nil, nil)
	exec(oldInsertJWK, "acme", kid[:], pub.Modulus())
	exec(oldInsertChange, "acme", 3, pub.Modulus(), []byte{})
	exec(oldVersion, 3, "acme")
	storetest.Replays(t, s, "acme")
	got, err := s.Key(t.Context(), "acme", id)
	if attributes := got.Attributes(); err != nil || !attributes.IsZero() || got.Status(time.Now()) != store.Active {
		t.Errorf("got %+v, %v", got, err)
	}
	exec(oldUpdateState, nil, nil, 1, 4, nil, "acme", fenced.ID[:])
	if n := exec(oldDeleteJWK, "acme", fenced.KID[:]); n != 1 {
		t.Errorf("%d rows are deleted", n)
	}
	exec(oldInsertChange, "acme", 4, []byte{}, fenced.KID[:])
	exec(oldVersion, 4, "acme")
	storetest.Replays(t, s, "acme")
	_, err = s.UpdateKey(t.Context(), "acme", id, func(_ *store.Workspace, k *store.Key) error { k.SuspendedAt = time.Now(); return nil })
	if err != nil {
		t.Fatal(err)
	}
	// It refuses to revoke a suspended key, since its JWK is not where it looks.
	if n := exec(oldDeleteJWK, "acme", kid[:]); n != 0 {
		t.Errorf("%d rows are deleted", n)
	}
	storetest.Replays(t, s, "acme")
	if stored, published := storetest.Fingerprints(t, s, "acme"); stored != published {
		t.Errorf("the fingerprint is %s, want %s", stored, published)
	}
}

// Keys of the version before come through the migration without attributes.
func TestKeysComeThroughWithoutAttributes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "burnkey.db")
	exec := schema(t, path, 10)
	pub, id := storetest.NewKey(t), uuid.Must(uuid.NewV7())
	kid := pub.KID()
	exec(`INSERT INTO workspaces (id, name, audiences, allow_never_expires, version, created_at, updated_at)
		VALUES ('acme', '', '[]', 1, 1, 0, 0)`)
	exec(oldInsertKey, "acme", id[:], kid[:], "o", "old", `["a"]`, `["api"]`, `{}`, `{}`, nil, 1, 1, nil, 1, nil, nil)
	exec(oldInsertJWK, "acme", kid[:], pub.Modulus())
	exec(oldInsertChange, "acme", 1, pub.Modulus(), []byte{})
	s := openTest(t, path)
	storetest.Replays(t, s, "acme")
	k, err := s.UpdateKey(t.Context(), "acme", id, func(_ *store.Workspace, k *store.Key) error { k.Scopes = nil; return nil })
	if err != nil || k.Signed == nil || k.Signed.Scopes[0] != "a" {
		t.Errorf("got %+v, %v", k, err)
	}
	storetest.Replays(t, s, "acme")
}
