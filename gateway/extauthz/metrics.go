package extauthz

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/gateway"
)

// metrics have no label for the workspace: there may be ten thousand.
type metrics struct {
	decisions *prometheus.CounterVec
	seconds   prometheus.Histogram
	panics    prometheus.Counter
}

func newMetrics(g *gateway.Gateway, to prometheus.Registerer) *metrics {
	m := &metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "burnkey_gateway_decisions_total", Help: "Decisions by reason; ok: the request passed.",
		}, []string{"reason"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "burnkey_gateway_decision_seconds", Help: "Duration of decisions.",
			Buckets: prometheus.ExponentialBuckets(2e-6, 2, 16), // to 65 ms
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "burnkey_gateway_panics_total", Help: "Calls that failed because of a bug.",
		}),
	}
	if to != nil {
		to.MustRegister(m.decisions, m.seconds, m.panics, &collector{g})
	}
	return m
}

func (m *metrics) decided(reason string, took time.Duration) {
	m.decisions.WithLabelValues(reason).Inc()
	m.seconds.Observe(took.Seconds())
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("burnkey_gateway_"+name, help, labels, nil)
}

var (
	descWorkspaces = describe("workspaces", "Workspaces whose tokens are accepted.")
	descUnready    = describe("workspaces_unready", "Workspaces without keys.")
	descStale      = describe("workspaces_stale", "Workspaces with keys older than --max-staleness.")
	descPolling    = describe("workspaces_polling", "Workspaces that do not receive changes as a stream.")
	descKeys       = describe("keys", "Published keys of all workspaces.")
	descVersion    = describe("version_min", "Lowest version of a workspace's set.")
	descVersions   = describe("versions_sum", "Sum of the versions of all sets; it grows with every change.")
	descAge        = describe("age_seconds_max", "Age of the oldest keys; -1: no workspace has keys; +Inf: some age is unknown.")
	descIssuer     = describe("issuer_mismatch", "1 if the server has another issuer than the gateway expects: all tokens are refused.")
	descUses       = describe("usage_pending", "Keys whose latest use has not been reported.")
	descErrors     = describe("state_errors", "Failed writes of state files of the current workspaces.")
	descList       = describe("list_failures_total", "Failed requests of the list of workspaces.")
	descReports    = describe("usage_reports_total", "Usage reports by result; only ok ones are complete.", "result")
)

// collector exports gateway.Stats.
type collector struct{ g *gateway.Gateway }

func (c *collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := c.g.Stats()
	for _, m := range []struct {
		desc  *prometheus.Desc
		value float64
	}{
		{descWorkspaces, float64(s.Workspaces)},
		{descUnready, float64(s.Unready)},
		{descStale, float64(s.Stale)},
		{descPolling, float64(s.Polling)},
		{descKeys, float64(s.Keys)},
		{descVersion, float64(s.MinVersion)},
		{descVersions, float64(s.Versions)},
		{descAge, seconds(s.MaxAge)},
		{descIssuer, count(s.WrongIssuer)},
		{descUses, float64(s.PendingUses)},
		{descErrors, float64(s.StateFailures)},
	} {
		ch <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, m.value)
	}
	ch <- prometheus.MustNewConstMetric(descList, prometheus.CounterValue, float64(s.ListFailures))
	for result, n := range s.UsageReports {
		ch <- prometheus.MustNewConstMetric(descReports, prometheus.CounterValue, float64(n), result)
	}
}

func seconds(age time.Duration) float64 {
	switch {
	case age < 0:
		return -1
	case age == math.MaxInt64:
		return math.Inf(1)
	}
	return age.Seconds()
}

func count(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
