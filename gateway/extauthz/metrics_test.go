package extauthz

import (
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/burnkey/burnkey/gateway"
)

func TestMetrics(t *testing.T) {
	metrics := prometheus.NewPedanticRegistry()
	s, _ := followTo(t, metrics, nil)
	ask(t, s, request("GET"))
	ask(t, s, request("GET", "Bearer x"))
	ask(t, s, with(request("GET"), map[string]string{"x": "y"}))
	for range 3 {
		ask(t, s, request("GET", own().Bearer("acme")))
	}
	const want = `
# HELP burnkey_gateway_decisions_total Decisions by reason; ok: the request passed.
# TYPE burnkey_gateway_decisions_total counter
burnkey_gateway_decisions_total{reason="configuration"} 1
burnkey_gateway_decisions_total{reason="malformed"} 1
burnkey_gateway_decisions_total{reason="no_token"} 1
burnkey_gateway_decisions_total{reason="ok"} 3
# HELP burnkey_gateway_keys Published keys of all workspaces.
# TYPE burnkey_gateway_keys gauge
burnkey_gateway_keys 4
# HELP burnkey_gateway_version_min Lowest version of a workspace's set.
# TYPE burnkey_gateway_version_min gauge
burnkey_gateway_version_min 2
# HELP burnkey_gateway_workspaces Workspaces whose tokens are accepted.
# TYPE burnkey_gateway_workspaces gauge
burnkey_gateway_workspaces 2
`
	if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), "burnkey_gateway_decisions_total",
		"burnkey_gateway_keys", "burnkey_gateway_version_min", "burnkey_gateway_workspaces"); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]int{
		"burnkey_gateway_decision_seconds": 1, "burnkey_gateway_age_seconds_max": 1, "burnkey_gateway_issuer_mismatch": 1,
		"burnkey_gateway_workspaces_stale": 1, "burnkey_gateway_usage_reports_total": 4,
	} {
		if n, err := testutil.GatherAndCount(metrics, name); n != want || err != nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}

func TestSeconds(t *testing.T) {
	for age, want := range map[time.Duration]float64{-1: -1, 0: 0, 90 * time.Second: 90, math.MaxInt64: math.Inf(1)} {
		if got := seconds(age); got != want {
			t.Errorf("%s: %v, want %v", age, got, want)
		}
	}
}

// TestMetricsAreDocumented checks that every metric on the operator's page exists.
func TestMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/howto/gateways/gateway-service.md")
	check(t, err)
	metrics := prometheus.NewRegistry()
	s, _ := followTo(t, metrics, nil)
	ask(t, s, request("GET"))
	families, err := metrics.Gather()
	check(t, err)
	known := map[string]bool{}
	for _, family := range families {
		known[family.GetName()] = true
	}
	for _, part := range strings.Split(string(text), "`burnkey_gateway")[1:] {
		name := "burnkey_gateway" + part[:strings.IndexAny(part, "`{")]
		if name != "burnkey_gateway" && !known[name] {
			t.Errorf("there is no metric %s", name)
		}
	}
}

func reportHourly(o *gateway.Options) {
	o.UsageEvery, o.UsageKey = gateway.MaxUsageEvery, func() (string, error) { return "x", nil }
}
