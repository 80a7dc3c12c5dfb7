package extauthz

import (
	"fmt"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

// Package deploy/envoy tests the same in mode pull.
func TestEnvoyAccessLogAndTraces(t *testing.T) {
	t.Parallel()
	s, _ := follow(t, nil)
	addr, stop := listenFor(t, s, envoytest.FreeAddr(t))
	collector := envoytest.NewCollector(t)
	f := envoyWith(t, envoy.Config{Gateways: []string{addr}, Edge: envoy.Edge{
		AccessLog: true, OTLPEndpoint: collector.URL, Open: []string{"/healthz"},
		Routes: []envoy.Route{{Path: "/admin", Scopes: []string{"admin"}}},
	}})
	good, unknown := auth(own(), payload("acme")), auth(newPair(), payload("acme"))
	f.code(t, "/healthz?x=1")
	f.code(t, "/v1/tiles?x=1", good)
	f.code(t, "/v1/tiles", unknown)
	f.code(t, "/admin", good)
	f.code(t, "/v1/none")
	stop()
	f.code(t, "/v1/last", good)
	want := []string{
		"GET /healthz 200 open <nil> <nil> <nil>", "GET /v1/tiles 200 accepted key-1 cust_1 <nil>",
		"GET /v1/tiles 401 refused <nil> <nil> unknown",
		"GET /admin 403 refused <nil> <nil> scope", "GET /v1/none 401 refused <nil> <nil> <nil>", "GET /v1/last 503 refused <nil> <nil> <nil>",
	}
	eventually(t, "all requests are logged", func() bool { return len(f.AccessLog(t)) == len(want) })
	for i, line := range f.AccessLog(t) {
		got := fmt.Sprint(line["method"], " ", line["path"], " ", line["status"], " ", line["decision"], " ",
			line["key_id"], " ", line["owner"], " ", line["reason"])
		if got != want[i] {
			t.Errorf("%s: %v, want %s", got, line, want[i])
		}
	}
	eventually(t, "the collector has spans", func() bool {
		text := collector.Received()
		return strings.Contains(text, "/v1/none") && strings.Contains(text, "key-1")
	})
	for name, text := range map[string]string{"access log": f.Log(), "traces": collector.Received()} {
		for _, secret := range []string{good[60:100], unknown[60:100], "x=1"} {
			if strings.Contains(text, secret) {
				t.Errorf("the %s contains %s", name, secret)
			}
		}
	}
}
