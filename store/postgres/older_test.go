package postgres

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/postgres/pgtest"
	"github.com/burnkey/burnkey/store/storetest"
)

// The statements of version 10 of the schema, without their entries in the audit.
const (
	oldIssueKey = `WITH raised AS (
			UPDATE workspaces SET version = version + 1 WHERE id = $1 RETURNING version
		), stored AS (
			INSERT INTO keys (workspace, id, kid, owner, name, scopes, audience, claims, metadata, idempotency_key,
				created_at, updated_at, expires_at, revoked_at, version, revoked_version,
				rotated_from, rotated_to, grace_ends_at, expired_version, request_digest)
			SELECT $1, $2, $3, 'o', 'old', '{a}', '{api}', '{}', '{}', NULL, 1, 1, NULL, NULL, version, NULL, NULL, NULL, NULL, NULL, NULL
			FROM raised
		), published AS (
			INSERT INTO jwks (workspace, kid, n) SELECT $1, $3, $4 FROM raised
		)
		INSERT INTO changes (workspace, version, added, removed) SELECT $1, version, $4, '' FROM raised`
	oldRaise     = `UPDATE workspaces SET version = version + 1 WHERE id = $1`
	oldRemoveKey = `WITH raised AS (
			SELECT version FROM workspaces WHERE id = $1
		), removed AS (
			UPDATE keys SET revoked_at = 1, revoked_version = (SELECT version FROM raised)
			WHERE workspace = $1 AND id = $2 AND revoked_at IS NULL AND expired_version IS NULL AND rotated_to IS NULL
			RETURNING kid
		), withdrawn AS (
			DELETE FROM jwks USING removed WHERE jwks.workspace = $1 AND jwks.kid = removed.kid RETURNING jwks.kid
		)
		INSERT INTO changes (workspace, version, added, removed)
			SELECT $1, version, '', (SELECT kid FROM withdrawn) FROM raised`
)

// A server of the version before goes on beside a new one: it issues keys, and revokes a key with attributes, but
// not a suspended one.
func TestAnOlderServerWritesBesideThisOne(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Schema(t)
	s := openTest(t, url)
	create(t, s, "acme")
	fenced := storetest.NewRecord("acme", "o")
	fenced.Limits = []jwks.Limit{{Name: "x", Requests: 1, Seconds: 1}}
	fenced, err := s.Issue(t.Context(), fenced, storetest.NewKey(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	pub, id := storetest.NewKey(t), uuid.Must(uuid.NewV7())
	kid := pub.KID()
	server.Exec(t, url, oldIssueKey, "acme", [16]byte(id), kid[:], pub.Modulus())
	checkLog(t, s)
	checkFingerprint(t, s, "acme")
	got, err := s.Key(t.Context(), "acme", id)
	if attributes := got.Attributes(); err != nil || !attributes.IsZero() || got.Status(time.Now()) != store.Active {
		t.Errorf("got %+v, %v", got, err)
	}
	revoke := func(id uuid.UUID) error {
		t.Helper()
		tx, err := s.pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer rollback(t.Context(), tx)
		_, errRaise := tx.Exec(t.Context(), `SET LOCAL burnkey.fingerprint = 'off'`)
		_, err = tx.Exec(t.Context(), oldRaise, "acme")
		if err = errors.Join(errRaise, err); err == nil {
			_, err = tx.Exec(t.Context(), oldRemoveKey, "acme", [16]byte(id))
		}
		if err != nil {
			return err
		}
		return tx.Commit(t.Context())
	}
	if err := revoke(fenced.ID); err != nil {
		t.Error(err)
	}
	checkLog(t, s)
	checkFingerprint(t, s, "acme")
	suspended, err := s.UpdateKey(t.Context(), "acme", id, func(_ *store.Workspace, k *store.Key) error {
		k.SuspendedAt = time.Now()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := revoke(suspended.ID); !isCode(err, notNullViolation) {
		t.Errorf("a suspended key is revoked: %v", err)
	}
	checkLog(t, s)
	checkFingerprint(t, s, "acme")
}

// Keys of the version before come through the migration without attributes.
func TestKeysComeThroughWithoutAttributes(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Schema(t)
	schema(t, url, 10)
	pub, id := storetest.NewKey(t), uuid.Must(uuid.NewV7())
	kid := pub.KID()
	server.Exec(t, url, `INSERT INTO workspaces (id, name, audiences, allow_never_expires, version, created_at, updated_at)
		VALUES ('acme', '', '{}', true, 1, 0, 0); INSERT INTO changes VALUES ('acme', 1, '', '')`)
	server.Exec(t, url, oldIssueKey, "acme", [16]byte(id), kid[:], pub.Modulus())
	s := openTest(t, url)
	checkLog(t, s)
	k, err := s.UpdateKey(t.Context(), "acme", id, func(_ *store.Workspace, k *store.Key) error { k.Scopes = nil; return nil })
	if err != nil || k.Signed == nil || k.Signed.Scopes[0] != "a" {
		t.Errorf("got %+v, %v", k, err)
	}
	checkLog(t, s)
	checkFingerprint(t, s, "acme")
}
