package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz/portal/portaltest"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/internal/testkit"
)

// startBothModes returns, for each mode, an Envoy with the given flags in front of the same API, and a key.
func startBothModes(t *testing.T, flags ...string) (map[string]*gateway, key) {
	t.Helper()
	envoytest.Binary(t)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	k := admin.mustIssue(t, "acme", "scopes", []string{"maps:read"})
	flags = append(flags, "--credential", "bearer,query:api_key") // pages cannot send Authorization when they open a WebSocket
	a := startAsked(t, s, "--workspace", "acme", "--credential", "bearer,query:api_key")
	modes := map[string]*gateway{
		"pull":    startEnvoy(t, append([]string{"--server", s.url, "--cache", "1s", "--workspace", "acme"}, flags...)...),
		"gateway": startEnvoy(t, append([]string{"--mode", "gateway", "--gateway", a.addr}, flags...)...),
	}
	for _, g := range modes {
		g.accepts(t, k)
	}
	return modes, k
}

const edgeRoutes = `routes:
- {path: /events, stream: true}
- {path: /ws, websocket: true, scopes: maps:read}
- {path: /healthz, methods: GET, open: true}
- {path: /admin, scopes: admin}
`

// answer is the result of the page's calls.
type answer struct {
	Status    int
	Challenge *string
	Body      string
}

// In a real browser, a page of another origin calls the API: answers and refusals are readable, a stream that is longer
// than the timeout goes on (BURNKEY_E2E_STREAM seconds), and a WebSocket opens.
func TestE2EEdgeInABrowser(t *testing.T) {
	t.Parallel()
	seconds := scale(t, "BURNKEY_E2E_STREAM", 6, 6)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>app</title>")
	}))
	t.Cleanup(site.Close)
	page := portaltest.NewPage(t, portaltest.PageOptions{})
	page.Open(site.URL)
	api := httptest.NewServer(envoytest.API())
	t.Cleanup(api.Close)
	t.Cleanup(api.CloseClientConnections)
	routes := filepath.Join(t.TempDir(), "routes.yaml")
	check(t, os.WriteFile(routes, []byte(edgeRoutes), 0o600))
	modes, k := startBothModes(t, "--routes", routes, "--cors-origin", site.URL, "--upstream", api.Listener.Addr().String(),
		"--timeout", "5s", "--max-body", "256KiB")
	withKey := `headers: {Authorization: "Bearer ` + k.Token + `"}`
	call := func(g *gateway, path, options string) (a answer) {
		page.Evaluate(fmt.Sprintf(`fetch(%q, {%s}).then(async r => ({
			status: r.status, challenge: r.headers.get("WWW-Authenticate"), body: await r.text(),
		}), e => ({ body: String(e) }))`, g.url+path, options), &a)
		return a
	}
	for mode, g := range modes {
		for _, tt := range []struct {
			name, path, options string
			status              int
			challenge           bool
		}{
			{"an answer after a preflight", "/v1/tiles", `method: "PUT", ` + withKey, 200, false},
			{"a refusal", "/v1/tiles", `headers: {Authorization: "Bearer ` + k.Token + `x"}`, 401, true},
			{"no key", "/v1/tiles", "", 401, true},
			{"a scope is missing", "/admin", withKey, 403, true},
			{"a health check", "/healthz", "", 200, false},
			{"a body that is too large", "/v1/tiles", `method: "POST", body: "x".repeat(263000), ` + withKey, 413, false},
		} {
			if got := call(g, tt.path, tt.options); got.Status != tt.status || (got.Challenge != nil) != tt.challenge || got.Body == "" {
				t.Errorf("%s, %s: %+v", mode, tt.name, got)
			}
		}
		for query, want := range map[string]string{"?api_key=" + k.Token: "hello", "": "error", "?api_key=x": "error"} {
			var greeting string
			page.Evaluate(fmt.Sprintf(`new Promise(done => {
				const socket = new WebSocket(%q)
				socket.onmessage = e => done(e.data)
				socket.onerror = () => done("error")
			})`, "ws"+g.url[len("http"):]+"/ws"+query), &greeting)
			if greeting != want {
				t.Errorf("%s, a WebSocket: %s, want %s", mode, greeting, want)
			}
		}
	}
	page.Evaluate(fmt.Sprintf(`void Promise.all([%q, %q].map(url => fetch(url + "/events?seconds=%d", {%s}).then(async r => (
		{ status: r.status, body: (await r.text()).slice(-11) }), e => ({ body: String(e) })))).then(all => { window.streams = all })`,
		modes["pull"].url, modes["gateway"].url, seconds, withKey), nil)
	var streams []answer
	testkit.Within(t, time.Duration(seconds)*time.Second+patience, "the streams end", func() bool {
		page.Evaluate("window.streams ?? []", &streams)
		return len(streams) > 0
	})
	if want := (answer{Status: 200, Body: "data: end\n\n"}); len(streams) != 2 || streams[0] != want || streams[1] != want {
		t.Errorf("streams of %d s: %+v", seconds, streams)
	}
	stranger := portaltest.NewPage(t, portaltest.PageOptions{})
	other := httptest.NewServer(site.Config.Handler)
	t.Cleanup(other.Close)
	stranger.Open(other.URL)
	for mode, g := range modes {
		var got string
		stranger.Evaluate(fmt.Sprintf(`fetch(%q).then(r => "read", e => "refused")`, g.url+"/healthz"), &got)
		if got != "refused" {
			t.Errorf("%s: a page of an origin that is not allowed: %s", mode, got)
		}
	}
	page.Problems() // the browser reports each refusal
	stranger.Problems()
}
