package postgres

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/postgres/pgtest"
	"github.com/burnkey/burnkey/store/storetest"
)

// schema creates the tables of an earlier version of the schema.
func schema(t *testing.T, url string, version int64) {
	t.Helper()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDB(*config)
	defer db.Close()
	provider, err := newProvider(db, files)
	if err == nil {
		_, err = provider.UpTo(t.Context(), version)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// firstSchema creates the tables of the first release and a workspace with a tombstone and three keys: active,
// expired and revoked. It returns the keys' ids.
func firstSchema(t *testing.T, server *pgtest.Server, url string) []uuid.UUID {
	t.Helper()
	schema(t, url, 1)
	exec := func(query string, args ...any) {
		t.Helper()
		server.Exec(t, url, query, args...)
	}
	exec(`INSERT INTO workspaces VALUES ('acme', 'Acme', '{api}', true, 5, 0, 0)`)
	publish := func(version int, pub jwks.Key) []byte {
		kid := pub.KID()
		exec(`INSERT INTO jwks VALUES ('acme', $1, $2)`, kid[:], pub.Modulus())
		exec(`INSERT INTO changes VALUES ('acme', $1, $2, '')`, version, pub.Modulus())
		return kid[:]
	}
	publish(1, storetest.NewKey(t))
	hour := time.Hour.Microseconds()
	var ids []uuid.UUID
	for i, expires := range []any{nil, hour, 2 * hour} {
		id := uuid.Must(uuid.NewV7())
		kid := publish(i+2, storetest.NewKey(t))
		exec(`INSERT INTO keys VALUES ('acme', $1, $2, 'o', 'name', '{a}', '{api}', '{"x":1}', '{}', $3, 0, 0, $4, NULL, $5, NULL)`,
			[16]byte(id), kid, id.String(), expires, i+2)
		ids = append(ids, id)
		if i == 2 {
			exec(`UPDATE keys SET revoked_at = 1, revoked_version = 5 WHERE id = $1`, [16]byte(id))
			exec(`DELETE FROM jwks WHERE kid = $1`, kid)
			exec(`INSERT INTO changes VALUES ('acme', 5, '', $1)`, kid)
		}
	}
	return ids
}

func TestADatabaseOfTheFirstSchemaComesThrough(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Schema(t)
	ids := firstSchema(t, server, url)
	s := openTest(t, url)
	w, err := s.Workspace(t.Context(), "acme")
	unset := reflect.DeepEqual(w.Policy, store.Policy{}.Clone()) && reflect.DeepEqual(w.Portal, store.Portal{}.Clone())
	if err != nil || w.Version != 5 || !unset {
		t.Errorf("workspace %+v, %v", w, err)
	}
	epoch := time.UnixMicro(0).UTC()
	for i, id := range ids {
		got, err := s.Key(t.Context(), "acme", id)
		want := store.Key{
			Workspace: "acme", ID: id, KID: got.KID, Owner: "o", Name: "name", Scopes: []string{"a"}, Audience: []string{"api"},
			Claims: json.RawMessage(`{"x":1}`), Metadata: json.RawMessage(`{}`), IdempotencyKey: id.String(),
			CreatedAt: epoch, UpdatedAt: epoch, Version: uint64(i + 2),
		}
		if i > 0 {
			want.ExpiresAt = epoch.Add(time.Duration(i) * time.Hour)
		}
		if i == 2 {
			want.RevokedAt, want.RevokedVersion = time.UnixMicro(1).UTC(), 5
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
	}
	checkLog(t, s)
	checkFingerprint(t, s, "acme")
	// The key that expired long ago is due.
	due, err := s.Due(t.Context(), store.DuePlace{}, time.Now(), 10)
	if err != nil || len(due) != 1 || due[0].ID != ids[1] {
		t.Fatalf("due: %+v, %v", due, err)
	}
	got, err := s.Retire(t.Context(), "acme", []uuid.UUID{due[0].ID}, time.Now())
	if err != nil || len(got) != 1 || got[0].ExpiredVersion != 6 {
		t.Errorf("got %+v, %v", got, err)
	}
	old, next, err := s.Rotate(t.Context(), "acme", ids[0], storetest.NewRecord("acme", "o"), storetest.NewKey(t),
		time.Now().Add(time.Hour), nil)
	if err != nil || next.Version != 7 || old.RotatedTo != next.ID {
		t.Errorf("got %+v, %+v, %v", old, next, err)
	}
	checkLog(t, s)
	checkFingerprint(t, s, "acme")
}

func checkFingerprint(t *testing.T, s *Store, workspace string) {
	t.Helper()
	if stored, published := storetest.Fingerprints(t, s, workspace); stored != published {
		t.Errorf("the fingerprint of %s is %s, want %s", workspace, stored, published)
	}
}

// Manual changes, and changes by servers of an earlier version, update the fingerprint, whatever the session's
// search_path is.
func TestChangesByHandUpdateTheFingerprint(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Schema(t)
	s := openTest(t, url)
	for _, id := range []string{"acme", "other"} {
		create(t, s, id)
		for range 3 {
			issue(t, s, id)
		}
	}
	var schema string
	if err := s.pool.QueryRow(t.Context(), `SELECT current_schema()::text`).Scan(&schema); err != nil {
		t.Fatal(err)
	}
	for _, change := range []string{
		`DELETE FROM %s WHERE kid IN (SELECT kid FROM %[1]s LIMIT 3)`,
		`INSERT INTO %s (workspace, kid, n) SELECT 'other', kid, n FROM %[1]s WHERE workspace = 'acme' ON CONFLICT DO NOTHING`,
		`UPDATE %s SET workspace = 'acme' WHERE kid IN (SELECT kid FROM %[1]s GROUP BY kid HAVING count(*) = 1)`,
		`TRUNCATE %s`,
	} {
		query := fmt.Sprintf(change, pgx.Identifier{schema, "jwks"}.Sanitize())
		server.Exec(t, url, `SET search_path = pg_catalog; `+query)
		checkFingerprint(t, s, "acme")
		checkFingerprint(t, s, "other")
	}
}

func TestLogosComeThrough(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Schema(t)
	schema(t, url, 3)
	logos := storetest.OldPortals(t)
	for id, old := range logos {
		server.Exec(t, url, `INSERT INTO workspaces
			VALUES ($1, '', '{}', true, 1, 0, 0, '{"keys_per_owner":7}', coalesce(nullif($2, ''), '{}'))`, id, old.Text)
	}
	s := openTest(t, url)
	if short := server.Query(t, url, `SELECT max(length(portal)) < 500 FROM workspaces`)[0]; short != "true" {
		t.Error("the logo is still in the portal")
	}
	logos.Check(t, s)
}

// A link that was created before the column made_by existed remains valid.
func TestSessionsComeThrough(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Schema(t)
	schema(t, url, 5)
	server.Exec(t, url, `INSERT INTO workspaces VALUES ('acme', '', '{}', true, 1, 0, 0, '{}', '{}')`)
	server.Exec(t, url, `INSERT INTO sessions
		VALUES ($1, 'link', 'acme', 'o', 'owner', 'jo', NULL, '', false, 0, 1000000, true)`, make([]byte, 32))
	s := openTest(t, url)
	want := store.Session{
		Kind: store.KindLink, Workspace: "acme", Owner: "o", Role: store.RoleOwner, Subject: "jo", Login: true,
		CreatedAt: time.UnixMicro(0).UTC(), ExpiresAt: time.Unix(1, 0).UTC(),
	}
	if got, err := s.StoredSession(t.Context(), [32]byte{}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestTheAuditIsAppendOnly(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Schema(t)
	s := openTest(t, url)
	create(t, s, "acme")
	for _, query := range []string{`UPDATE audit SET owner = ''`, `DELETE FROM audit`, `TRUNCATE audit`} {
		if _, err := s.pool.Exec(t.Context(), query); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v", query, err)
		}
	}
}
