package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// cluster is a PostgreSQL cluster managed by Patroni, with etcd and HAProxy, on this machine.
type cluster struct {
	t   *testing.T
	dir string
}

// startCluster runs a cluster until the test ends.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	for _, program := range []string{"patroni", "etcd", "haproxy"} {
		if _, err := exec.LookPath(program); err != nil {
			absent(t, "no "+program+": tools/patroni.sh installs the cluster's programs on Debian")
		}
	}
	// t.TempDir does not work here, since PostgreSQL's user must be able to enter the folder.
	dir, err := os.MkdirTemp("", "burnkey-cluster-")
	check(t, err)
	check(t, os.Chmod(dir, 0o755))
	c := &cluster{t, filepath.Join(dir, "cluster")}
	t.Cleanup(func() {
		if out, err := c.command("stop").CombinedOutput(); err != nil {
			t.Errorf("stop the cluster: %v\n%s", err, out)
		}
		if t.Failed() && os.Getenv("BURNKEY_E2E_KEEP") != "" {
			t.Logf("the cluster's logs are in %s", c.dir)
			return
		}
		check(t, os.RemoveAll(dir))
	})
	c.run("start")
	return c
}

func (c *cluster) command(args ...string) *exec.Cmd {
	args = append([]string{filepath.Join("..", "deploy", "patroni", "cluster.sh"), args[0], c.dir}, args[1:]...)
	return exec.Command("bash", args...)
}

func (c *cluster) run(args ...string) string {
	c.t.Helper()
	var stderr bytes.Buffer
	cmd := c.command(args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("cluster.sh %s: %v\n%s%s", args[0], err, out, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

func (c *cluster) url() string {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, "env"))
	check(c.t, err)
	for line := range strings.Lines(string(text)) {
		if url, ok := strings.CutPrefix(strings.TrimSpace(line), "DATABASE_URL="); ok {
			return url
		}
	}
	c.t.Fatal("the cluster names no DATABASE_URL")
	return ""
}

// written records the answers to calls about one key, with their times.
type written struct {
	id, kid, token     string
	issuing, revoking  bool      // sent and not yet answered for good
	issuedAt, goneAt   time.Time // when that was acknowledged; zero: not
	version, goneUnder uint64
}

// book records all answers during the failover of the database.
type book struct {
	mu      sync.Mutex
	entries []*written
	acks    []time.Time // of writes that were sent
	sent    []time.Time
	refused int
}

// acknowledge records the answer to a write.
func (b *book) acknowledge(sent time.Time) {
	b.acks, b.sent = append(b.acks, time.Now()), append(b.sent, sent)
}

// resumed finds the first acknowledged write that was sent after a time, and returns when it was acknowledged.
// It returns false if there is none.
func (b *book) resumed(after time.Time) (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, sent := range b.sent {
		if sent.After(after) {
			return b.acks[i], true
		}
	}
	return time.Time{}, false
}

// work runs one client, which issues and revokes keys, and repeats calls that got no answer. It ends once stop
// is closed and no call is open.
func (b *book) work(t *testing.T, clients []*client, rng *rand.Rand, stop <-chan struct{}) {
	tick := time.NewTicker(400 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-t.Context().Done():
			return // the test has failed
		case <-tick.C:
		}
		c := clients[rng.IntN(len(clients))]
		if e := b.pick(rng); e != nil && n%2 == 1 {
			b.revoke(t, c, e)
		} else {
			b.issue(t, clients, rng)
		}
	}
}

// issue repeats a call with one idempotency key until the server returns the new key. If the answer with the
// token was lost, the server returns only the key's ID.
func (b *book) issue(t *testing.T, clients []*client, rng *rand.Rand) {
	e := &written{issuing: true}
	b.mu.Lock()
	b.entries = append(b.entries, e)
	b.mu.Unlock()
	idempotency := fmt.Sprintf("%x", rng.Uint64())
	again(t, func() bool {
		c := clients[rng.IntN(len(clients))]
		sent := time.Now()
		k, existing, err := c.issueOnce("acme", idempotency)
		b.mu.Lock()
		defer b.mu.Unlock()
		switch {
		case err == nil:
			e.id, e.kid, e.token, e.version = k.ID, k.KID, k.Token, k.Version
			e.issuing, e.issuedAt = false, time.Now()
			b.acknowledge(sent)
		case existing != "":
			e.id, e.issuing = existing, false
		default:
			b.refuse(t, err)
			return false
		}
		return true
	})
}

func (b *book) revoke(t *testing.T, c *client, e *written) {
	again(t, func() bool {
		sent := time.Now()
		version, err := c.revoke("acme", e.id)
		b.mu.Lock()
		defer b.mu.Unlock()
		if err != nil {
			b.refuse(t, err)
			return false
		}
		e.goneUnder, e.goneAt, e.revoking = version, time.Now(), false
		b.acknowledge(sent)
		return true
	})
}

// refuse records that a call was refused. The refusal must be temporary.
func (b *book) refuse(t *testing.T, err error) {
	if b.refused++; status(err) != http.StatusServiceUnavailable {
		t.Errorf("a write is refused otherwise than for now: %v", err)
	}
}

// again repeats f until it is true.
func again(t *testing.T, f func() bool) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(3 * time.Minute)
	for !f() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			return // the test has failed
		case <-deadline:
			t.Error("a write was not answered within three minutes")
			return
		}
	}
}

// pick removes a live key to revoke.
func (b *book) pick(rng *rand.Rand) *written {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range 5 {
		if len(b.entries) == 0 {
			return nil
		}
		if e := b.entries[rng.IntN(len(b.entries))]; e.token != "" && !e.revoking && e.goneAt.IsZero() {
			e.revoking = true
			return e
		}
	}
	return nil
}

// issueOnce issues a key with an idempotency key. If a key was already issued with it, issueOnce returns that
// key's ID.
func (c *client) issueOnce(workspace, idempotency string) (k key, existing string, err error) {
	err = c.callWith(http.MethodPost, "/v1/workspaces/"+workspace+"/keys",
		http.Header{"Idempotency-Key": {idempotency}}, map[string]any{"owner": "cust_1"}, &k)
	var refused *statusError
	if errors.As(err, &refused) {
		return key{}, refused.problem.KeyID, err
	}
	return k, "", err
}

// bound limits the time from the acknowledgement of a write until a follower with a current set shows its
// effect.
const bound = 2 * time.Second

// hold checks some keys with a follower. Its set must contain every write that was acknowledged earlier than
// the set's age plus bound.
func (b *book) hold(t *testing.T, name string, f *jwks.Follower, rng *rand.Rand) (late time.Duration) {
	now := time.Now()
	known := now.Add(-f.Age() - bound)
	b.mu.Lock()
	defer b.mu.Unlock()
	for range 50 {
		if len(b.entries) == 0 {
			return late
		}
		e := b.entries[rng.IntN(len(b.entries))]
		if e.token == "" {
			continue
		}
		err := good(f, e.token)
		switch {
		case !e.goneAt.IsZero():
			if err == nil {
				late = max(late, now.Sub(e.goneAt))
			}
			if err == nil && e.goneAt.Before(known) {
				t.Errorf("%s: a key is accepted %s after its revocation was acknowledged, by a set of age %s", name, now.Sub(e.goneAt), f.Age())
			}
		case !e.revoking && err != nil:
			late = max(late, now.Sub(e.issuedAt))
			if e.issuedAt.Before(known) {
				t.Errorf("%s: a good key is refused %s after it was issued, by a set of age %s: %v", name, now.Sub(e.issuedAt), f.Age(), err)
			}
		}
	}
	return late
}

// audit compares the database with the acknowledged writes.
func (b *book) audit(t *testing.T, servers []*server, admin *client) {
	t.Helper()
	records, err := admin.keys("acme")
	check(t, err)
	byID := make(map[string]key)
	for _, k := range records {
		byID[k.ID] = k
	}
	gone, versions := 0, make(map[uint64]bool)
	for _, e := range b.entries {
		k, ok := byID[e.id]
		switch {
		case !ok:
			t.Errorf("the key %s was acknowledged and is lost", e.id)
		case !e.goneAt.IsZero() != (k.Status == "revoked"):
			t.Errorf("the key %s is %s, revoked: %t", e.id, k.Status, !e.goneAt.IsZero())
		}
		for _, version := range []uint64{e.version, e.goneUnder} {
			if version != 0 && versions[version] {
				t.Errorf("version %d was acknowledged twice", version)
			}
			versions[version] = true
		}
		if !e.goneAt.IsZero() {
			gone++
		}
	}
	if len(records) != len(b.entries) {
		t.Errorf("%d keys are kept of %d that were asked for", len(records), len(b.entries))
	}
	want := uint64(1 + len(records) + gone)
	for _, s := range servers {
		var set *keySet
		eventually(t, "every server publishes the last version", func() bool {
			set = s.mustPublished("acme")
			return set.version == want
		})
		if set.size != 1+len(records)-gone {
			t.Errorf("%d keys are published, want %d", set.size, 1+len(records)-gone)
		}
		if n, ok := s.metric("burnkey_publish_divergences_total"); !ok || n != 0 {
			t.Errorf("%v divergences are counted", n)
		}
	}
	if n := servers[0].versions(t); n != want {
		t.Errorf("the log has %d versions without a gap, want %d", n, want)
	}
}

// versions reads the change stream from the first version and returns the number of consecutive versions.
func (s *server) versions(t *testing.T) (last uint64) {
	t.Helper()
	f := startFollower(t, s.url, "acme")
	want := f.Version()
	events := openChanges(t, s, "acme", 0)
	for last < want {
		version, ok := events.next()
		if !ok || version != last+1 {
			t.Fatalf("version %d follows %d: %t", version, last, ok)
		}
		last = version
	}
	return last
}

// TestE2EFailover kills the primary of a replicated PostgreSQL that three servers use. Meanwhile, 8 clients
// issue and revoke keys, and followers verify tokens.
func TestE2EFailover(t *testing.T) {
	t.Parallel()
	kills := scale(t, "BURNKEY_E2E_FAILOVERS", 3, 1)
	c := startCluster(t)
	servers := startSeveral(t, 3, c.url())
	admin := servers[0].admin()
	admin.mustCreate(t, "acme")
	var clients []*client
	var followers []*jwks.Follower
	for _, s := range servers {
		clients = append(clients, admin.as(s))
		followers = append(followers, startFollower(t, s.url, "acme"))
	}
	b, stop, verified := new(book), make(chan struct{}), make(chan struct{})
	var working, verifying sync.WaitGroup
	for i := range 8 {
		working.Go(func() { b.work(t, clients, rand.New(rand.NewPCG(uint64(i), 1)), stop) })
	}
	late := make([]time.Duration, len(followers))
	for i, f := range followers {
		verifying.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 2))
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-verified:
					return
				case <-tick.C:
					late[i] = max(late[i], b.hold(t, servers[i].url, f, rng))
				}
			}
		})
	}
	for n := range kills {
		b.more(t, 40)
		killed := time.Now()
		node := c.run("kill-primary")
		dead := time.Now()
		var resumed time.Time
		again(t, func() (ok bool) {
			resumed, ok = b.resumed(dead)
			return ok
		})
		t.Logf("kill %d, of %s: the first write that was sent after it was acknowledged %.1f s after it", n+1, node,
			resumed.Sub(killed).Seconds())
		b.more(t, 40)
		c.run("revive", node)
		c.run("wait")
	}
	close(stop)
	working.Wait()
	eventually(t, "every follower is current", func() bool {
		for i, f := range followers {
			if set := servers[i].mustPublished("acme"); f.Version() != set.version {
				return false
			}
		}
		return true
	})
	close(verified)
	verifying.Wait()
	b.audit(t, servers, admin)
	revoked := 0
	for _, e := range b.entries {
		if !e.goneAt.IsZero() {
			revoked++
		}
	}
	t.Logf("%d keys issued and %d revoked through %d kills, %d refusals for now; longest time from an acknowledgement to a follower: %v",
		len(b.entries), revoked, kills, b.refused, late)
}

// more waits for n more acknowledged writes.
func (b *book) more(t *testing.T, n int) {
	t.Helper()
	count := func() int {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.acks)
	}
	want := count() + n
	again(t, func() bool { return count() >= want })
}
