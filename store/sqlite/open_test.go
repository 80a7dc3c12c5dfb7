package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/storetest"
)

func openTest(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func create(t *testing.T, s *Store, id string) {
	t.Helper()
	w := store.Workspace{ID: id, CreatedAt: time.Now()}
	if _, err := s.CreateWorkspace(t.Context(), w, storetest.NewKey(t)); err != nil {
		t.Fatal(err)
	}
}

func pragma(t *testing.T, q interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}, name string,
) (value string) {
	t.Helper()
	if err := q.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestPragmasAreInForce(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "burnkey.db"))
	both := map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "fullfsync": "1"}
	for name, want := range both {
		for _, db := range []*sql.DB{s.writer, s.reader} {
			if got := pragma(t, db, name); got != want {
				t.Errorf("%s is %s, want %s", name, got, want)
			}
		}
	}
	if got := pragma(t, s.reader, "busy_timeout"); got != "10000" {
		t.Errorf("busy_timeout is %s", got)
	}
	if got := pragma(t, s.writer, "query_only"); got != "0" {
		t.Errorf("the writer's query_only is %s", got)
	}
	if _, err := s.reader.ExecContext(t.Context(), `DELETE FROM jwks`); err == nil {
		t.Error("a reading connection may write")
	}
	if n := s.writer.Stats().MaxOpenConnections; n != 1 {
		t.Errorf("%d writers", n)
	}
	if got := pragma(t, s.writer, "integrity_check"); got != "ok" {
		t.Errorf("integrity_check: %s", got)
	}
}

func TestAConnectionThatIsOpenedLaterHasThePragmas(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "burnkey.db"))
	var conns []*sql.Conn
	for range readers() {
		conn, err := s.reader.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	for i, conn := range conns {
		if pragma(t, conn, "query_only") != "1" || pragma(t, conn, "synchronous") != "2" {
			t.Errorf("connection %d lacks its pragmas", i)
		}
	}
}

func TestFileIsItsOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "burnkey.db")
	create(t, openTest(t, path), "acme")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o", entry.Name(), mode)
		}
	}
	if got := fmt.Sprint(names); got != "[burnkey.db burnkey.db-shm burnkey.db-wal]" {
		t.Errorf("files: %s", got)
	}
}

func TestOddPaths(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"a?b.db", "a#b.db", "a%20b.db", "a b.db", "a%.db", "ключ.db", "a&mode=memory.db", "a'\";.db", "file:x.db", "a\\b",
		"\xff.db", ":memory:.db", "x\ny", "?", "#", "%00",
	} {
		path := filepath.Join(dir, name)
		s, err := Open(t.Context(), path)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		create(t, s, "acme")
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
		s = openTest(t, path)
		if _, err := s.Workspace(t.Context(), "acme"); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	t.Chdir(dir)
	s := openTest(t, "relative.db")
	t.Chdir(t.TempDir())
	create(t, s, "acme")
	if _, err := os.Stat(filepath.Join(dir, "relative.db")); err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	before := goleak.IgnoreCurrent()
	for _, c := range []struct{ name, path, want string }{
		{"no path", "", "a file name is required"},
		{"memory", ":memory:", "a file name is required"},
		{"a NUL", filepath.Join(dir, "a\x00b"), "a file name is required"},
		{"a directory", dir, "is a directory"},
		{"a link to nothing", dangling(t, filepath.Join(dir, "link")), "no such file"},
		{"a device", os.DevNull, "is not a regular file"},
		{"a missing directory", filepath.Join(dir, "no", "x.db"), "no such file"},
		{"junk", file("junk", strings.Repeat("junk ", 2000)), "not a database"},
		{"short junk", file("short", "x"), "not a database"},
		{"another program's database", foreign(t, filepath.Join(dir, "foreign.db")), "not a Burnkey database"},
		{"a newer schema", newer(t, filepath.Join(dir, "newer.db")), "a newer Burnkey made it"},
	} {
		content, _ := os.ReadFile(c.path)
		s, err := Open(t.Context(), c.path)
		if err == nil {
			t.Errorf("%s: opened", c.name)
			_ = s.Close()
			continue
		}
		if !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "sqlite: open ") {
			t.Errorf("%s: %v", c.name, err)
		}
		if after, _ := os.ReadFile(c.path); string(after) != string(content) {
			t.Errorf("%s: the file was changed", c.name)
		}
	}
	goleak.VerifyNone(t, before)
}

// execute runs SQL on a database through a connection that is not the store's.
func execute(t *testing.T, path, query string) string {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
	return path
}

func dangling(t *testing.T, path string) string {
	t.Helper()
	if err := os.Symlink(path+".gone", path); err != nil {
		t.Fatal(err)
	}
	return path
}

func foreign(t *testing.T, path string) string {
	return execute(t, path, `CREATE TABLE songs (title TEXT)`)
}

func newer(t *testing.T, path string) string {
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return execute(t, path, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1);
		UPDATE installation SET needs_schema = 99999`)
}

func TestOpenIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, filepath.Join(t.TempDir(), "x.db")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestManyOpenAnEmptyPathAtOnce(t *testing.T) {
	for range 5 {
		path := filepath.Join(t.TempDir(), "burnkey.db")
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				s, err := Open(t.Context(), path)
				if err != nil {
					t.Error(err)
					return
				}
				defer s.Close()
				w := store.Workspace{ID: fmt.Sprint(i), CreatedAt: time.Now()}
				if _, err := s.CreateWorkspace(t.Context(), w, storetest.NewKey(t)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		t.Log(time.Since(began))
		list, _, err := openTest(t, path).Workspaces(t.Context(), store.WorkspaceFilter{Limit: 10})
		if err != nil || len(list) != 6 {
			t.Errorf("%d workspaces, %v", len(list), err)
		}
	}
}
