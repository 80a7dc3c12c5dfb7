package extauthz

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/jwks"
)

// Package deploy/envoy tests the same in mode pull.
func TestEnvoyGRPC(t *testing.T) {
	t.Parallel()
	s, o := followFeed(t, nil)
	setLimits(o, jwks.Attributes{Limits: []jwks.Limit{{Name: "one", Requests: 1, Seconds: 3600}}})
	eventually(t, "the limits hold", func() bool { return ask(t, s, request("GET", own().Bearer("acme"))).status == 429 })
	addr, stop := listenFor(t, s, envoytest.FreeAddr(t))
	f := envoyWith(t, envoy.Config{Gateways: []string{addr}, Upstream: envoytest.GRPC(t), Edge: envoy.Edge{
		GRPC: true, Routes: []envoy.Route{{Path: "/grpc.health.v1.Health/Watch", Scopes: []string{"watch"}, Stream: true}},
	}})
	client := envoytest.NewGRPCClient(t, f.addr)
	good := own().Bearer("acme")
	expect := func(name string, want codes.Code, watch bool, key string) {
		t.Helper()
		call := client.Call
		if watch {
			call = client.Watch
		}
		got := call(t, key)
		if got.Code() != want || want != codes.OK && !strings.Contains(got.Message(), `"detail":`) {
			t.Errorf("%s: %s %q, want %s", name, got.Code(), got.Message(), want)
		}
	}
	expect("no key", codes.Unauthenticated, false, "")
	expect("an unknown key", codes.Unauthenticated, false, newPair().Bearer("acme"))
	expect("a scope is missing", codes.PermissionDenied, true, good)
	expect("over the limit", codes.ResourceExhausted, false, good)
	setLimits(o, jwks.Attributes{})
	eventually(t, "the limit is gone", func() bool { return client.Call(t, good).Code() == codes.OK })
	stop()
	expect("no gateway", codes.Unavailable, false, good)
}
