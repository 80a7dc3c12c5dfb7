package extauthz

import (
	"strings"
	"testing"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/jwks"
)

// Package deploy/envoy tests the same in mode pull.
func TestEnvoyCORS(t *testing.T) {
	t.Parallel()
	s, o := followFeed(t, nil)
	setLimits(o, jwks.Attributes{Limits: []jwks.Limit{{Name: "two", Requests: 2, Seconds: 3600}}})
	addr, stop := listenFor(t, s, envoytest.FreeAddr(t))
	f := envoyWith(t, envoy.Config{Gateways: []string{addr}, Edge: envoy.Edge{
		Origins: []string{"https://app.example.com"}, Routes: []envoy.Route{
			{Path: "/admin", Scopes: []string{"admin"}}, {Path: "/put", Methods: envoy.Words{"PUT"}, Scopes: []string{"admin"}},
		},
	}})
	const app = "Origin: https://app.example.com"
	key := auth(own(), payload("acme"))
	eventually(t, "the limits hold", func() bool { return f.send(t, "GET", "/", app, key).Header.Get("RateLimit") != "" })
	preflight := []string{"Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: authorization"}
	ask := func(name, method, target string, status int, lines ...string) {
		t.Helper()
		resp := f.send(t, method, target, append(lines, app)...)
		h := resp.Header
		if resp.StatusCode != status || h.Get("Access-Control-Allow-Origin") != "https://app.example.com" {
			t.Errorf("%s: %d %v %s", name, resp.StatusCode, h, resp.body)
		}
		if method != "OPTIONS" && !strings.Contains(h.Get("Access-Control-Expose-Headers"), "RateLimit-Policy") {
			t.Errorf("%s: exposed %q", name, h.Get("Access-Control-Expose-Headers"))
		}
	}
	passed := f.reached()
	ask("a preflight", "OPTIONS", "/admin", 200, preflight...)
	ask("a preflight of a path with methods", "OPTIONS", "/put", 200, preflight...)
	if f.reached() != passed {
		t.Error("the preflight reached the API")
	}
	if resp := f.send(t, "OPTIONS", "/", append(preflight, "Origin: https://evil.test")...); resp.StatusCode != 401 ||
		resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a preflight of a stranger: %d %v", resp.StatusCode, resp.Header)
	}
	ask("no key", "GET", "/", 401)
	ask("an unknown key", "GET", "/", 401, auth(newPair(), payload("acme")))
	ask("a scope is missing", "GET", "/admin", 403, key)
	ask("an answer", "GET", "/", 200, key)
	ask("over the limit", "GET", "/", 429, key)
	stop()
	ask("no gateway", "GET", "/", 503, key)
}
