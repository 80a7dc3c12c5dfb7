package envoy_test

import (
	"os"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

func readRoutes(t testing.TB, text, scheme string) []envoy.Route {
	t.Helper()
	routes, err := envoy.ReadRoutes(strings.NewReader(text), scheme)
	if err != nil {
		t.Fatal(err)
	}
	return routes
}

func fileText(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Package extauthz tests the same routes in mode gateway.
func TestRoutes(t *testing.T) {
	t.Parallel()
	keys, k := newKeyServer(t), newKey(t)
	keys.publish("acme", k)
	c := oneSecond
	c.Server, c.Open = keys.url(), []string{"/ready", "GET,POST /v1/ready/*"}
	c.Routes = readRoutes(t, fileText(t, "testdata/routes.yaml"), "")
	c.Resource = "https://api.example.com/v1"
	g := startGateway(t, c, keys)
	resource := g.get(t, "/.well-known/oauth-protected-resource/v1")
	if want := `{"resource":"https://api.example.com/v1","authorization_servers":["` + c.Issuer("acme") + `"],` +
		`"scopes_supported":["admin","maps","maps:read"],"bearer_methods_supported":["header"]}`; resource.body != want ||
		resource.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%v %s, want %s", resource.Header, resource.body, want)
	}
	key := bearer(k.token(t, claims(c.Issuer("acme"), "scope", "maps:read maps:write", "aud", []string{"maps", "x"})))
	for _, tt := range envoytest.RouteCases(t, "testdata/routes.txt") {
		passed := g.api.requests()
		for _, lines := range [][]string{nil, {key}} {
			want := tt.Without
			if lines != nil {
				want = tt.WithKey
			}
			resp := g.send(t, tt.Method, tt.Target, append(lines, "X-Burnkey-Owner: root")...)
			if resp.StatusCode != want {
				t.Errorf("%s %s, key %t: %d, want %d: %s", tt.Method, tt.Target, lines != nil, resp.StatusCode, want, resp.body)
			}
			if reached := g.api.requests() > passed; reached != (want == 200) {
				t.Errorf("%s %s, key %t: reached the API: %t", tt.Method, tt.Target, lines != nil, reached)
			}
			if want == 200 && lines == nil && len(burnkeyHeaders(g.api.last().Header)) > 0 {
				t.Errorf("%s %s: an open path passes on %q", tt.Method, tt.Target, burnkeyHeaders(g.api.last().Header))
			}
			passed = g.api.requests()
		}
	}
	const metadata = `Bearer resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/v1"`
	for target, want := range map[string]string{
		"/v1/admin":     metadata + `, error="insufficient_scope", scope="admin"` + "|The key lacks a scope that is required here.",
		"/v1/users/123": metadata + `, error="invalid_token"|The key is for another audience.`,
	} {
		resp := g.get(t, target, key)
		if got := resp.Header.Get("WWW-Authenticate") + "|" + resp.body; !containsAll(got, strings.Split(want, "|")...) ||
			resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %v %s", target, resp.Header, resp.body)
		}
	}
	if got := g.get(t, "/v1/tiles").Header.Get("WWW-Authenticate"); got != metadata {
		t.Errorf("without a key: %s", got)
	}
	if resp := g.send(t, "PUT", "/v1/tiles", key); resp.Header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("Allow: %q", resp.Header.Get("Allow"))
	}
	one := bearer(k.token(t, claims(c.Issuer("acme"), "scope", "admin", "aud", "other"))) // aud as text
	for target, want := range map[string]int{"/v1/admin": 200, "/v1/users/7": 200, "/v1/users/me": 403, "/v1/tiles": 403} {
		if got := g.get(t, target, one).StatusCode; got != want {
			t.Errorf("%s with other scopes: %d, want %d", target, got, want)
		}
	}
	for _, scope := range []any{nil, "", "maps:read2", "xadmin", "admin2 badmin", "ADMIN", "admin,x", []string{"admin"}, 1} {
		if got := g.get(t, "/v1/admin", bearer(k.token(t, claims(c.Issuer("acme"), "scope", scope)))).StatusCode; got != 403 {
			t.Errorf("scope %v: %d", scope, got)
		}
	}
	if g.Log() != "" {
		t.Errorf("envoy warns:\n%s", g.Log())
	}
}

func containsAll(text string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

// No route may be looser than the one that the file means; a fault is an error that says where it is.
func TestRouteFaults(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("- {path: /x, methods: GET}\n", envoy.MaxRoutes+1)
	for text, want := range map[string]string{
		"":                                  "must have a list named routes",
		"routes: []":                        "must have a list named routes",
		"x: 1":                              "line 1: field x is unknown",
		"routes: [{path: /a, scope: x}]":    "field scope is unknown",
		"routes: [{path: /a, scopes: }]":    "line 1: a value is missing",
		"routes: [{path: /a, scopes: ''}]":  "is empty",
		"routes: [{path: /a, scopes: []}]":  "is empty",
		"routes: [{path: /a, open: }]":      "a value is missing",
		"routes: [{path: /a, open: maybe}]": "line 1: must be true or false",
		"routes: {path: /a}":                "line 1: must be a list",
		"routes: [{path: [a]}]":             "line 1: must be text",
		"- path: /a":                        "line 1: must be a map",
		"routes: [{path: /a}]\n---\nx: 1":   "must be one document",
		"routes: [{path: /a, path: /b}]":    "already defined",
		"routes: {":                         "line 1",
		"swagger: '2.0'":                    "must be OpenAPI 3, not Swagger 2.0",

		"routes: [{scopes: x}]": "route 1 (scopes: x): must have exactly one of path, prefix and",
		"routes: [{path: /a}, {methods: [GET, put], audience: a, open: true}]": "route 2 (methods: GET put, audience: a, open: true): must have",
		"routes: [{timeout: 5s}]":                                                    "route 1 (without a path): must have",
		"routes: [{path: /a, prefix: /b}]":                                           "exactly one of",
		"routes: [{path: a}]":                                                        "path: must begin with /",
		"routes: [{path: '/a b'}]":                                                   "path: must begin with /",
		"routes: [{path: /a%2fb}]":                                                   "path: must begin with /",
		"routes: [{path: '/a;b'}]":                                                   "path: must begin with /",
		"routes: [{path: '/a?b'}]":                                                   "path: must begin with /",
		"routes: [{path: /é}]":                                                       "path: must begin with /",
		"routes: [{path: '/a/{id}'}]":                                                "path: must begin with /",
		"routes: [{path_template: '/a/{id'}]":                                        "path_template: must begin with /",
		"routes: [{path_template: '/a/{id}{x}'}]":                                    "text between two variables",
		"routes: [{path: /a/../b}]":                                                  "empty segments",
		"routes: [{path: //a}]":                                                      "empty segments",
		"routes: [{path: /a, methods: 'GE T;'}]":                                     "methods: must be names",
		"routes: [{path: /a, scopes: ['a b']}]":                                      "scopes: must be",
		"routes: [{path: /a, scopes: 'a,b'}]":                                        "scopes: must be",
		"routes: [{path: /a, audience: 'a,b'}]":                                      "audience: must be",
		"routes: [{path: /a, route: A}]":                                             "route: must match",
		"routes: [{path: /a, open: true, scopes: x}]":                                "open: cannot be combined",
		"routes: [{prefix: /, open: true}]":                                          "open: must not be the whole API",
		"routes: [{path: /a}, {path: /A/, scopes: x}]":                               "are the same route",
		"routes: [{path: /a, methods: GET}, {path: /a, methods: [POST, HEAD]}]":      "are the same route",
		"routes: [{path_template: '/a/{x}', open: true}, {path_template: '/a/{y}'}]": "are the same route",
		"routes:\n" + many:                                                           "must have at most 1000 routes",
	} {
		routes, err := envoy.ReadRoutes(strings.NewReader(text), "")
		if err == nil {
			c := valid()
			c.Routes = routes
			err = c.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "envoy.") {
			t.Errorf("%.60s: %v, want %s", text, err, want)
		}
	}
	for _, open := range []string{"", "healthz", "GET", "GET healthz", "G;T /x", "/*", "GET /*", "GET  /x", "/a b"} {
		c := valid()
		c.Open = []string{open}
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "--open: must be a path") {
			t.Errorf("--open %q: %v", open, err)
		}
	}
	c := valid()
	c.Open = []string{"/healthz"}
	if err := envoy.ESPv2(new(strings.Builder), c); err == nil || !strings.Contains(err.Error(), "espv2 cannot be combined with --open") {
		t.Error(err)
	}
}
