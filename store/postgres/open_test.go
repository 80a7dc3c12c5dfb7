package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/postgres/pgtest"
	"github.com/burnkey/burnkey/store/storetest"
)

func openTest(t *testing.T, url string) *Store {
	t.Helper()
	s, err := Open(t.Context(), url, nil)
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

func issue(t *testing.T, s *Store, workspace string) store.Key {
	t.Helper()
	k, err := s.Issue(t.Context(), storetest.NewRecord(workspace, "o"), storetest.NewKey(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// with returns a URL with further parameters.
func with(t *testing.T, to string, pairs ...string) string {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20") // as libpq reads it
	return u.String()
}

func TestManyOpenAnEmptyDatabaseAtOnce(t *testing.T) {
	server := pgtest.Shared(t)
	for range 3 {
		url := server.Schema(t)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				s, err := Open(t.Context(), url, nil)
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
		list, _, err := openTest(t, url).Workspaces(t.Context(), store.WorkspaceFilter{Limit: 10})
		if err != nil || len(list) != 8 {
			t.Errorf("%d workspaces, %v", len(list), err)
		}
		rows := server.Query(t, url, "SELECT count(*) FROM "+versionTable+" WHERE version_id > 0")
		if files, err := migrations.ReadDir("migrations"); err != nil || rows[0] != fmt.Sprint(len(files)) {
			t.Errorf("%s migrations ran of %d, %v", rows[0], len(files), err)
		}
	}
}

// TestOpenWaitsForNobodyWhenThereIsNothingToDo: a server that starts and the running servers do not wait for
// one another.
func TestOpenWaitsForNobodyWhenThereIsNothingToDo(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Database(t)
	s := openTest(t, url)
	create(t, s, "acme")
	tx, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	if _, err := tx.Exec(t.Context(), `SELECT pg_advisory_lock($1)`, int64(migrationLock)); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `LOCK TABLE workspaces, keys, jwks, changes IN EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), openPatience)
	defer cancel()
	other, err := Open(ctx, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Workspace(ctx, "acme"); err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	server := pgtest.Shared(t)
	schema := func(query string) string {
		url := server.Schema(t)
		server.Exec(t, url, query)
		return url
	}
	newer := server.Schema(t)
	s := openTest(t, newer)
	create(t, s, "acme")
	server.Exec(t, newer, "INSERT INTO "+versionTable+" (version_id, is_applied) VALUES (99999, true)")
	server.Exec(t, newer, "UPDATE installation SET needs_schema = 99999")
	server.Exec(t, server.URL("postgres"), "CREATE DATABASE latin1 ENCODING LATIN1 TEMPLATE template0")
	bad := func(user, password, database string) string {
		u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: server.Addr(), Path: database}
		return u.String()
	}
	before := goleak.IgnoreCurrent()
	for _, c := range []struct{ name, url, want string }{
		{"no URL", "", "must begin with postgres://"},
		{"another database's URL", "mysql://u:secret/pass@h/db", "must begin with postgres://"},
		{"keywords", "host=h password=secret/pass", "must begin with postgres://"},
		{"a password with an @", "postgres://u:secret@pass@h/db", "write @ as %40"},
		{"a password with a /", "postgres://u:secret/pass@h/db", "write @ as %40"},
		{"a password with a /, of digits before it", "postgres://u:12/secret@h/db", "write @ as %40"},
		{"a password with a %", "postgres://u:%secret@h/db", "malformed"},
		{"an invalid port", "postgres://u:secret@h:port/db", "invalid port"},
		{"an unknown target", "postgres://u:secret@h/db?target_session_attrs=x", "target_session_attrs"},
		{"no pool", "postgres://u:secret@h/db?pool_max_conns=0", "pool_max_conns too small"},
		{"a wrong password", bad("burnkey", "secret", "postgres"), "password authentication failed"},
		{"an unknown user", bad("nobody", "secret", "postgres"), "password authentication failed"},
		{"an unknown database", server.URL("missing"), "does not exist"},
		{"an encoding that can't hold all", server.URL("latin1"), "must be UTF8"},
		{"no schema", with(t, server.URL("postgres"), "search_path", "missing"), "search_path"},
		{"another program's tables", schema("CREATE TABLE keys (title text)"), `has tables ["keys"] of another program`},
		{"another program's view", schema("CREATE VIEW jwks AS SELECT 1"), "not a Burnkey database"},
		{"a newer schema", newer, "a newer Burnkey made it"},
	} {
		began := time.Now()
		s, err := Open(t.Context(), c.url, nil)
		if err == nil {
			t.Errorf("%s: opened", c.name)
			_ = s.Close()
			continue
		}
		if !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "postgres: open: ") {
			t.Errorf("%s: %v", c.name, err)
		}
		for _, secret := range []string{"secret", server.Password(), url.QueryEscape(server.Password())} {
			if strings.Contains(err.Error(), secret) || strings.Contains(fmt.Sprintf("%+v", err), secret) {
				t.Errorf("%s: the password is shown: %v", c.name, err)
			}
		}
		if took := time.Since(began); took > openPatience/2 {
			t.Errorf("%s: took %v", c.name, took)
		}
	}
	goleak.VerifyNone(t, before)
	if _, err := s.Workspace(t.Context(), "acme"); err != nil {
		t.Errorf("the newer database: %v", err)
	}
	server.Exec(t, server.URL("postgres"), "DROP DATABASE latin1")
}

func TestOpenLivesBesideOthers(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Database(t)
	// Other programs use goose in the same schema, and our table names in another. One Burnkey has its own
	// schema, and a user with rights to that schema only.
	server.Exec(t, url, `CREATE TABLE songs (title text); CREATE TABLE goose_db_version (version_id bigint, is_applied boolean);
		CREATE SCHEMA theirs; CREATE TABLE theirs.keys (x int);
		CREATE ROLE plain LOGIN PASSWORD 'plain'; CREATE SCHEMA "Odd ""Name" AUTHORIZATION plain`)
	a := openTest(t, url)
	create(t, a, "acme")
	plain := strings.Replace(url, url[:strings.LastIndex(url, "@")], "postgres://plain:plain", 1)
	b := openTest(t, with(t, plain, "search_path", `"Odd ""Name",public`))
	create(t, b, "acme")
	issue(t, b, "acme")
	for s, version := range map[*Store]uint64{a: 1, b: 2} {
		if w, err := s.Workspace(t.Context(), "acme"); err != nil || w.Version != version {
			t.Errorf("got %+v, %v", w, err)
		}
	}
	server.Exec(t, url, `DROP OWNED BY plain; DROP ROLE plain`)
}

func TestOpenIsCancelled(t *testing.T) {
	server := pgtest.Shared(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, server.Schema(t), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	// No server listens on port 1, so Open would try for half a minute.
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := Open(ctx, "postgres://u:secret@127.0.0.1:1/db", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > openPatience/2 {
		t.Errorf("took %v", took)
	}
}

func TestOpenWaitsForADatabaseThatComesUp(t *testing.T) {
	server := pgtest.Start(t, nil)
	url := server.Database(t)
	server.Stop(t)
	var log testkit.Log
	opened := make(chan error, 1)
	go func() {
		s, err := Open(t.Context(), url, log.Logger())
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	testkit.Eventually(t, "a warning", func() bool { return strings.Contains(log.String(), "level=WARN") })
	server.StartAgain(t)
	if err := <-opened; err != nil {
		t.Error(err)
	}
	if text := log.String(); !strings.Contains(text, "refused") || strings.Contains(text, server.Password()) {
		t.Errorf("the log:\n%s", text)
	}
}
