package envoy_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

// Package extauthz tests the same in mode gateway.
func TestGRPC(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "acme-live-"} {
		t.Run("prefix "+prefix, func(t *testing.T) { testGRPC(t, prefix) })
	}
}

func testGRPC(t *testing.T, prefix string) {
	t.Parallel()
	keys, k := newKeyServer(t), newKey(t)
	keys.publish("acme", k)
	c := oneSecond
	c.Server, c.Upstream, c.GRPC, c.MaxBody, c.TokenPrefix = keys.url(), envoytest.GRPC(t), true, "1MiB", prefix
	c.SignedLimits, c.Origins = []string{"2/day"}, []string{"https://app.example.com"}
	c.Routes = []envoy.Route{{Path: "/grpc.health.v1.Health/Watch", Scopes: []string{"watch"}, Stream: true}}
	g := startGateway(t, c, keys)
	client := envoytest.NewGRPCClient(t, g.addr)
	good := "Bearer " + prefix + k.token(t, claims(c.Issuer("acme"), "rate_limit", limitClaim(2, "DAY")))
	for _, tt := range []struct {
		name, key string
		watch     bool
		want      codes.Code
	}{
		{"no key", "", false, codes.Unauthenticated},
		{"no key, to a stream", "", true, codes.Unauthenticated},
		{"an unknown key", "Bearer " + prefix + newKey(t).token(t, claims(c.Issuer("acme"))), false, codes.Unauthenticated},
		{"a good key", good, false, codes.OK},
		{"a scope is missing", good, true, codes.PermissionDenied},
		{"the scope", "Bearer " + prefix + k.token(t, claims(c.Issuer("acme"), "scope", "watch")), true, codes.OK},
		{"again", good, false, codes.OK},
		{"over the limit", good, false, codes.ResourceExhausted},
	} {
		call := client.Call
		if tt.watch {
			call = client.Watch
		}
		got := call(t, tt.key)
		if got.Code() != tt.want || tt.want != codes.OK && !strings.Contains(got.Message(), `"detail":`) {
			t.Errorf("%s: %s %q, want %s", tt.name, got.Code(), got.Message(), tt.want)
		}
	}
	// gRPC-Web: an empty message in its frame. The status is in the body, or in the headers of a refusal.
	web := func(key string) response {
		return g.send(t, "POST", "/grpc.health.v1.Health/Check", key, "Content-Type: application/grpc-web+proto", "X-Grpc-Web: 1",
			"Origin: https://app.example.com", "Content-Length: 5", "", "\x00\x00\x00\x00\x00")
	}
	resp := web(bearer(prefix + k.token(t, claims(c.Issuer("acme"), "jti", "web"))))
	if resp.StatusCode != 200 || !strings.Contains(resp.body, "grpc-status:0") ||
		!strings.Contains(resp.Header.Get("Access-Control-Expose-Headers"), "Grpc-Status") {
		t.Errorf("gRPC-Web: %d %v %q", resp.StatusCode, resp.Header, resp.body)
	}
	resp = web("Accept: */*")
	if resp.Header.Get("Grpc-Status") != "16" && !strings.Contains(resp.body, "grpc-status:16") {
		t.Errorf("gRPC-Web without a key: %d %v %q", resp.StatusCode, resp.Header, resp.body)
	}
	if g.Log() != "" {
		t.Errorf("envoy warns:\n%s", g.Log())
	}
}
