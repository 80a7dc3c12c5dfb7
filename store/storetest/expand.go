package storetest

import (
	"fmt"
	"io/fs"
	"regexp"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pressly/goose/v3"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// contracts are statements after which a server of the previous version can fail: it reads a column or table that is gone,
// gets a NULL that it does not expect, or writes a row that the schema now refuses.
var contracts = regexp.MustCompile(`(?is)\bDROP\s+(?:TABLE|COLUMN|VIEW|FUNCTION|NOT\s+NULL|DEFAULT)\b|\bRENAME\b|` +
	`\bSET\s+NOT\s+NULL\b|\bTYPE\s|\bUNIQUE\s+INDEX\b|\bADD\s+(?:CONSTRAINT|CHECK|UNIQUE)\b|` +
	`\bADD\s+COLUMN\s[^,;]*?\bNOT\s+NULL\b|\bCREATE\s+(?:CONSTRAINT\s+)?TRIGGER\b`)

var (
	sqlComment  = regexp.MustCompile(`--[^\n]*`)
	withDefault = regexp.MustCompile(`(?i)\bNOT\s+NULL\s+DEFAULT\b`)
	raisesNeeds = regexp.MustCompile(`(?i)UPDATE\s+installation\s+SET\s+needs_schema\b`)
	expands     = regexp.MustCompile(`(?m)^-- Expands: \S.{10,}$`)
)

// contract returns a statement of a migration that can break older servers, or an empty string.
func contract(migration string) string {
	if raisesNeeds.MatchString(migration) || expands.MatchString(migration) {
		return ""
	}
	text := sqlComment.ReplaceAllString(migration, "")
	return contracts.FindString(withDefault.ReplaceAllString(text, "DEFAULT"))
}

// ExpandOnly checks that migrations after store.FirstExpandOnly only expand the schema, or raise what the database
// needs. A migration that is an expansion in spite of its statements has a comment "Expands:" with the reason.
func ExpandOnly(t *testing.T, migrations fs.FS) {
	t.Helper()
	for _, bad := range []string{
		"ALTER TABLE a DROP COLUMN b;", "ALTER TABLE a RENAME TO b;", "ALTER TABLE a ADD COLUMN b text NOT NULL;",
		"ALTER TABLE a ALTER COLUMN b TYPE bigint;", "CREATE UNIQUE INDEX a ON b (c);", "DROP TABLE a; -- Expands: no line of its own",
	} {
		if contract(bad) == "" {
			t.Errorf("the check passes %q", bad)
		}
	}
	for _, good := range []string{
		"ALTER TABLE a ADD COLUMN b text; -- DROP TABLE a", "ALTER TABLE a ADD COLUMN b bigint NOT NULL DEFAULT 0;",
		"CREATE TABLE a (b text NOT NULL); CREATE INDEX b ON a (b);", "DROP TABLE a; UPDATE installation SET needs_schema = 20;",
	} {
		if found := contract(good); found != "" {
			t.Errorf("the check refuses %q in %q", found, good)
		}
	}
	files, err := fs.Glob(migrations, "*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d migrations, %v", len(files), err)
	}
	for _, name := range files {
		version, err := goose.NumericComponent(name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := fs.ReadFile(migrations, name)
		if err != nil {
			t.Fatal(err)
		}
		if found := contract(string(text)); version > store.FirstExpandOnly && found != "" {
			t.Errorf("%s: %q can break servers of the previous version: see CONTRIBUTING, Migrations", name, found)
		}
	}
}

// later is a later version's migration that only expands the schema; its version is 99999.
const later = `
	ALTER TABLE workspaces ADD COLUMN later INTEGER NOT NULL DEFAULT 7;
	ALTER TABLE keys ADD COLUMN later TEXT;
	ALTER TABLE jwks ADD COLUMN later TEXT;
	ALTER TABLE changes ADD COLUMN later TEXT;
	ALTER TABLE sessions ADD COLUMN later TEXT;
	ALTER TABLE audit ADD COLUMN later TEXT;
	ALTER TABLE requests ADD COLUMN later TEXT;
	ALTER TABLE limit_sets ADD COLUMN later TEXT;
	CREATE TABLE later (id INTEGER NOT NULL PRIMARY KEY);
	CREATE INDEX keys_later ON keys (workspace, later);`

// LaterSchema checks that an open store continues to work after a later version's migration has expanded the schema, and
// that a store can be opened on it. exec runs SQL; it must also add the version 99999 to the versions.
func LaterSchema(t *testing.T, db Database, exec func(query string)) {
	e := newEnv(t, db)
	before := e.life("before")
	exec(later)
	e.life("acme")
	if _, err := e.Revoke(e.ctx, "before", before, now.Add(time.Minute)); err != nil {
		t.Error(err)
	}
	started := env{e.T, e.open(), e.db, e.ctx}
	started.life("started")
}

// life creates a workspace, changes it as servers do, and returns the id of an active key.
func (e env) life(workspace string) uuid.UUID {
	e.Helper()
	e.create(workspace)
	first, _ := e.issue(NewRecord(workspace, "cust_1"))
	for _, at := range []time.Time{now, {}} {
		_, err := e.UpdateKey(e.ctx, workspace, first.ID, func(_ *store.Workspace, k *store.Key) error {
			k.SuspendedAt, k.Scopes = at, []string{"maps:read"}
			return nil
		})
		e.ok(err)
	}
	_, next, err := e.Rotate(e.ctx, workspace, first.ID, NewRecord(workspace, "cust_1"), NewKey(e), now.Add(time.Minute), nil)
	e.ok(err)
	e.revoke(first)
	_, err = e.UpdateWorkspace(e.ctx, workspace, func(w *store.Workspace) error { w.Policy.KeysPerOwner = 9; return nil })
	e.ok(err)
	link := store.Session{
		Hash: [32]byte(fmt.Appendf(nil, "%-32s", workspace)), Kind: store.KindLink, Workspace: workspace, Owner: "cust_1",
		Role: store.RoleOwner, CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	e.ok(e.CreateSession(e.ctx, link))
	_, err = e.Session(e.ctx, link.Hash, now)
	e.ok(err)
	count := 0
	version, _, err := e.Published(e.ctx, workspace, func(jwks.Key, jwks.Attributes) error { count++; return nil })
	e.ok(err)
	e.equal("published keys", count, 2)
	e.equal("changes", len(e.changesOf(workspace)), int(version))
	e.equal("keys", len(e.list(workspace, store.Filter{})), 2)
	if len(e.audit(workspace, store.AuditFilter{})) < 7 {
		e.Error("entries are missing in the audit")
	}
	stored, published := Fingerprints(e.T, e.Store, workspace)
	e.equal("fingerprint", stored, published)
	return next.ID
}
