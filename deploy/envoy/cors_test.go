package envoy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/deploy/envoy"
)

// Package extauthz tests the same in mode gateway.
func TestCORS(t *testing.T) {
	t.Parallel()
	keys, k := newKeyServer(t), newKey(t)
	keys.publish("acme", k)
	c := oneSecond
	c.Server, c.Origins, c.OriginHeaders = keys.url(), []string{"https://app.example.com", "http://localhost:3000"}, []string{"x-trace"}
	c.Routes, c.SignedLimits = []envoy.Route{
		{Path: "/admin", Scopes: []string{"admin"}},
		{Path: "/put", Methods: envoy.Words{"PUT"}, Scopes: []string{"admin"}},
		{Prefix: "/open", Open: true},
		{Path: "/open/put", Methods: envoy.Words{"PUT"}, Scopes: []string{"admin"}},
	}, []string{"5/day"}
	g := startGateway(t, c, keys)
	const app = "Origin: https://app.example.com"
	key := bearer(k.token(t, claims(c.Issuer("acme"), "rate_limit", limitClaim(5, "DAY"))))
	preflight := []string{"Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: authorization"}
	for _, tt := range []struct {
		name, method, target string
		lines                []string
		status               int
		origin               string
	}{
		{"a preflight", "OPTIONS", "/admin", append(preflight, app), 200, "https://app.example.com"},
		{"a preflight of the other origin", "OPTIONS", "/", append(preflight, "Origin: http://localhost:3000"), 200, "http://localhost:3000"},
		{"a preflight of a path with methods", "OPTIONS", "/put", append(preflight, app), 200, "https://app.example.com"},
		{"a preflight below an open path", "OPTIONS", "/open/put", append(preflight, app), 200, "https://app.example.com"},
		{"a stranger's preflight of a path with methods", "OPTIONS", "/put", append(preflight, "Origin: https://evil.test"), 401, ""},
		{"a stranger's preflight below an open path", "OPTIONS", "/open/put", append(preflight, "Origin: https://evil.test"), 401, ""},
		{"no preflight, with a key", "OPTIONS", "/put", []string{app, key, "Access-Control-Request-Method:"}, 405, ""},
		{"a preflight of a stranger", "OPTIONS", "/", append(preflight, "Origin: https://app.example.com.evil.test"), 401, ""},
		{"a preflight of no one", "OPTIONS", "/", preflight, 401, ""},
		{"OPTIONS that is no preflight", "OPTIONS", "/", []string{app}, 401, "https://app.example.com"},
		{"an answer", "GET", "/", []string{app, key}, 200, "https://app.example.com"},
		{"an answer to a stranger", "GET", "/", []string{"Origin: https://evil.test", key}, 200, ""},
		{"no key", "GET", "/", []string{app}, 401, "https://app.example.com"},
		{"an unknown key", "GET", "/", []string{app, bearer(newKey(t).token(t, claims(c.Issuer("acme"))))}, 401, "https://app.example.com"},
		{"a scope is missing", "GET", "/admin", []string{app, key}, 403, "https://app.example.com"},
		{"the API refuses", "GET", "/api/403", []string{app, key}, 403, "https://app.example.com"},
		{"the last one", "GET", "/", []string{app, key}, 200, "https://app.example.com"},
		{"over the limit", "GET", "/", []string{app, key}, 429, "https://app.example.com"},
	} {
		passed := g.api.requests()
		resp := g.send(t, tt.method, tt.target, tt.lines...)
		h := resp.Header
		if resp.StatusCode != tt.status || h.Get("Access-Control-Allow-Origin") != tt.origin || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %d %v", tt.name, resp.StatusCode, h)
		}
		isPreflight := tt.method == "OPTIONS" && tt.status == 200
		if isPreflight && (!strings.Contains(h.Get("Access-Control-Allow-Methods"), "PUT") || g.api.requests() != passed ||
			!containsAll(h.Get("Access-Control-Allow-Headers"), "Authorization", "X-Trace")) {
			t.Errorf("%s: %v", tt.name, h)
		}
		if !isPreflight && tt.origin != "" && !containsAll(h.Get("Access-Control-Expose-Headers"), "RateLimit-Policy", "WWW-Authenticate") {
			t.Errorf("%s: exposed %q", tt.name, h.Get("Access-Control-Expose-Headers"))
		}
		if tt.status == 200 && !isPreflight && strings.Join(h.Values("Vary"), ",") != "Origin" {
			t.Errorf("%s: Vary %q", tt.name, h.Values("Vary"))
		}
	}
	if g.Log() != "" {
		t.Errorf("envoy warns:\n%s", g.Log())
	}
}

func TestCORSFlags(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		flag             string
		origins, headers []string
	}{
		{"", []string{"https://a.example", "http://[::1]:8080", "capacitor://localhost"}, []string{"X-Trace"}},
		{"", []string{envoy.AnyOrigin}, nil},
		{"cors-origin", []string{"https://a.example", "*"}, nil},
		{"cors-origin", []string{"https://a.example", "https://a.example"}, nil},
		{"cors-origin", []string{"a.example"}, nil},
		{"cors-origin", []string{"null"}, nil},
		{"cors-origin", []string{""}, nil},
		{"cors-origin", []string{"https://a.example/"}, nil},
		{"cors-origin", []string{"https://A.example"}, nil},
		{"cors-origin", []string{"https://*.example"}, nil},
		{"cors-origin", []string{"https://a.example:443"}, nil},
		{"cors-origin", []string{"http://a.example:80"}, nil},
		{"cors-origin", make([]string, envoy.MaxOrigins+1), nil},
		{"cors-header", []string{"*"}, []string{"X Y"}},
		{"cors-header", []string{"*"}, make([]string, envoy.MaxOrigins+1)},
		{"cors-header", nil, []string{"X-Trace"}},
	} {
		c := valid()
		c.Origins, c.OriginHeaders = tt.origins, tt.headers
		flag, bad := "", new(envoy.FieldError)
		if errors.As(c.Validate(), &bad) {
			flag = bad.Flag
		}
		if flag != tt.flag {
			t.Errorf("%q %q: refused by %q, want %q", tt.origins, tt.headers, flag, tt.flag)
		}
	}
}
