package gateway

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/burnkey/burnkey/gateway/limits"
	"github.com/burnkey/burnkey/gateway/limits/redis"
	"github.com/burnkey/burnkey/gateway/limits/redis/redistest"
	"github.com/burnkey/burnkey/jwks"
)

// sharingGateways returns two Gateways that count in the same Redis, and a function that reports whether both use it.
func sharingGateways(t *testing.T, s *redistest.Server, refuse bool) (both [2]*fixture, areUsing func() bool) {
	t.Helper()
	var counters [2]*redis.Counter
	for i := range both {
		both[i] = limitedGateway(t, func(o *Options) {
			o.LimitShare = 0.5
			o.Counter = func(local *limits.Local) (_ limits.Counter, err error) {
				counters[i], err = redis.New(redis.Options{
					URL: s.URL(), Local: local, Refuse: refuse, Timeout: 10 * time.Second, Log: slog.New(slog.DiscardHandler),
				})
				return counters[i], err
			}
		})
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { counters[i].Run(ctx) })
		t.Cleanup(func() { cancel(); running.Wait() })
	}
	areUsing = func() bool { return counters[0].Usable() && counters[1].Usable() }
	eventually(t, "Redis is used", areUsing)
	return both, areUsing
}

// load makes requests at both Gateways until it is stopped, and then returns how many passed.
func load(t *testing.T, both [2]*fixture, in Request) (stop func() int64, passed, over *atomic.Int64) {
	passed, over = new(atomic.Int64), new(atomic.Int64)
	var isOver atomic.Bool
	var callers sync.WaitGroup
	for _, f := range both {
		for range 4 {
			callers.Go(func() {
				for !isOver.Load() {
					switch d := f.Decide(t.Context(), in); d.Refusal {
					case nil:
						passed.Add(1)
					case jwks.OverLimit:
						over.Add(1)
					}
				}
			})
		}
	}
	return func() int64 {
		isOver.Store(true)
		callers.Wait()
		return passed.Load()
	}, passed, over
}

// TestGatewaysShareLimits has a limit on each dimension in turn, at two Gateways under concurrent load.
func TestGatewaysShareLimits(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	const allowed = 300
	for name, a := range dimensions(allowed) {
		both, _ := sharingGateways(t, s, true)
		for _, f := range both {
			f.set(t, a.Attributes, a.sets...)
		}
		stop, _, over := load(t, both, everywhere())
		eventually(t, name+": many requests are refused", func() bool { return over.Load() >= allowed })
		if n := stop(); n != allowed {
			t.Errorf("%s: %d requests passed, want %d", name, n, allowed)
		}
	}
}

// TestRedisRestartsUnderLoad kills Redis while half of a limit is used, and starts it again without its data.
func TestRedisRestartsUnderLoad(t *testing.T) {
	t.Parallel()
	const allowed, slack = 2000, 2000 / 20
	for on, refuse := range map[string]bool{"owner": false, "quota": true} {
		s := redistest.Start(t)
		both, areUsing := sharingGateways(t, s, refuse)
		for _, f := range both {
			f.set(t, dimensions(allowed)[on].Attributes, dimensions(allowed)[on].sets...)
		}
		stop, passed, over := load(t, both, everywhere())
		eventually(t, "half of the limit is used", func() bool { return passed.Load() >= allowed/2 })
		s.Kill()
		eventually(t, "Redis is away", func() bool { return !areUsing() })
		s.Run(t)
		eventually(t, "Redis is used again", areUsing)
		before := over.Load()
		eventually(t, "many requests are refused", func() bool { return over.Load() >= before+allowed/2 })
		n := stop()
		t.Logf("%s, refuse %t: %d of %d requests passed", on, refuse, n, allowed)
		least := int64(allowed - 2*slack) // counting alone loses what one has left of its share when Redis returns
		if refuse {
			least = allowed - slack
		}
		if n < least || n > allowed+slack {
			t.Errorf("%s, refuse %t: %d requests passed, want %d to %d", on, refuse, n, least, allowed+slack)
		}
	}
}
