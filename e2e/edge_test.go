package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/burnkey/burnkey/authz/portal/portaltest"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

// startBothModes returns, for each mode, an Envoy with the given flags in front of the same API, and a key.
func startBothModes(t *testing.T, flags ...string) (map[string]*gateway, key) {
	t.Helper()
	envoytest.Binary(t)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	k := admin.mustIssue(t, "acme", "scopes", []string{"maps:read"})
	a := startAsked(t, s, "--workspace", "acme")
	modes := map[string]*gateway{
		"pull":    startEnvoy(t, append([]string{"--server", s.url, "--cache", "1s", "--workspace", "acme"}, flags...)...),
		"gateway": startEnvoy(t, append([]string{"--mode", "gateway", "--gateway", a.addr}, flags...)...),
	}
	for _, g := range modes {
		g.accepts(t, k)
	}
	return modes, k
}

// In a real browser, a page of another origin calls the API: answers and refusals are readable.
func TestE2EEdgeInABrowser(t *testing.T) {
	t.Parallel()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>app</title>")
	}))
	t.Cleanup(site.Close)
	page := portaltest.NewPage(t, portaltest.PageOptions{})
	page.Open(site.URL)
	modes, k := startBothModes(t, "--open", "/healthz", "--cors-origin", site.URL)
	for mode, g := range modes {
		for _, tt := range []struct {
			name, path, options string
			status              int
		}{
			{"an answer after a preflight", "/v1/tiles", `{method: "PUT", headers: {Authorization: "Bearer ` + k.Token + `"}}`, 200},
			{"a refusal", "/v1/tiles", `{headers: {Authorization: "Bearer ` + k.Token + `x"}}`, 401},
			{"no key", "/v1/tiles", `{}`, 401},
			{"a health check", "/healthz", `{}`, 200},
		} {
			var got struct {
				Status    int
				Challenge *string
				Body      string
			}
			page.Evaluate(fmt.Sprintf(`fetch(%q, %s).then(async r => ({
				status: r.status, challenge: r.headers.get("WWW-Authenticate"), body: await r.text(),
			}), e => ({ body: String(e) }))`, g.url+tt.path, tt.options), &got)
			if got.Status != tt.status || tt.status == 401 && (got.Challenge == nil || got.Body == "") {
				t.Errorf("%s, %s: %+v", mode, tt.name, got)
			}
		}
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
	page.Problems()
	stranger.Problems()
}
