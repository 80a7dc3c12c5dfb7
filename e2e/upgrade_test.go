package e2e_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/store/postgres/pgtest"
)

// beforeExpandOnly is the last commit whose servers do not know store.FirstExpandOnly. It is used while there are no tags.
const beforeExpandOnly = "e7f5a8029574718f43ad288a803a72d19360f09a"

// upgrade is one round: servers and gateways of one version are replaced by those of a later one, under load.
type upgrade struct {
	t        *testing.T
	old      string // path of the older binary
	database string
	keyFile  string
	flags    []string
	servers  *balancer
	gateways *balancer
	admin    *client
	pausing  atomic.Bool // writes may fail

	mu              sync.Mutex
	keys            map[string]*upgradeKey // by id
	versions        map[uint64]bool
	verified        int
	issued, revoked int
	failedInPause   int
}

// upgradeKey is a key whose issue was acknowledged.
type upgradeKey struct {
	key
	state fate
	since time.Time // of the state
}

// spreads is how long a change may take to reach all gateways. Before, both answers are right.
const spreads = 8 * time.Second

// TestE2EUpgrade replaces servers and gateways one by one: of the version BURNKEY_E2E_FROM, a revision, by this one. By
// default, and in CI, this version is replaced by itself on a schema that a later version has expanded.
func TestE2EUpgrade(t *testing.T) {
	t.Parallel()
	rounds, from := scale(t, "BURNKEY_E2E_UPGRADES", 1, 1), fromRevision(t)
	pg := pgtest.Start(t, nil)
	if from == "" {
		database := pg.Database(t)
		replaceServers(t, burnkey(t), database, 2, func() {
			pg.Exec(t, database, `LOCK TABLE workspaces IN ACCESS EXCLUSIVE MODE;`+laterMigration)
		})
		return
	}
	old := buildOlder(t, from)
	for round := range rounds {
		t.Run(fmt.Sprintf("PostgreSQL, round %d", round+1), func(t *testing.T) { replaceServers(t, old, pg.Database(t), 2, func() {}) })
		t.Run(fmt.Sprintf("SQLite, round %d", round+1), func(t *testing.T) {
			replaceServers(t, old, "sqlite:"+filepath.Join(t.TempDir(), "burnkey.db"), 1, func() {})
		})
	}
}

// laterMigration is like one of a later version.
const laterMigration = `
	ALTER TABLE workspaces ADD COLUMN later integer NOT NULL DEFAULT 0;
	ALTER TABLE keys ADD COLUMN later integer;
	ALTER TABLE jwks ADD COLUMN later integer;
	ALTER TABLE changes ADD COLUMN later integer;
	CREATE TABLE later (id integer NOT NULL PRIMARY KEY);
	INSERT INTO burnkey_schema_version (version_id, is_applied) VALUES (99999, true)`

// fromRevision returns the revision to upgrade from: BURNKEY_E2E_FROM or, in a run of several rounds, the newest tag.
func fromRevision(t *testing.T) string {
	t.Helper()
	from := os.Getenv("BURNKEY_E2E_FROM")
	if from != "" || os.Getenv("BURNKEY_E2E_UPGRADES") == "" {
		return from
	}
	tag, _ := exec.Command("git", "describe", "--tags", "--abbrev=0").Output() // fails without tags
	return cmp.Or(strings.TrimSpace(string(tag)), beforeExpandOnly)
}

// buildOlder builds the binary of a revision.
func buildOlder(t *testing.T, revision string) string {
	t.Helper()
	source, binary := t.TempDir(), filepath.Join(t.TempDir(), "burnkey")
	archive := exec.Command("sh", "-c", `git -C .. archive "$1" | tar -x -C "$2"`, "sh", revision, source)
	if out, err := archive.CombinedOutput(); err != nil {
		t.Fatalf("git archive %s: %v\n%s", revision, err, out)
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "./cmd/burnkey")
	build.Dir, build.Env = source, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", revision, err, out)
	}
	return binary
}

// replaceServers is a round with n servers. migrate is called while only servers of the older version run.
func replaceServers(t *testing.T, old, database string, n int, migrate func()) {
	u := &upgrade{
		t: t, old: old, database: database, keys: make(map[string]*upgradeKey), versions: make(map[uint64]bool),
		servers: startBalancer(t), gateways: startBalancer(t), keyFile: filepath.Join(t.TempDir(), "admin.key"),
	}
	u.flags = []string{"--database", database, "--public-url", u.servers.url, "--admin-key-file", u.keyFile, "--drain-delay", "5s"}
	var running []*server
	for range n {
		running = append(running, u.server(old))
	}
	u.admin = running[0].admin()
	u.admin.token, u.admin.url = running[0].key(), u.servers.url
	u.admin.mustCreate(t, "acme")
	doors := []*door{u.gateway(old, "--key-file", gatewayKey(t, u.admin, map[string]any{})), u.gateway(old, "--workspace", "acme")}
	stop := u.load()
	u.enough()
	migrate()
	for i, s := range running {
		if n == 1 { // with a pause
			u.pausing.Store(true)
			u.retire(s)
		}
		next := u.server(burnkey(t))
		u.pausing.Store(false)
		u.enough() // with both versions, unless there was a pause
		if n > 1 {
			u.retire(s)
		}
		running[i] = next
	}
	for i, d := range doors {
		doors[i] = u.replace(d)
	}
	u.enough()
	stop()
	u.compare(running, doors)
}

// server starts a server and adds it to the balancer.
func (u *upgrade) server(binary string) *server {
	u.t.Helper()
	s := newServer(u.t, u.flags...)
	s.binary, s.keyFile = binary, u.keyFile
	s.start()
	u.servers.add(s.addr, s.url+"/readyz")
	eventually(u.t, "the balancer uses the server", func() bool { return u.servers.uses(s.addr) })
	return s
}

// retire stops a server, as documented: the balancer notices that it is not ready.
func (u *upgrade) retire(s *server) {
	u.t.Helper()
	s.stop()
	u.servers.remove(s.addr)
}

// gateway starts a gateway service and adds it to the balancer.
func (u *upgrade) gateway(binary string, flags ...string) *door {
	u.t.Helper()
	d := newDoor(u.t, u.servers.url, flags...)
	d.binary = binary
	d.start()
	d.ready()
	u.gateways.add(d.addrHTTP(), "")
	return d
}

// replace replaces a gateway by one of this version with the same flags and folder.
func (u *upgrade) replace(d *door) *door {
	u.t.Helper()
	u.gateways.drain(u.t, d.addrHTTP())
	d.stop()
	d.binary = ""
	d.start()
	d.ready()
	// It is ready with the set from its disk, which is older the longer its start took. A key of now comes with all changes before.
	k, err := u.admin.issue("acme", map[string]any{"owner": "cust_2"})
	check(u.t, err)
	d.until(k.Token, http.StatusOK)
	u.gateways.add(d.addrHTTP(), "")
	return d
}

func (d *door) addrHTTP() string {
	return strings.TrimSuffix(strings.TrimPrefix(d.url, "http://"), "/check")
}

// load verifies keys, and issues and revokes some, until stop is called.
func (u *upgrade) load() (stop func()) {
	end := make(chan struct{})
	var all sync.WaitGroup
	repeat := func(every time.Duration, do func()) {
		all.Go(func() {
			tick := time.NewTicker(every)
			defer tick.Stop()
			for {
				select {
				case <-end:
					return
				case <-tick.C:
					do()
				}
			}
		})
	}
	for range 2 {
		repeat(20*time.Millisecond, u.verify)
	}
	repeat(400*time.Millisecond, u.write)
	stop = sync.OnceFunc(func() { close(end); all.Wait() })
	u.t.Cleanup(stop)
	return stop
}

// verify asks a gateway about one of the keys.
func (u *upgrade) verify() {
	u.mu.Lock()
	var known []upgradeKey
	for _, k := range u.keys {
		if k.state != revoking && time.Since(k.since) > spreads {
			known = append(known, *k)
		}
	}
	u.mu.Unlock()
	if len(known) == 0 {
		return
	}
	k := known[rand.IntN(len(known))]
	code, err := (&door{url: u.gateways.url + "/check"}).ask(k.Token)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.verified++
	now := u.keys[k.ID]
	if now.state != k.state { // meanwhile
		return
	}
	if want := map[fate]int{live: http.StatusOK, revoked: http.StatusUnauthorized}[k.state]; err != nil || code != want {
		u.t.Errorf("a key gets %d, want %d, %v", code, want, err)
	}
}

// write issues a key, and revokes one in two.
func (u *upgrade) write() {
	paused := u.pausing.Load() // at the beginning, or at the end
	k, err := u.admin.issue("acme", map[string]any{"owner": "cust_1"})
	if u.failed("issue", err, paused) {
		return
	}
	u.mu.Lock()
	if u.versions[k.Version] {
		u.t.Errorf("version %d was acknowledged twice", k.Version)
	}
	u.versions[k.Version] = true
	u.keys[k.ID] = &upgradeKey{k, live, time.Now()}
	u.issued++
	var oldest *upgradeKey
	for _, one := range u.keys {
		if one.state == live && (oldest == nil || one.since.Before(oldest.since)) {
			oldest = one
		}
	}
	if u.issued%2 == 1 || u.issued < 4 {
		u.mu.Unlock()
		return
	}
	oldest.state = revoking
	u.mu.Unlock()
	paused = u.pausing.Load()
	version, err := u.admin.revoke("acme", oldest.ID)
	if u.failed("revoke", err, paused) {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.versions[version] {
		u.t.Errorf("version %d was acknowledged twice", version)
	}
	u.versions[version] = true
	oldest.state, oldest.since = revoked, time.Now()
	u.revoked++
}

// failed reports whether a write failed. It may only do so in a pause.
func (u *upgrade) failed(what string, err error, paused bool) bool {
	if err == nil {
		return false
	}
	if !paused && !u.pausing.Load() {
		u.t.Errorf("%s: %v", what, err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.failedInPause++
	return true
}

// enough waits until there was some load from now on.
func (u *upgrade) enough() {
	u.t.Helper()
	count := func() (verified, issued, revoked int) {
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.verified, u.issued, u.revoked
	}
	verified, issued, revoked := count()
	testkit.Within(u.t, 3*patience, "there is load", func() bool {
		v, i, r := count()
		return v >= verified+20 && i >= issued+2 && r >= revoked+1
	})
}

// compare checks that all acknowledged writes are in all servers and gateways.
func (u *upgrade) compare(servers []*server, gateways []*door) {
	u.t.Helper()
	for _, s := range servers {
		eventually(u.t, "the server publishes exactly the live keys", func() bool {
			set := s.mustPublished("acme")
			for _, k := range u.keys {
				if k.state != revoking && set.has(k.KID) != (k.state == live) {
					return false
				}
			}
			return true
		})
		if failures, ok := s.metric("burnkey_publish_divergences_total"); !ok || failures != 0 {
			u.t.Errorf("%v divergences are counted", failures)
		}
	}
	for _, d := range gateways {
		for _, k := range u.keys {
			if k.state != revoking {
				d.until(k.Token, map[fate]int{live: http.StatusOK, revoked: http.StatusUnauthorized}[k.state])
			}
		}
	}
	highest := slices.Max(slices.Collect(maps.Keys(u.versions)))
	if set := servers[0].mustPublished("acme"); set.version < highest {
		u.t.Errorf("version %d, after %d was acknowledged", set.version, highest)
	}
	u.t.Logf("%d verifications, none refused; %d keys issued and %d revoked, none lost; %d writes failed in the pause",
		u.verified, u.issued, u.revoked, u.failedInPause)
}
