package authz_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/authz"
)

// reaping runs Reap until the test ends.
func (s *server) reaping(o authz.ReapOptions) *prometheus.Registry {
	s.t.Helper()
	metrics := prometheus.NewRegistry()
	o.Every, o.Metrics = time.Millisecond, metrics
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Reap(ctx, o)
	}()
	s.t.Cleanup(func() {
		cancel()
		<-done
	})
	return metrics
}

func lag(t *testing.T, metrics *prometheus.Registry) float64 {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "burnkey_reap_lag_seconds" {
		t.Fatal(families, err)
	}
	return families[0].GetMetric()[0].GetGauge().GetValue()
}

// While the database does not answer, the metric is what tells of it.
func TestReapLagIsNotHealedByAFailure(t *testing.T) {
	for _, broken := range [][]string{{"Retire"}, {"Retire", "NextDue"}} {
		s := newServer(t)
		s.workspace("acme")
		issued := s.issue("acme", authz.IssueRequest{ExpiresIn: seconds(60)})
		metrics := s.reaping(authz.ReapOptions{})
		eventually(t, "Reap looks", func() bool { return s.store.called("NextDue") > 1 })
		for _, method := range broken {
			s.store.fail(method)
		}
		s.clock.advance(90 * time.Second)
		seen := s.store.called("NextDue")
		eventually(t, "Reap fails", func() bool { return s.store.called("NextDue") > seen+2 })
		if got := lag(t, metrics); got < 30 || got > 31 {
			t.Errorf("without %v the lag is %v s", broken, got)
		}
		s.store.heal()
		eventually(t, "it is made up for", func() bool { return !s.publishes("acme", issued.KID) && lag(t, metrics) == 0 })
	}
}

// A start has no time for all of a long list.
func TestReapDueEndsWithItsContext(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	for range 3 {
		s.issue("acme", authz.IssueRequest{ExpiresIn: seconds(60)})
	}
	s.clock.advance(time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	s.store.hook("Retire", func(context.Context) error { cancel(); return nil })
	if _, err := s.ReapDue(ctx); !errors.Is(err, context.Canceled) || s.store.called("Retire") != 1 {
		t.Errorf("%v, after %d keys", err, s.store.called("Retire"))
	}
	// The one that was begun is done with, the others are next.
	if keys := s.set("acme").Len(); keys != 3 {
		t.Errorf("%d keys are published", keys)
	}
	if _, err := s.ReapDue(t.Context()); err != nil || s.set("acme").Len() != 1 {
		t.Error("they were not made up for:", err)
	}
}

// However many sessions are deleted, and however slowly, keys leave in time.
func TestReapDoesNotWaitForSessions(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.store.hook("PruneSessions", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	issued := s.issue("acme", authz.IssueRequest{ExpiresIn: seconds(60)})
	s.reaping(authz.ReapOptions{PruneEvery: time.Millisecond})
	eventually(t, "sessions are being deleted", func() bool { s.clock.advance(time.Millisecond); return s.store.called("PruneSessions") > 0 })
	s.clock.advance(time.Minute)
	eventually(t, "the key leaves", func() bool { return !s.publishes("acme", issued.KID) })
}
