package envoy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/deploy/envoy"
)

const openAPIDocument = `
openapi: 3.1.0
info: {title: Maps, version: "1"}
servers: [{url: https://api.example.com/v1/}, {url: https://eu.example.com/v1}, {url: /beta}]
security: [{key: []}]
paths:
  x-note: {}
  /healthz: {get: {security: [], responses: {default: {description: it is up}}}}
  /tiles:
    summary: Tiles
    parameters: []
    get: {security: [{key: [tiles:read, maps:read]}]}
    head: {security: [{key: [maps:read, tiles:read]}]}
    post: {security: [{key: [tiles:write], cookie: []}, {key: [tiles:write]}]}
    delete: {}
  "/users/{id}": {patch: {security: [{key: []}]}}
components:
  securitySchemes:
    key: {type: http, scheme: bearer}
    cookie: {type: apiKey, in: cookie, name: session}
`

func describe(routes []envoy.Route) (all []string) {
	for _, r := range routes {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s open=%t", r, strings.Join(r.Scopes, "+"), r.Open)))
	}
	slices.Sort(all)
	return all
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	want := []string{
		"DELETE /v1/tiles  open=false", "GET /v1/healthz  open=true", "GET,HEAD /v1/tiles maps:read+tiles:read open=false",
		"PATCH /v1/users/{id}  open=false", "POST /v1/tiles tiles:write open=false",
	}
	for _, line := range slices.Clone(want) {
		want = append(want, strings.Replace(line, "/v1/", "/beta/", 1))
	}
	slices.Sort(want)
	routes := readRoutes(t, openAPIDocument, "key")
	if got := describe(routes); !slices.Equal(got, want) {
		t.Errorf("%s, want %s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	c := valid()
	c.Routes = routes
	text := render(t, envoy.Bootstrap, c)
	if !strings.Contains(text, "# PATCH /v1/users/{id}") {
		t.Error("a route is missing in the rendering")
	}
}

// A document whose requirements cannot be held as it means them is refused.
func TestOpenAPIFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ from, to, scheme, want string }{
		{"", "", "", "has the security schemes cookie, key: --openapi-scheme must name that of keys"},
		{"", "", "Key", `has no security scheme "Key"; it has cookie, key`},
		{"3.1.0", "4.0.0", "key", "openapi: must be 3, not 4.0.0"},
		{"https://api.example.com/v1/", "'/{v}'", "key", "servers: must have URLs without variables"},
		{"cookie: []}, {key: [tiles:write]}", "cookie: []}, {}", "key", "/tiles: POST: security: every alternative must require key"},
		{"cookie: []}, {key: [tiles:write]}", "cookie: []}, {cookie: []}", "key", "every alternative must require key"},
		{"cookie: []}, {key: [tiles:write]}", "cookie: []}, {key: []}", "key", "all alternatives must require the same scopes"},
		{"summary: Tiles", "$ref: other.yaml", "key", "/tiles: $ref and servers of a path are not supported"},
		{"delete: {}", "delete: {servers: [{url: /x}]}", "key", "DELETE: servers of an operation"},
		{"security: [{key: []}]\npaths", "security: {}\npaths", "key", "line 5: must be a list"},
	} {
		if !strings.Contains(openAPIDocument, tt.from) {
			t.Fatalf("no %q", tt.from)
		}
		_, err := envoy.ReadRoutes(strings.NewReader(strings.Replace(openAPIDocument, tt.from, tt.to, 1)), tt.scheme)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.to, err, tt.want)
		}
	}
	for text, want := range map[string]string{
		"openapi: 3.0.0": "components.securitySchemes: must have",
		"openapi: 3.0.0\ncomponents: {securitySchemes: {k: {}}}": "paths: must have an operation",
	} {
		if _, err := envoy.ReadRoutes(strings.NewReader(text), ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// An operation without security, in a document without any, requires a key.
func TestOpenAPIWithoutSecurity(t *testing.T) {
	t.Parallel()
	for _, security := range []string{"", "security: []\n"} {
		routes := readRoutes(t, security+`openapi: 3.0.3
paths: {/a: {get: {}}}
components: {securitySchemes: {key: {type: http}}}
`, "")
		if got := describe(routes); !slices.Equal(got, []string{"GET /a  open=false"}) {
			t.Errorf("%q: %s", security, got)
		}
	}
}
