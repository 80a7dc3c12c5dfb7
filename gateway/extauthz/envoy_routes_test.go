package extauthz

import (
	"os"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/gateway"
)

// Package deploy/envoy tests the same routes in mode pull.
func TestEnvoyRoutesFile(t *testing.T) {
	t.Parallel()
	const api = "https://api.example.com"
	s, _ := follow(t, func(o *gateway.Options) { o.Resource = api })
	addr, _ := listenFor(t, s, envoytest.FreeAddr(t))
	file, err := os.Open("../../deploy/envoy/testdata/routes.yaml")
	check(t, err)
	defer file.Close()
	routes, err := envoy.ReadRoutes(file, "")
	check(t, err)
	f := envoyWith(t, envoy.Config{
		Gateways: []string{addr}, Workspaces: []string{"acme"}, PublicURL: "https://keys.example.com",
		Edge: envoy.Edge{Resource: api, Routes: routes, Open: []string{"/ready", "GET,POST /v1/ready/*"}},
	})
	const metadata = "/.well-known/oauth-protected-resource"
	if resp := f.send(t, "GET", metadata); !strings.Contains(resp.body,
		`{"resource":"`+api+`","authorization_servers":["https://keys.example.com/v1/auth/oauth/acme"],"scopes_supported":[`) {
		t.Errorf("%s", resp.body)
	}
	bad := auth(own(), payload("gamma"))
	for _, lines := range [][]string{nil, {bad}} {
		got := f.send(t, "GET", "/v1/tiles", lines...).Header.Get("WWW-Authenticate")
		if !strings.Contains(got, `resource_metadata="`+api+metadata+`"`) {
			t.Error(got)
		}
	}
	key := auth(own(), payload("acme"))
	for _, tt := range envoytest.RouteCases(t, "../../deploy/envoy/testdata/routes.txt") {
		for _, lines := range [][]string{nil, {key}} {
			want, passed := tt.Without, f.reached()
			if lines != nil {
				want = tt.WithKey
			}
			resp := f.send(t, tt.Method, tt.Target, append(lines, "X-Burnkey-Owner: root")...)
			if reached := f.reached() > passed; resp.StatusCode != want || reached != (want == 200) {
				t.Errorf("%s %s, key %t: %d, reached the API: %t, want %d: %s",
					tt.Method, tt.Target, lines != nil, resp.StatusCode, reached, want, resp.body)
			}
			if want == 200 && lines == nil && f.last().Get("X-Burnkey-Owner") != "" {
				t.Errorf("%s %s: an open path passes on an owner", tt.Method, tt.Target)
			}
		}
	}
}
