package authz

import (
	"errors"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/burnkey/burnkey/authz/turns"
	"github.com/burnkey/burnkey/internal/pace"
)

// exchanges limits and counts exchanges.
type exchanges struct {
	queue   *turns.Queue
	paces   pace.Limiter // by key
	metrics exchangeMetrics
}

const (
	exchangesWaiting  = 1024 // two cores need less than a second for them
	exchangesPerOwner = 256  // also of an address
)

type exchangeMetrics struct {
	duration prometheus.Histogram
	refused  *prometheus.CounterVec
}

// newExchanges makes the queue. More exchanges than CPUs can be in progress, so that the signing process is never idle.
func newExchanges(registerer prometheus.Registerer, signers func() float64) *exchanges {
	x := &exchanges{queue: turns.New(turns.Limits{
		AtOnce: 2*runtime.GOMAXPROCS(0) + 2, Waiting: exchangesWaiting, PerOwner: exchangesPerOwner, PerCaller: exchangesPerOwner,
	})}
	create := promauto.With(registerer)
	x.metrics = exchangeMetrics{
		duration: create.NewHistogram(prometheus.HistogramOpts{
			Name: "burnkey_exchange_duration_seconds", Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2},
			Help: "Time that exchanges of a key for an access token took, with the wait for their turn.",
		}),
		refused: create.NewCounterVec(prometheus.CounterOpts{
			Name: "burnkey_exchange_failures_total",
			Help: "Exchanges without an access token, by reason: refused (the request or the key is invalid), limit (of the key), busy " +
				"(the queue was full), not_ready (no signing key is usable yet), failed.",
		}, []string{"reason"}),
	}
	for _, reason := range []string{"refused", "limit", "busy", "not_ready", "failed"} {
		x.metrics.refused.WithLabelValues(reason)
	}
	create.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "burnkey_exchange_signing_keys", Help: "Private keys of the exchange in this server's signing processes.",
	}, signers)
	return x
}

func (m *exchangeMetrics) observe(start time.Time, err error) {
	var (
		refused *ExchangeError
		busy    *ExchangeBusyError
		unready *NotReadyError
	)
	reason := "failed"
	switch {
	case err == nil:
		m.duration.Observe(time.Since(start).Seconds())
		return
	case errors.Is(err, ErrNoExchange):
		return
	case errors.As(err, &refused):
		reason = "refused"
	case errors.As(err, &busy) && busy.Limit:
		reason = "limit"
	case errors.As(err, &busy):
		reason = "busy"
	case errors.As(err, &unready):
		reason = "not_ready"
	}
	m.refused.WithLabelValues(reason).Inc()
}

// signingKeys returns the number of private keys.
func (s *Service) signingKeys() (n float64) {
	for _, w := range s.shifts.all() {
		s.shifts.mu.RLock()
		n += float64(len(w.signers))
		s.shifts.mu.RUnlock()
	}
	return n
}
