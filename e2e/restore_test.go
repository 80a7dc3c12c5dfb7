package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store/postgres/pgtest"
)

// door is a gateway service that is asked by HTTP.
type door struct {
	*asked
	url string
}

// newDoor prepares a gateway service, but does not start it.
func newDoor(t testing.TB, server string, flags ...string) *door {
	t.Helper()
	addr := envoytest.FreeAddr(t)
	return &door{newAsked(t, server, append([]string{"--listen-http", addr}, flags...)...), "http://" + addr + "/check"}
}

// ask returns the status of a request with a token, or an error if the gateway does not answer.
func (d *door) ask(token string) (int, error) {
	r, err := http.NewRequest(http.MethodGet, d.url, http.NoBody)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := plainHTTP.Do(r)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}

// until waits until requests with a token get the status.
func (d *door) until(token string, want int) {
	d.t.Helper()
	eventually(d.t, fmt.Sprintf("the gateway answers %d", want), func() bool {
		code, err := d.ask(token)
		return err == nil && code == want
	})
}

// refusesFor checks that a token is always refused, until stop is called.
func (d *door) refusesFor(token string) (stop func()) {
	end, asked := make(chan struct{}), 0
	var asking sync.WaitGroup
	asking.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
			}
			code, err := d.ask(token)
			if asked++; err != nil || code != http.StatusUnauthorized {
				d.t.Errorf("a revoked key gets %d, %v", code, err)
				return
			}
		}
	})
	return func() {
		close(end)
		asking.Wait()
		if asked < 10 {
			d.t.Errorf("the gateway was asked %d times: this shows nothing", asked)
		}
	}
}

// restoring is a server whose database is restored from a backup.
type restoring struct {
	*server
	admin   *client
	gateway *door
	old     string // URL of the database that was in use
	dir     string

	kept, revoked, suspended, narrowed, management, lost key
}

func TestE2ERestoreSQLite(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	backup, old := filepath.Join(s.dir, "backup.db"), filepath.Join(s.dir, "old.db")
	r := beforeBackup(t, s, "sqlite:"+old)
	shell(t, "sqlite3", s.databaseFile(), ".backup '"+backup+"'")
	r.afterBackup()
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(s.databaseFile()+end, old+end); end == "" {
			check(t, err)
		}
	}
	shell(t, "install", "-m", "600", backup, s.databaseFile())
	r.restore(s.database())
}

func TestE2ERestorePostgres(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"pg_dump", "pg_restore"} {
		if _, err := exec.LookPath(program); err != nil {
			absent(t, "no "+program)
		}
	}
	pg := pgtest.Start(t, nil)
	database := pg.Database(t)
	s := newServer(t, "--database", database)
	r := beforeBackup(t, s, database)
	dump := filepath.Join(s.dir, "dump")
	shell(t, "pg_dump", "--format=custom", "--file="+dump, database)
	r.afterBackup()
	restored := pg.Database(t)
	shell(t, "pg_restore", "--exit-on-error", "--no-owner", "--dbname="+restored, dump)
	r.flags = append(r.flags, "--database", restored)
	r.restore(restored)
}

func shell(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// beforeBackup starts the server with keys, and a gateway.
func beforeBackup(t *testing.T, s *server, old string) *restoring {
	t.Helper()
	s.start()
	r := &restoring{server: s, admin: s.admin(), old: old, dir: t.TempDir()}
	r.admin.mustCreate(t, "acme")
	for _, k := range []*key{&r.kept, &r.revoked, &r.suspended, &r.narrowed} {
		*k = r.admin.mustIssue(t, "acme", "scopes", []string{"a", "b"})
	}
	r.management = r.admin.mustIssue(t, "burnkey", "scopes", []string{"keys:write"})
	r.gateway = newDoor(t, s.url, "--key-file", gatewayKey(t, r.admin, map[string]any{}))
	r.gateway.start()
	r.gateway.ready()
	return r
}

// afterBackup changes the keys, saves what is known about the changes, and stops the server. The gateway goes on.
func (r *restoring) afterBackup() {
	r.t.Helper()
	r.admin.mustRevoke(r.t, r.revoked)
	r.admin.mustRevoke(r.t, r.management)
	r.lost = r.admin.mustIssue(r.t, "acme")
	update := func(k key, in map[string]any) {
		check(r.t, r.admin.call(http.MethodPatch, "/v1/workspaces/acme/keys/"+k.ID, in, nil))
	}
	update(r.suspended, map[string]any{"enabled": false})
	update(r.narrowed, map[string]any{"scopes": []string{"a"}})
	r.gateway.until(r.suspended.Token, http.StatusUnauthorized)
	for _, format := range []string{"csv", "json"} {
		for _, workspace := range []string{"acme", "burnkey"} {
			list := run(r.t, "audit", "list", "-w", workspace, "--limit", "0", "-o", format, "--server", r.url, "--key-file", r.keyFile).ok(r.t)
			check(r.t, os.WriteFile(filepath.Join(r.dir, workspace+"."+format), []byte(list.stdout), 0o600))
		}
	}
	eventually(r.t, "the gateway has written the changes", func() bool {
		set := r.gateway.stored("acme")
		return set != nil && !has(r.t, set, r.revoked) && !has(r.t, set, r.suspended) && has(r.t, set, r.lost)
	})
	shell(r.t, "cp", filepath.Join(r.gateway.stateDir(), "feed.jwks"), r.dir)
	list := r.lists("--state", filepath.Join(r.dir, "feed.jwks"))
	list.fails(r.t, "no set in it is later than the restored database")
	r.stop()
}

// has reports whether a set has a key.
func has(t testing.TB, set *jwks.Table, k key) bool {
	t.Helper()
	kid, err := jwks.ParseKID(k.KID)
	check(t, err)
	_, published := set.Attributes(kid)
	return published
}

// lists calls restore without --yes.
func (r *restoring) lists(flags ...string) result {
	r.t.Helper()
	return run(r.t, append([]string{"restore", "--database", r.restored()}, flags...)...)
}

// restored returns the URL of the database, which the last of several flags gives.
func (r *restoring) restored() (url string) {
	for i, flag := range r.flags {
		if flag == "--database" {
			url = r.flags[i+1]
		}
	}
	return url
}

// restore makes the database safe that is now in place, and starts the server.
func (r *restoring) restore(database string) {
	t := r.t
	t.Helper()
	stop := r.gateway.refusesFor(r.revoked.Token)
	r.spawn()
	r.exits(1)
	says(t, r.log(), "the database is a copy", "run burnkey restore first")
	diagnose(t, "--database", database).has(t, "database_copied")

	file := func(name string) string { return filepath.Join(r.dir, name) }
	acts := func(k key, acts ...string) (lines []string) {
		for _, act := range acts {
			lines = append(lines, act+" "+k.Workspace+" "+k.ID)
		}
		return lines
	}
	revokes := slices.Concat(acts(r.management, "revoke"), acts(r.revoked, "revoke"))
	for _, c := range []struct {
		flags []string
		want  []string
	}{
		{nil, nil},
		{[]string{"--from", r.old}, slices.Concat(revokes, acts(r.suspended, "change"), acts(r.narrowed, "change"), acts(r.lost, "lost"))},
		{
			[]string{"--audit", file("acme.csv"), "--audit", file("burnkey.csv")},
			slices.Concat(revokes, acts(r.suspended, "change"), acts(r.narrowed, "check"), []string{"lost - " + r.lost.ID}),
		},
		{
			[]string{"--audit", file("acme.json") + "," + file("burnkey.json")},
			slices.Concat(revokes, acts(r.suspended, "change"), acts(r.narrowed, "check"), []string{"lost - " + r.lost.ID}),
		},
		{[]string{"--state", file("feed.jwks")}, slices.Concat(acts(r.revoked, "revoke"), acts(r.suspended, "revoke"))},
	} {
		list := r.lists(c.flags...)
		if got := actions(list.stdout); list.code != 1 || !sameLines(got, c.want) {
			t.Errorf("%v: exit status %d, got\n%s\nwant\n%s", c.flags, list.code, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
		says(t, list.stderr, "nothing was changed: --yes is needed")
	}
	run(t, "restore", "--database", r.old, "--from", database, "--yes").fails(t, "--from", "not a later state")
	r.refuses()

	done := r.lists("--from", r.old, "--yes")
	if done.code != 0 {
		t.Fatal(done.stderr)
	}
	again := r.lists("--from", r.old, "--yes") // as after an interruption
	if got := actions(again.stdout); again.code != 0 || !sameLines(got, acts(r.lost, "lost")) {
		t.Errorf("a second time: exit status %d, got %s\n%s", again.code, got, again.stderr)
	}
	r.start()
	r.isSafe()
	stop()
}

// refuses checks errors about files that restore cannot read.
func (r *restoring) refuses() {
	r.t.Helper()
	empty, junk := filepath.Join(r.dir, "empty"), filepath.Join(r.dir, "junk")
	check(r.t, os.WriteFile(empty, nil, 0o600))
	check(r.t, os.WriteFile(junk, []byte(`{"keys":[]}`), 0o600))
	for _, c := range [][]string{
		{"--audit", empty, "must be a list"},
		{"--audit", junk, "an entry has no action"},
		{"--state", junk, "not a state file"},
		{"--state", empty, "not a state file"},
		{"--from", "mysql://x", "--from: must be sqlite"},
		{"--from", "sqlite:" + empty + "0", "--from: stat"},
		{"--from", r.restored(), "must not be the same as --database"},
	} {
		r.lists(c[:len(c)-1]...).fails(r.t, c[0], c[len(c)-1])
	}
}

// isSafe checks what the server and the gateway accept after the restore.
func (r *restoring) isSafe() {
	t := r.t
	t.Helper()
	set := r.mustPublished("acme")
	earliest := uint64(time.Now().Add(-time.Hour).UnixMicro())
	if set.has(r.revoked.KID) || set.has(r.suspended.KID) || !set.has(r.kept.KID) || set.version < earliest {
		t.Errorf("the set at version %d is not the restored one", set.version)
	}
	for _, k := range []key{r.management, r.revoked, r.suspended} {
		var is key
		check(t, r.admin.call(http.MethodGet, "/v1/workspaces/"+k.Workspace+"/keys/"+k.ID, nil, &is))
		if want := map[bool]string{true: "suspended", false: "revoked"}[k.ID == r.suspended.ID]; is.Status != want {
			t.Errorf("the key is %s, want %s", is.Status, want)
		}
	}
	r.gateway.until(r.lost.Token, http.StatusUnauthorized)
	for token, want := range map[string]int{r.kept.Token: 200, r.narrowed.Token: 200, r.suspended.Token: 401} {
		if code, err := r.gateway.ask(token); err != nil || code != want {
			t.Errorf("got %d, want %d, %v", code, want, err)
		}
	}
	err := (&client{r.url, r.management.Token}).call(http.MethodGet, "/v1/workspaces/acme/keys", nil, nil)
	if status(err) != http.StatusUnauthorized {
		t.Errorf("a management key that was revoked: %v", err)
	}
	later := r.admin.mustIssue(t, "acme")
	r.gateway.until(later.Token, http.StatusOK)
	r.admin.mustRevoke(t, later)
	r.gateway.until(later.Token, http.StatusUnauthorized)
	if later.Version != set.version+1 {
		t.Errorf("version %d after %d", later.Version, set.version)
	}
	if strings.Contains(r.gateway.log(), "history was replaced") {
		t.Error("the versions went back")
	}
}

// actions returns the first three columns of restore's list.
func actions(list string) (lines []string) {
	for i, line := range strings.Split(strings.TrimSpace(list), "\n") {
		if fields := strings.Fields(line); i > 0 && len(fields) > 2 {
			lines = append(lines, strings.Join(fields[:3], " "))
		}
	}
	return lines
}

func sameLines(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
