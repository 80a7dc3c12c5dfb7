package mint

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/burnkey/burnkey/authz/turns"
)

type metrics struct {
	wait, duration prometheus.Histogram
	running        prometheus.Gauge
	failures       *prometheus.CounterVec
	turnedAway     *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer, queued func() int) metrics {
	buckets := []float64{.01, .025, .05, .1, .2, .4, .8, 1.6, 3.2, 6.4, 12.8, 25.6}
	create := promauto.With(registerer)
	m := metrics{
		wait: create.NewHistogram(prometheus.HistogramOpts{
			Name: "burnkey_mint_wait_seconds", Buckets: buckets,
			Help: "Time that requests for a key waited for a minting process.",
		}),
		duration: create.NewHistogram(prometheus.HistogramOpts{
			Name: "burnkey_mint_duration_seconds", Buckets: buckets,
			Help: "Time that minting processes which made a key took.",
		}),
		running: create.NewGauge(prometheus.GaugeOpts{
			Name: "burnkey_mint_running",
			Help: "Minting processes that run now.",
		}),
		failures: create.NewCounterVec(prometheus.CounterOpts{
			Name: "burnkey_mint_failures_total",
			Help: "Keys not made, by reason: busy (the queue was full), cancelled (the client left or lost its rights), failed.",
		}, []string{"reason"}),
		turnedAway: create.NewCounterVec(prometheus.CounterOpts{
			Name: "burnkey_mint_turned_away_total",
			Help: "Requests for a key turned away from the queue, by the limit that was reached: owner, caller (a management key or " +
				"session), queue (all).",
		}, []string{"reason"}),
	}
	for _, reason := range []string{"busy", "cancelled", "failed"} {
		m.failures.WithLabelValues(reason)
	}
	for _, reason := range []string{turns.OwnerFull, turns.CallerFull, turns.QueueFull} {
		m.turnedAway.WithLabelValues(reason)
	}
	create.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "burnkey_mint_queue_length",
		Help: "Requests for a key that wait for a minting process now.",
	}, func() float64 { return float64(queued()) })
	return m
}

func (m *metrics) failed(err error) {
	reason := "failed"
	switch {
	case errors.Is(err, ErrBusy):
		reason = "busy"
	case !errors.Is(err, ErrFailed):
		reason = "cancelled"
	}
	m.failures.WithLabelValues(reason).Inc()
}
