package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/burnkey/burnkey/store/postgres/pgtest"
)

// startSeveral runs servers that share a database and a public URL, as behind a load balancer.
func startSeveral(t testing.TB, n int, database string, flags ...string) []*server {
	t.Helper()
	servers := make([]*server, n)
	for i := range servers {
		own := []string{"--database", database}
		if i > 0 {
			own = append(own, "--public-url", servers[0].url)
		}
		servers[i] = newServer(t, append(own, flags...)...)
		if i > 0 {
			servers[i].keyFile = servers[0].keyFile
		}
		servers[i].start()
	}
	return servers
}

// as returns a client of another server, with the same management key.
func (c *client) as(s *server) *client { return &client{s.url, c.token} }

// publishes reports whether a server's set contains the key.
func (s *server) publishes(k key) bool {
	code, set := s.get("/v1/auth/oauth/" + k.Workspace + "/.well-known/jwks.json?kid=" + k.KID)
	return code == http.StatusOK && strings.Contains(set, k.KID)
}

// spread is a list of times.
type spread []time.Duration

func (d spread) String() string {
	slices.Sort(d)
	at := func(share float64) time.Duration {
		return d[int(share*float64(len(d)-1))].Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("%d times: p50 %s, p99 %s, longest %s", len(d), at(.5), at(.99), at(1))
}

// TestE2ESeveralServers runs three servers with one PostgreSQL. A key that is revoked on one server must leave
// the sets of the others, even without notifications.
func TestE2ESeveralServers(t *testing.T) {
	n := scale(t, "BURNKEY_E2E_REVOCATIONS", 60, 12)
	pg := pgtest.Start(t, nil)
	database := pg.Database(t)
	servers := startSeveral(t, 3, database)
	admin := servers[0].admin()
	admin.mustCreate(t, "acme")
	keys := make([]key, n+n/5)
	parallel(8, len(keys), func(i int) {
		keys[i] = admin.as(servers[i%3]).mustIssue(t, "acme")
	})
	if t.Failed() {
		return
	}
	distinct(t, keys)
	for _, s := range servers {
		eventually(t, "every server publishes every key", func() bool { return s.mustPublished("acme").size == len(keys)+1 })
	}

	t.Logf("gone from the other servers after its revocation was answered, %s", revokeEach(t, admin, servers, keys[:n]))

	// Without notifications, the servers poll the table.
	stop, cut := make(chan struct{}), new(atomic.Int64)
	var cutting sync.WaitGroup
	cutting.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				cut.Add(int64(len(pg.Query(t, database, `SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity
					WHERE query ILIKE 'listen%' AND datname = current_database()`))))
			}
		}
	})
	eventually(t, "the listeners are cut off", func() bool { return cut.Load() >= 3 })
	gone := revokeEach(t, admin, servers, keys[n:])
	close(stop)
	cutting.Wait()
	t.Logf("the same while %d connections that listened were cut off, %s", cut.Load(), gone)
	if cut.Load() < 3 {
		t.Error("hardly a connection was cut off: this shows nothing")
	}
	for _, s := range servers {
		set := s.mustPublished("acme")
		if set.version != uint64(1+2*len(keys)) || set.size != 1 {
			t.Errorf("version %d with %d keys", set.version, set.size)
		}
		if failures, ok := s.metric("burnkey_publish_divergences_total"); !ok || failures != 0 {
			t.Errorf("%v divergences are counted", failures)
		}
	}
}

// revokeEach revokes the keys one by one, each on another server. It returns how long after the answer each key
// left the sets of the other servers.
func revokeEach(t *testing.T, admin *client, servers []*server, keys []key) (gone spread) {
	t.Helper()
	for i, k := range keys {
		by := i % len(servers)
		admin.as(servers[by]).mustRevoke(t, k)
		start := time.Now()
		if servers[by].publishes(k) {
			t.Fatal("the server that revoked a key publishes it after its answer")
		}
		took := make(spread, len(servers))
		var watching sync.WaitGroup
		for other := range servers {
			if other != by {
				watching.Go(func() {
					eventually(t, "a revoked key is gone from every server", func() bool { return !servers[other].publishes(k) })
					took[other] = time.Since(start)
				})
			}
		}
		watching.Wait()
		if t.Failed() {
			t.FailNow()
		}
		gone = append(gone, slices.Delete(took, by, by+1)...)
	}
	return gone
}
