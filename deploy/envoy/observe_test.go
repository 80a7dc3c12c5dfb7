package envoy_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

// The access log and the traces say which key was used and why a request was refused, and contain no key. Package extauthz
// tests the same in mode gateway.
func TestAccessLogAndTraces(t *testing.T) {
	t.Parallel()
	keys, k := newKeyServer(t), newKey(t)
	keys.publish("acme", k)
	collector := envoytest.NewCollector(t)
	c := oneSecond
	c.Server, c.AccessLog, c.OTLPEndpoint, c.Open = keys.url(), true, collector.URL, []string{"/healthz", "/api/403"}
	c.Routes = []envoy.Route{
		{Path: "/admin", Scopes: []string{"admin"}},
		{Path: "/posts", Methods: []string{"POST"}, Scopes: []string{"admin"}},
	}
	c.Places, _ = jwks.ParsePlaces("bearer", "query:api_key")
	g := startGateway(t, c, keys)
	good, unknown := k.token(t, claims(c.Issuer("acme"))), newKey(t).token(t, claims(c.Issuer("acme")))
	g.get(t, "/healthz?x=1")
	g.get(t, "/v1/tiles?x=1", bearer(good))
	g.get(t, "/v1/query?api_key="+good)
	g.get(t, "/v1/query?api_key="+unknown)
	g.get(t, "/admin?x=1", bearer(good))
	g.get(t, "/v1/none")
	g.get(t, "/healthz", "x_y: 1")
	g.get(t, "/healthz", "Connection: upgrade", "Upgrade: websocket")
	g.send(t, "DELETE", "/posts", bearer(good))
	g.get(t, "/api/403") // by the API
	want := []string{
		"GET /healthz 200 open <nil> <nil>", "GET /v1/tiles 200 accepted 0190-key cust_1", "GET /v1/query 200 accepted 0190-key cust_1",
		"GET /v1/query 401 refused <nil> <nil>", "GET /admin 403 refused 0190-key cust_1", "GET /v1/none 401 refused <nil> <nil>",
		"<nil> <nil> 400 refused <nil> <nil>", "GET /healthz 403 refused <nil> <nil>", "DELETE /posts 405 refused 0190-key cust_1",
		"GET /api/403 403 open <nil> <nil>",
	}
	testkit.Eventually(t, "all requests are logged", func() bool { return len(g.AccessLog(t)) == len(want) })
	for i, line := range g.AccessLog(t) {
		got := fmt.Sprint(line["method"], " ", line["path"], " ", line["status"], " ", line["decision"], " ", line["key_id"], " ", line["owner"])
		if got != want[i] || line["client"] != "127.0.0.1" || line["details"] == nil ||
			line["decision"] != "refused" && (line["request_id"] == nil || line["trace_id"] == nil) {
			t.Errorf("%s: %v, want %s", got, line, want[i])
		}
	}
	testkit.Eventually(t, "the collector has spans", func() bool {
		return containsAll(collector.Received(), "/v1/traces", "url.path", "/v1/query", "burnkey.key_id", "0190-key", "/v1/none")
	})
	for name, text := range map[string]string{"access log": g.Log(), "traces": collector.Received()} {
		for _, secret := range []string{good[40:80], unknown[40:80], "api_key", "x=1"} {
			if strings.Contains(text, secret) {
				t.Errorf("the %s contains %s", name, secret)
			}
		}
	}
}

func TestTracingFlags(t *testing.T) {
	t.Parallel()
	half, two, nan := 0.5, 2.0, math.NaN()
	for _, tt := range []struct {
		flag, endpoint string
		ratio          *float64
	}{
		{"", "http://127.0.0.1:4318", nil},
		{"", "https://collector.example.com/otlp", &half},
		{"otlp-endpoint", "127.0.0.1:4318", nil},
		{"otlp-endpoint", "http://x?y", nil},
		{"trace-ratio", "", &half},
		{"trace-ratio", "http://127.0.0.1:4318", &two},
		{"trace-ratio", "http://127.0.0.1:4318", &nan},
	} {
		c := valid()
		c.OTLPEndpoint, c.TraceRatio = tt.endpoint, tt.ratio
		flag, bad := "", new(envoy.FieldError)
		if errors.As(c.Validate(), &bad) {
			flag = bad.Flag
		}
		if flag != tt.flag {
			t.Errorf("%s %v: refused by %q, want %q", tt.endpoint, tt.ratio, flag, tt.flag)
		}
	}
}
