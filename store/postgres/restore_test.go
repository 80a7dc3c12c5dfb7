package postgres

import (
	"context"
	"errors"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/postgres/pgtest"
	"github.com/burnkey/burnkey/store/storetest"
)

func TestMigrationsOnlyExpand(t *testing.T) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	storetest.ExpandOnly(t, files)
}

var (
	ownTable   = regexp.MustCompile(`(?i)\bCREATE TABLE (\w+)`)
	lockTables = regexp.MustCompile(`(?i)\b(?:ALTER TABLE|INDEX \w+ ON) (\w+)`)
	firstLock  = regexp.MustCompile(`(?s)^-- \+goose Up\s+(?:--[^\n]*\s+)*LOCK TABLE workspaces IN (?:ACCESS|SHARE ROW) EXCLUSIVE MODE;`)
)

// Each write first locks a row of workspaces. A migration that locks other tables first can deadlock with servers that run.
func TestMigrationsLockWorkspacesFirst(t *testing.T) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := migrations.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if version, err := goose.NumericComponent(name); err != nil || version <= store.FirstExpandOnly {
			continue
		}
		own := make(map[string]bool)
		for _, found := range ownTable.FindAllStringSubmatch(string(text), -1) {
			own[found[1]] = true
		}
		for _, found := range lockTables.FindAllStringSubmatch(string(text), -1) {
			if own[found[1]] {
				continue
			}
			if found[1] != "workspaces" && !firstLock.Match(text) {
				t.Errorf("%s locks %s, and does not begin with LOCK TABLE workspaces: see CONTRIBUTING, Migrations", name, found[1])
			}
			break
		}
	}
}

func TestALaterSchemaThatOnlyExpands(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Schema(t)
	open := func(ctx context.Context) (store.Store, error) { return Open(ctx, url, nil) }
	storetest.LaterSchema(t, open, func(query string) {
		server.Exec(t, url, query+`INSERT INTO `+versionTable+` (version_id, is_applied) VALUES (99999, true)`)
	})
	if c, err := Inspect(t.Context(), url); err != nil || c.Schema != 99999 || c.Needs > c.Known || c.Needs == 0 {
		t.Errorf("got %+v, %v", c, err)
	}
}

// A role may lack the right to call the function that identifies the cluster.
func TestACopyOfTheDatabaseIsNoticed(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Database(t)
	s := openTest(t, url)
	for range 2 {
		if err := s.Settle(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	for _, home := range []string{"database 1", "database 1 of 2"} {
		server.Exec(t, url, `UPDATE installation SET home = $1`, home)
		if c, err := Inspect(t.Context(), url); err != nil || !c.Moved {
			t.Errorf("got %+v, %v", c, err)
		}
		if err := s.Settle(t.Context(), false); !errors.Is(err, store.ErrMoved) {
			t.Errorf("a copy: %v", err)
		}
		if err := s.Settle(t.Context(), true); err != nil {
			t.Error(err)
		}
		if c, err := Inspect(t.Context(), url); err != nil || c.Moved {
			t.Errorf("got %+v, %v", c, err)
		}
	}
	home := server.Query(t, url, `SELECT home FROM installation`)[0]
	server.Exec(t, url, `CREATE ROLE plain LOGIN PASSWORD 'x'; GRANT ALL ON ALL TABLES IN SCHEMA public TO plain`)
	t.Cleanup(func() { server.Exec(t, url, `DROP OWNED BY plain; DROP ROLE plain`) })
	for _, c := range []struct{ revoke, want string }{{"", home}, {"REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC", ""}} {
		if c.revoke != "" {
			server.Exec(t, url, c.revoke)
			t.Cleanup(func() { server.Exec(t, url, `GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC`) })
		}
		other := openTest(t, "postgres://plain:x@"+server.Addr()+url[strings.LastIndex(url, "/"):])
		if err := other.Settle(t.Context(), c.want == ""); err != nil {
			t.Errorf("a plain role, %q: %v", c.revoke, err)
		}
	}
}
