package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/jwks"
)

// TestE2EImportMove moves an API with Kong's keys while requests go on: they are imported by the command, twice, the traffic
// is switched from a stand-in of the old gateway to Envoy with burnkey gateway, and each key is rotated. No request is refused.
func TestE2EImportMove(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	a := startAsked(t, s, "--key-file", gatewayKey(t, admin, map[string]any{}))
	g := startEnvoy(t, "--mode", "gateway", "--gateway", a.addr, "--imported")

	var keys []string
	dump := "_format_version: \"3.0\"\nconsumers:\n"
	for i := range 5 {
		keys = append(keys, fmt.Sprintf("%dL1deIyHyQA40WpeLeA1bIUXuvTwlGjo", i))
		dump += fmt.Sprintf("- username: user-%d\n  custom_id: cust_%d\n  keyauth_credentials:\n  - key: %s\n", i, i, keys[i])
	}
	file := filepath.Join(t.TempDir(), "kong.yaml")
	check(t, os.WriteFile(file, []byte(dump), 0o600))

	switched := new(atomic.Bool)
	envoy, err := url.Parse(g.url)
	check(t, err)
	ours := httputil.NewSingleHostReverseProxy(envoy)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case switched.Load():
			ours.ServeHTTP(w, r)
		case !strings.Contains(dump, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")): // the old gateway's check
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(front.Close)
	answered, refused, stop := (&gateway{url: front.URL}).use(t, keys)

	run := func(want string) {
		t.Helper()
		if got := strings.Join(strings.Fields(newCLI(t, s).ok("import", file, "-w", "acme", "--never-expires")), " "); got != want {
			t.Errorf("the command says %q", got)
		}
	}
	run("keys 5 refused 0 imported 5 existing 0")
	for _, key := range keys {
		eventually(t, "the key is accepted", func() bool { return g.get(t, key) == http.StatusOK })
	}
	run("keys 5 refused 0 imported 0 existing 5")
	switched.Store(true)
	var list struct{ Keys []key }
	check(t, admin.call(http.MethodGet, "/v1/workspaces/acme/keys", nil, &list))
	var next []key
	for _, k := range list.Keys {
		var successor key
		check(t, admin.call(http.MethodPost, "/v1/workspaces/acme/keys/"+k.ID+"/rotate", map[string]any{"grace": "1h"}, &successor))
		g.accepts(t, successor)
		next = append(next, successor)
	}
	again, before := time.Now(), answered.Load()
	eventually(t, "more requests", func() bool { return time.Since(again) > 500*time.Millisecond && answered.Load() >= before+100 })
	stop()
	t.Logf("%d requests with old keys during the move, %d refused", answered.Load(), refused.Load())
	if refused.Load() > 0 || len(next) != 5 {
		t.Errorf("%d of %d requests are refused; %d successors", refused.Load(), answered.Load(), len(next))
	}

	// A digest, which a thief of the table has, is refused.
	for _, stolen := range []string{jwks.SHA256Digest(keys[0]).String()[7:], fmt.Sprintf("%x", jwks.SHA256Digest(keys[0]).Sum)} {
		if code := g.get(t, stolen); code != http.StatusUnauthorized {
			t.Errorf("%d for a digest as a key", code)
		}
	}
	gone := list.Keys[0]
	token := keys[gone.Owner[len("cust_")]-'0'] // keys of the same millisecond have any order
	check(t, admin.call(http.MethodDelete, "/v1/workspaces/acme/keys/"+gone.ID, nil, nil))
	t.Logf("a revoked key is refused after %s", g.until(t, time.Now(), http.StatusUnauthorized, token, slack))
	run("keys 5 refused 0 imported 0 existing 5")
	if code := g.get(t, token); code != http.StatusUnauthorized {
		t.Errorf("%d for a revoked key that was imported again", code)
	}
}
