package extauthz

import (
	"strings"
	"testing"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

// foreignAuthz is another ext_authz service of the producer. It refuses some paths; for others, it is
// unreachable.
const foreignAuthz = `
          - name: own.NAME
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
              filter_enabled_metadata: {filter: envoy.filters.http.ext_authz, path: [{key: owner}], value: {string_match: {exact: NAME}}}
              http_service:
                server_uri: {uri: "http://x", cluster: CLUSTER, timeout: 1s}
                path_prefix: /own
                authorization_request: {allowed_headers: {patterns: [{exact: authorization}]}}
`

// If another filter refuses a request, the response must not mention keys, as in mode pull. Otherwise clients
// would discard valid keys.
func TestEnvoyLeavesForeignRefusals(t *testing.T) {
	s, _ := follow(t, nil)
	addr, stop := listenFor(t, s, envoytest.FreeAddr(t))
	f := envoyBefore(t, addr, func(s string) string {
		const router = "\n          - name: envoy.filters.http.router\n"
		asked := strings.NewReplacer("NAME", "asked", "CLUSTER", "api").Replace(foreignAuthz)
		mute := strings.NewReplacer("NAME", "mute", "CLUSTER", "nowhere").Replace(foreignAuthz)
		s = replaceOnce(t, router, asked+mute+router)(s)
		s = replaceOnce(t, "  clusters:\n", "  clusters:\n  - {name: nowhere, connect_timeout: 1s}\n")(s)
		return replaceOnce(t, "              - match: {prefix: /}\n", `              - match: {path: /403}
                direct_response: {status: 403, body: {inline_string: "Not in your plan."}}
              - match: {prefix: /}
`)(s)
	})
	good := auth(own(), payload("acme"))
	of := func(owner string) string { return auth(own(), payload("acme", "cust_1", owner)) }
	for name, tt := range map[string]struct {
		target  string
		headers []string
		status  int
		body    string
	}{
		"an upgrade":               {"/", []string{good, "Upgrade: websocket", "Connection: Upgrade"}, 403, ""},
		"a direct_response of 403": {"/403", []string{good}, 403, "Not in your plan."},
		"another service's 403":    {"/", []string{of("asked")}, 403, "no"},
		"another service mute":     {"/", []string{of("mute")}, 403, ""},
	} {
		resp := f.send(t, "GET", tt.target, tt.headers...)
		if resp.StatusCode != tt.status || resp.body != tt.body || resp.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: %d %v\n%s", name, resp.StatusCode, resp.Header, resp.body)
		}
	}
	if resp := f.send(t, "GET", "/403"); resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("no token: %d %v\n%s", resp.StatusCode, resp.Header, resp.body)
	}
	stop()
	resp := f.send(t, "GET", "/", good)
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" || !strings.Contains(resp.body, "cannot be verified at present") ||
		resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("a service that is gone: %d %v\n%s", resp.StatusCode, resp.Header, resp.body)
	}
}
