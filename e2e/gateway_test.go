package e2e_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/internal/testkit"
)

const (
	cacheTime = time.Second
	// slack is added to the cache duration. The contract allows a second, but a busy machine may stand still for longer; tests
	// log how long it took.
	slack = 30 * time.Second
)

// gateway is a real Envoy in front of an API. Its configuration is from `burnkey envoy config`.
type gateway struct {
	*envoytest.Envoy
	url      string
	requests atomic.Int64 // that reached the API
	issuer   atomic.Value // that the API was told last
	headers  atomic.Value // http.Header, as it came last
}

func startGateway(t testing.TB, s *server, workspaces ...string) *gateway {
	t.Helper()
	args := []string{"--server", s.url, "--cache", cacheTime.String()}
	for _, workspace := range workspaces {
		args = append(args, "--workspace", workspace)
	}
	return startEnvoy(t, args...)
}

// startEnvoy runs Envoy with the configuration that burnkey prints for the given flags.
func startEnvoy(t testing.TB, flags ...string) *gateway {
	t.Helper()
	envoytest.Binary(t) // skips before anything is started
	g := &gateway{}
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		g.requests.Add(1)
		g.issuer.Store(r.Header.Get("X-Burnkey-Issuer"))
		g.headers.Store(r.Header.Clone())
	}))
	t.Cleanup(api.Close)
	listen := envoytest.FreeAddr(t)
	g.url = "http://" + listen
	args := []string{
		"envoy", "config", "--listen", listen, "--upstream", api.Listener.Addr().String(), "--admin", envoytest.FreeAddr(t),
	}
	if !slices.Contains(flags, "--mode") {
		args = append(args, "--any-audience")
	}
	printed := run(t, append(args, flags...)...)
	if printed.code != 0 { // it may warn
		t.Fatal(printed.stderr)
	}
	g.Envoy = envoytest.Start(t, envoytest.Patient(printed.stdout))
	return g
}

// get sends a token and returns the status.
func (g *gateway) get(t testing.TB, token string) int {
	t.Helper()
	return g.send(t, "/v1/tiles", "Bearer "+token)
}

func (g *gateway) send(t testing.TB, target, authorization string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, g.url+target, nil)
	check(t, err)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := plainHTTP.Do(req)
	check(t, err)
	resp.Body.Close()
	return resp.StatusCode
}

// until waits until requests with the token get the status code, and returns the time since start. It fails the
// test if this takes too long.
func (g *gateway) until(t testing.TB, start time.Time, code int, token string, within time.Duration) time.Duration {
	t.Helper()
	testkit.Within(t, within-time.Since(start), http.StatusText(code)+" from the gateway", func() bool {
		return g.get(t, token) == code
	})
	return time.Since(start).Round(time.Millisecond)
}

// accepts waits until the gateway accepts a new key.
func (g *gateway) accepts(t testing.TB, k key) time.Duration {
	t.Helper()
	return g.until(t, time.Now(), http.StatusOK, k.Token, cacheTime+slack)
}

// refusesAfter calls revoke, and returns the time from its answer to the first refusal by the gateway.
func (g *gateway) refusesAfter(t testing.TB, k key, revoke func(testing.TB, key)) time.Duration {
	t.Helper()
	revoke(t, k)
	return g.until(t, time.Now(), http.StatusUnauthorized, k.Token, cacheTime+slack)
}

func TestE2EGatewayIssueAndRevoke(t *testing.T) {
	t.Parallel()
	for _, workspaces := range [][]string{{"acme"}, {"acme", "beta"}} {
		t.Run(workspaces[len(workspaces)-1], func(t *testing.T) {
			t.Parallel()
			envoytest.Binary(t)
			s := startServer(t)
			admin := s.admin()
			for _, workspace := range workspaces {
				admin.mustCreate(t, workspace)
			}
			g := startGateway(t, s, workspaces...)
			issueAndRevoke(t, g, admin, workspaces)
			lastKey(t, g, admin)
		})
	}
}

// issueAndRevoke issues and revokes keys in every workspace. It waits until each key is accepted and, after its
// revocation, refused.
func issueAndRevoke(t *testing.T, g *gateway, admin *client, workspaces []string) {
	t.Helper()
	pairs := 2
	if testing.Short() {
		pairs = 1
	}
	var accepted, refused []time.Duration
	for _, workspace := range workspaces {
		for range pairs {
			k, other := admin.mustIssue(t, workspace), admin.mustIssue(t, workspace)
			accepted = append(accepted, g.accepts(t, other), g.accepts(t, k))
			if got := g.issuer.Load(); got != admin.url+"/v1/auth/oauth/"+workspace {
				t.Errorf("the API is told the issuer %q", got)
			}
			refused = append(refused, g.refusesAfter(t, k, admin.mustRevoke))
			if code := g.get(t, other.Token); code != http.StatusOK {
				t.Errorf("%d for a key beside the revoked one", code)
			}
			admin.mustRevoke(t, other)
		}
	}
	slices.Sort(accepted)
	slices.Sort(refused)
	t.Logf("accepted after %v; refused after %v", accepted, refused)
}

// lastKey revokes the only key of a workspace. Envoy would treat an empty set as a failed fetch and keep the
// old set.
func lastKey(t *testing.T, g *gateway, admin *client) {
	t.Helper()
	k := admin.mustIssue(t, "acme")
	g.accepts(t, k)
	keys, err := admin.keys("acme")
	check(t, err)
	for _, other := range keys {
		if other.ID != k.ID && other.Status != "revoked" {
			t.Fatal("there is another key")
		}
	}
	t.Logf("the last key refused after %s", g.refusesAfter(t, k, admin.mustRevoke))
}

// TestE2EGatewayByPossession revokes a key with its token (RFC 7009).
func TestE2EGatewayByPossession(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	g := startGateway(t, s, "acme")
	k := admin.mustIssue(t, "acme")
	g.accepts(t, k)
	took := g.refusesAfter(t, k, func(t testing.TB, k key) {
		resp, err := plainHTTP.PostForm(s.issuer("acme")+"/revoke", map[string][]string{"token": {k.Token}})
		check(t, err)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("the revocation by possession gets %s", resp.Status)
		}
	})
	t.Logf("refused after %s", took)
}

func TestE2EGatewayServerRestarts(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	g := startGateway(t, s, "acme")
	good, revoked := admin.mustIssue(t, "acme"), admin.mustIssue(t, "acme")
	g.accepts(t, good)
	g.accepts(t, revoked)
	g.refusesAfter(t, revoked, admin.mustRevoke)
	both := func(when string) {
		t.Helper()
		if a, b := g.get(t, good.Token), g.get(t, revoked.Token); a != http.StatusOK || b != http.StatusUnauthorized {
			t.Fatalf("%s, a good key gets %d and a revoked one %d", when, a, b)
		}
	}
	const fetched, failed = "http.burnkey.jwt_authn.jwks_fetch_success", "http.burnkey.jwt_authn.jwks_fetch_failed"
	fetches := func(stat string, when string) {
		t.Helper()
		from := g.Stats(t, stat)
		eventually(t, stat, func() bool {
			both(when)
			return g.Stats(t, stat) >= from+2
		})
	}
	for name, end := range map[string]func(){"stopped": s.stop, "killed": s.kill} {
		end()
		if conn, err := net.Dial("tcp", s.addr); err == nil {
			conn.Close()
			t.Fatal("the server is still there")
		}
		fetches(failed, "while the server is "+name)
		s.start()
		fetches(fetched, "after the server was "+name)
		k := admin.mustIssue(t, "acme")
		accepted := g.accepts(t, k)
		t.Logf("after the server was %s: accepted after %s, refused after %s", name, accepted, g.refusesAfter(t, k, admin.mustRevoke))
	}
	t.Logf("the key from before, revoked now: refused after %s", g.refusesAfter(t, good, admin.mustRevoke))
}
