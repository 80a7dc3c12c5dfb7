package gateway

import (
	"errors"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/jwks"
)

// passed is the reason of a decision that lets pass.
const passed = "ok"

// metrics have no label that names a workspace: there may be ten thousand.
type metrics struct {
	decisions    *prometheus.CounterVec
	seconds      prometheus.Histogram
	panics       prometheus.Counter
	listFailures prometheus.Counter
	reports      *prometheus.CounterVec
}

func newMetrics(g *Gateway, to prometheus.Registerer) *metrics {
	m := &metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "burnkey_gateway_decisions_total", Help: "Requests judged, by reason; ok passed.",
		}, []string{"reason"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "burnkey_gateway_decision_seconds", Help: "Time to judge a request.",
			Buckets: prometheus.ExponentialBuckets(2e-6, 2, 16), // to 65 ms
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "burnkey_gateway_panics_total", Help: "Calls that failed by a fault of this program.",
		}),
		listFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "burnkey_gateway_list_failures_total", Help: "Failures to list the workspaces.",
		}),
		reports: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "burnkey_gateway_usage_reports_total", Help: "Reports of which keys were used, by result; only ok ones are done.",
		}, []string{"result"}),
	}
	for _, result := range []string{reported, reportFailed, reportRefused, reportRejected} {
		m.reports.WithLabelValues(result)
	}
	if to != nil {
		to.MustRegister(m.decisions, m.seconds, m.panics, m.listFailures, m.reports, &state{g})
	}
	return m
}

func (m *metrics) decided(reason string, took time.Duration) {
	m.decisions.WithLabelValues(reason).Inc()
	m.seconds.Observe(took.Seconds())
}

func describe(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("burnkey_gateway_"+name, help, nil, nil)
}

var (
	descWorkspaces = describe("workspaces", "Workspaces whose tokens are judged.")
	descUnready    = describe("workspaces_unready", "Those of them that have no keys yet.")
	descStale      = describe("workspaces_stale", "Those whose keys are older than --max-staleness.")
	descPolling    = describe("workspaces_polling", "Those that do not get changes as they are made.")
	descKeys       = describe("keys", "Published keys known, of all workspaces.")
	descVersion    = describe("version_min", "The lowest version among the workspaces' sets.")
	descVersions   = describe("versions_sum", "The sum of the versions of all sets: it grows with every change seen.")
	descAge        = describe("age_seconds_max", "How long ago the keys of the workspace that lags most were known to be current; -1 where none are known, +Inf where that is not known of some.")
	descIssuer     = describe("issuer_mismatch", "1 where the server's tokens are of another issuer than is accepted, so that all are refused.")
	descUses       = describe("usage_pending", "Keys whose latest use is still to be reported.")
	descErrors     = describe("state_errors", "Failures to write state files of the workspaces followed now.")
)

// state collects how the tenants are doing, when asked.
type state struct{ g *Gateway }

func (s *state) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(s, ch) }

func (s *state) Collect(ch chan<- prometheus.Metric) {
	var unready, stale, polling, keys, versions, uses, stateErrors float64
	if known := s.g.roster.Load(); known != nil {
		unready = float64(known.unfollowed)
	}
	low, age := uint64(math.MaxUint64), time.Duration(-1)
	tenants := s.g.all()
	for _, t := range tenants {
		status := t.follower.Status()
		err := status.Usable(s.g.o.MaxStaleness)
		unready += count(errors.Is(err, jwks.ErrNotReady))
		stale += count(errors.Is(err, jwks.ErrStale))
		polling += count(!status.Streaming)
		keys += float64(status.Keys)
		versions += float64(status.Version)
		stateErrors += float64(status.StateErrors)
		if t.uses != nil {
			uses += float64(t.uses.pending.Load())
		}
		low = min(low, status.Version)
		if status.Ready {
			age = max(age, status.Age)
		}
	}
	seconds := age.Seconds()
	switch {
	case age < 0:
		seconds = -1
	case age == math.MaxInt64:
		seconds = math.Inf(1)
	}
	if len(tenants) == 0 {
		low = 0
	}
	for _, m := range []struct {
		desc  *prometheus.Desc
		value float64
	}{
		{descWorkspaces, float64(len(tenants))},
		{descUnready, unready},
		{descStale, stale},
		{descPolling, polling},
		{descKeys, keys},
		{descVersion, float64(low)},
		{descVersions, versions},
		{descAge, seconds},
		{descIssuer, count(s.g.wrongIssuer.Load() != nil)},
		{descUses, uses},
		{descErrors, stateErrors},
	} {
		ch <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, m.value)
	}
}

func count(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
