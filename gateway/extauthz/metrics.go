package extauthz

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/gateway"
)

// metrics have no label for the workspace, since there may be ten thousand workspaces.
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

// Decided records a decision that another protocol was answered with.
func (s *Server) Decided(reason string, took time.Duration) { s.metrics.decided(reason, took) }

// Panicked records a call that failed because of a bug.
func (s *Server) Panicked() { s.metrics.panics.Inc() }

// collector exports gateway.Stats.
type collector struct{ g *gateway.Gateway }

func (c *collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	export := func(kind prometheus.ValueType, name, help string, value float64) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("burnkey_gateway_"+name, help, nil, nil), kind, value)
	}
	gauge := func(name, help string, value float64) { export(prometheus.GaugeValue, name, help, value) }
	s := c.g.Stats()
	gauge("workspaces", "Workspaces whose tokens are accepted.", float64(s.Workspaces))
	gauge("workspaces_unready", "Workspaces without keys.", float64(s.Unready))
	gauge("workspaces_stale", "Workspaces with keys older than --max-staleness.", float64(s.Stale))
	gauge("workspaces_polling", "Workspaces that do not receive changes as a stream.", float64(s.Polling))
	gauge("keys", "Published keys of all workspaces.", float64(s.Keys))
	gauge("version_min", "Lowest version of a workspace's set.", float64(s.MinVersion))
	gauge("versions", "Sum of the versions of all sets; it grows with every change.", float64(s.Versions))
	gauge("age_seconds_max", "Age of the oldest keys; -1: no workspace has keys; +Inf: some age is unknown.", seconds(s.MaxAge))
	gauge("issuer_mismatch", "1 if the server has another issuer than the gateway expects: all tokens are refused.", count(s.WrongIssuer))
	gauge("usage_pending", "Keys whose latest use has not been reported.", float64(s.PendingUses))
	gauge("state_errors", "Failed writes of state files of the current workspaces.", float64(s.StateFailures))
	gauge("limit_entries", "Counts in memory, one for each limit and subject in use.", float64(s.Limits.Entries))
	export(prometheus.CounterValue, "limit_evictions_total",
		"Counts that were dropped while in use because the memory for them was full: some requests passed too early.",
		float64(s.Limits.Evictions))
	export(prometheus.CounterValue, "limit_save_failures_total", "Failed writes of the counts of quotas to --state-dir.",
		float64(s.Limits.SaveFailures))
	for place, n := range s.Credentials {
		ch <- prometheus.MustNewConstMetric(descCredentials, prometheus.CounterValue, float64(n), place)
	}
	for result, n := range s.UsageReports {
		ch <- prometheus.MustNewConstMetric(descReports, prometheus.CounterValue, float64(n), result)
	}
}

var descCredentials = prometheus.NewDesc("burnkey_gateway_credentials_total", "Keys in requests by place, also invalid keys.",
	[]string{"place"}, nil)

var descReports = prometheus.NewDesc("burnkey_gateway_usage_reports_total", "Usage reports by result; only ok ones are complete.",
	[]string{"result"}, nil)

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
