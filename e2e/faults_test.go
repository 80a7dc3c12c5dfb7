package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store/postgres"
	"github.com/burnkey/burnkey/store/postgres/pgtest"
)

// toxiproxy is a proxy that simulates a bad network.
type toxiproxy struct {
	t    *testing.T
	addr string
}

func startToxiproxy(t *testing.T) *toxiproxy {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", ".tools", "bin", "toxiproxy-server"))
	check(t, err)
	if _, err := os.Stat(path); err != nil {
		absent(t, "no toxiproxy: run make go-tools")
	}
	p := &toxiproxy{t, envoytest.FreeAddr(t)}
	host, port, _ := strings.Cut(p.addr, ":")
	cmd := exec.Command(path, "-host", host, "-port", port)
	check(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	eventually(t, "toxiproxy answers", func() bool { return p.call("GET", "/version", nil) == nil })
	return p
}

func (p *toxiproxy) call(method, path string, in any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, "http://"+p.addr+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := plainHTTP.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("toxiproxy: %s: %s", resp.Status, text)
	}
	return err
}

// between starts a proxy in front of an address and returns the proxy's address.
func (p *toxiproxy) between(upstream string) (addr string) {
	p.t.Helper()
	addr = envoytest.FreeAddr(p.t)
	check(p.t, p.call("POST", "/proxies", map[string]any{"name": "x", "listen": addr, "upstream": upstream, "enabled": true}))
	return addr
}

// A fault is one or more of toxiproxy's toxics, for each direction.
type fault struct {
	name   string
	toxics []toxic
}

type toxic struct {
	Type       string         `json:"type"`
	Stream     string         `json:"stream"`
	Attributes map[string]any `json:"attributes"`
}

var faults = []fault{
	{"latency", []toxic{{"latency", "downstream", map[string]any{"latency": 300, "jitter": 200}}}},
	{"connections reset", []toxic{{"reset_peer", "downstream", map[string]any{"timeout": 100}}}},
	{"cut off after some bytes", []toxic{{"limit_data", "downstream", map[string]any{"bytes": 900}}}},
	{"black hole", []toxic{{"timeout", "downstream", map[string]any{"timeout": 0}}, {"timeout", "upstream", map[string]any{"timeout": 0}}}},
	{"answers vanish", []toxic{{"timeout", "downstream", map[string]any{"timeout": 0}}}},
	{"slow bytes", []toxic{{"slicer", "downstream", map[string]any{"average_size": 20, "size_variation": 10, "delay": 20000}}}},
	{"refused", nil},
}

// with runs f while the network has a fault.
func (p *toxiproxy) with(bad fault, f func()) {
	p.t.Helper()
	if bad.toxics == nil {
		check(p.t, p.call("POST", "/proxies/x", map[string]any{"enabled": false}))
	}
	for _, toxic := range bad.toxics {
		check(p.t, p.call("POST", "/proxies/x/toxics", toxic))
	}
	f()
	check(p.t, p.call("POST", "/reset", nil))
}

// during waits for some time, so that the fault takes effect.
func during(d time.Duration) { <-time.After(d) }

// TestE2EFaultsBeforeTheDatabase runs two servers. One has a bad connection to the database, the other a good
// connection.
func TestE2EFaultsBeforeTheDatabase(t *testing.T) {
	t.Parallel()
	pg, network := pgtest.Start(t, nil), startToxiproxy(t)
	direct := pg.Database(t)
	good := startSeveral(t, 1, direct)[0]
	admin := good.admin()
	admin.mustCreate(t, "acme")
	bad := newServer(t, "--database", through(t, direct, network.between(pg.Addr())), "--public-url", good.url)
	bad.start()
	b := new(book)
	for i, fault := range faults {
		goroutines, _ := bad.metric("go_goroutines")
		stop := make(chan struct{})
		var working sync.WaitGroup
		for n := range 2 {
			rng := rand.New(rand.NewPCG(uint64(i), uint64(n)))
			working.Go(func() { b.work(t, []*client{admin.as(bad), admin.as(good)}, rng, stop) })
		}
		refused, acks := b.refused, len(b.acks)
		network.with(fault, func() {
			for range 8 {
				during(500 * time.Millisecond)
				if _, err := bad.published("acme"); err != nil {
					t.Errorf("%s: the set is not served: %v", fault.name, err)
				}
			}
		})
		healed := time.Now()
		close(stop)
		working.Wait() // all that was asked for is answered in the end
		if code, text := bad.get("/readyz"); code != 200 {
			eventually(t, "the server is ready again: "+text, func() bool { code, _ := bad.get("/readyz"); return code == 200 })
		}
		t.Logf("%s: %d writes answered, %d refused for now; all well %s after its end",
			fault.name, len(b.acks)-acks, b.refused-refused, time.Since(healed).Round(100*time.Millisecond))
		eventually(t, "no goroutine is left behind", func() bool {
			now, ok := bad.metric("go_goroutines")
			return ok && now <= goroutines+5
		})
		if t.Failed() {
			return
		}
	}
	b.audit(t, []*server{good, bad}, admin)
	good.stop()
	bad.stop()
	eventually(t, "no connection is left behind", func() bool {
		return pg.Query(t, direct, `SELECT count(*)::text FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`)[0] == "0"
	})
}

// through replaces the address in a database's URL.
func through(t *testing.T, database, addr string) string {
	t.Helper()
	u, err := url.Parse(database)
	check(t, err)
	u.Host = addr
	return u.String()
}

// TestE2EFaultsLeaveNothingBehind checks, in this process, that a store and its followers leak no goroutines.
func TestE2EFaultsLeaveNothingBehind(t *testing.T) {
	pg, network := pgtest.Start(t, nil), startToxiproxy(t)
	direct := pg.Database(t)
	bad := through(t, direct, network.between(pg.Addr()))
	for _, fault := range faults {
		before := goleak.IgnoreCurrent()
		st, err := postgres.Open(t.Context(), bad, slog.New(slog.DiscardHandler))
		check(t, err)
		publisher := publish.NewPublisher(st, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var following sync.WaitGroup
		following.Go(func() {
			publisher.Follow(ctx, publish.FollowOptions{
				Every: 50 * time.Millisecond, CheckEvery: 50 * time.Millisecond,
				Log: slog.New(slog.DiscardHandler),
			})
		})
		eventually(t, "the store is followed", func() bool { return publisher.Age() < time.Second })
		network.with(fault, func() {
			during(700 * time.Millisecond)
			// In the middle of the fault.
			ended := make(chan error)
			go func() {
				cancel()
				following.Wait()
				ended <- st.Close()
			}()
			select {
			case err := <-ended:
				check(t, err)
			case <-time.After(patience):
				t.Fatalf("%s: the store does not close", fault.name)
			}
		})
		plainHTTP.CloseIdleConnections()
		leaves(t, fault.name, before)
	}
}

// leaves waits until there are no goroutines but those from before. goleak itself waits for less than a second.
func leaves(t *testing.T, what string, before goleak.Option) {
	t.Helper()
	var err error
	defer func() {
		if err != nil {
			t.Log(err)
		}
	}()
	eventually(t, what+": no goroutine is left", func() bool {
		err = goleak.Find(before)
		return err == nil
	})
}

// TestE2EFaultsBeforeTheServer runs a follower that has a bad connection to its server.
func TestE2EFaultsBeforeTheServer(t *testing.T) {
	network := startToxiproxy(t)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	before := goleak.IgnoreCurrent()
	f, err := jwks.NewFollower(jwks.FollowerOptions{
		URL: "http://" + network.between(s.addr) + "/v1/auth/oauth/acme", PollEvery: time.Second, Log: slog.New(slog.DiscardHandler),
	})
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var following sync.WaitGroup
	following.Go(func() { _ = f.Run(ctx) }) // the end of ctx is its only error
	eventually(t, "the follower has a set", func() bool { return f.Len() > 0 })
	b := new(book)
	for i, fault := range faults {
		stop := make(chan struct{})
		var working sync.WaitGroup
		working.Go(func() { b.work(t, []*client{admin}, rand.New(rand.NewPCG(uint64(i), 3)), stop) })
		rng := rand.New(rand.NewPCG(uint64(i), 4))
		var late time.Duration
		network.with(fault, func() {
			for range 100 {
				during(50 * time.Millisecond)
				late = max(late, b.hold(t, fault.name, f, rng))
			}
		})
		healed := time.Now()
		close(stop)
		working.Wait()
		want := s.mustPublished("acme").version
		testkit.Within(t, time.Minute, fault.name+" is over: the follower is current", func() bool {
			b.hold(t, fault.name, f, rng)
			return f.Version() == want
		})
		t.Logf("%s: a write waited up to %s to count; current %s after its end, at version %d",
			fault.name, late.Round(10*time.Millisecond), time.Since(healed).Round(10*time.Millisecond), want)
		if t.Failed() {
			return
		}
	}
	cancel()
	following.Wait()
	plainHTTP.CloseIdleConnections()
	leaves(t, "all faults", before)
	eventually(t, "the server has no reader left", func() bool {
		readers, ok := s.metric("burnkey_change_stream_readers")
		return ok && readers == 0
	})
}
