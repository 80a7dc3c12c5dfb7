package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/gateway/limits"
	"github.com/burnkey/burnkey/gateway/limits/redis"
)

// sharedLimits is the configuration of limits that gateways share.
type sharedLimits struct {
	url, down string
	counter   *redis.Counter // nil: gateways share none
}

func (s *sharedLimits) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.url, "redis", "",
		"`URL` of a Redis or Valkey in which gateways share the counts of limits: redis://HOST:PORT, or rediss:// for TLS (default none)")
	cmd.Flags().StringVar(&s.down, "redis-down", "",
		"what to do with requests that have limits while Redis is away: local (count alone) or refuse (default local)")
	choices(cmd, "redis-down", "local", "refuse")
}

// validate checks the flags.
func (s *sharedLimits) validate() error {
	switch {
	case s.down != "" && s.down != "local" && s.down != "refuse":
		return fmt.Errorf("--redis-down: must be local or refuse")
	case s.url == "" && s.down != "":
		return fmt.Errorf("--redis-down: has no effect without --redis")
	case s.url == "":
		return nil
	}
	if err := redis.CheckURL(s.url); err != nil {
		return fmt.Errorf("--redis: %w", err)
	}
	return nil
}

// open sets the counter, which counts with local while Redis is away.
func (s *sharedLimits) open(local *limits.Local, metrics prometheus.Registerer, log *slog.Logger) (*redis.Counter, error) {
	make := promauto.With(metrics)
	seconds := make.NewHistogram(prometheus.HistogramOpts{
		Name: "burnkey_gateway_redis_seconds", Help: "Duration of Redis' decisions about limits.",
		Buckets: prometheus.ExponentialBuckets(5e-5, 2, 11), // to 51 ms
	})
	failures := make.NewCounter(prometheus.CounterOpts{
		Name: "burnkey_gateway_redis_failures_total", Help: "Decisions about limits that Redis failed to make.",
	})
	counter, err := redis.New(redis.Options{
		URL: s.url, Local: local, Refuse: s.down == "refuse", Log: log, Observe: func(took time.Duration, err error) {
			if err != nil {
				failures.Inc()
				return
			}
			seconds.Observe(took.Seconds())
		},
	})
	if err != nil {
		return nil, fmt.Errorf("--redis: %w", err)
	}
	make.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "burnkey_gateway_redis_up", Help: "1 if limits are counted in Redis, 0 while it is away.",
	}, func() float64 {
		if counter.Usable() {
			return 1
		}
		return 0
	})
	s.counter = counter
	return counter, nil
}

// run runs the counter, if there is one, until ctx ends.
func (s *sharedLimits) run(ctx context.Context) {
	if s.counter != nil {
		s.counter.Run(ctx)
	}
}

func (s *sharedLimits) announce(log *slog.Logger, share float64) {
	switch {
	case s.url == "":
	case s.down == "refuse":
		log.Info("limits are counted in Redis; while it is away, requests with limits are refused with 503")
	case share == 1:
		log.Warn("limits are counted in Redis; while it is away, each gateway allows them in full; --limit-share divides them")
	default:
		log.Info("limits are counted in Redis; while it is away, this gateway allows its share of them", "share", share)
	}
}
