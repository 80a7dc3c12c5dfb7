package redis

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/burnkey/burnkey/gateway/limits"
	"github.com/burnkey/burnkey/gateway/limits/redis/redistest"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

// hammer takes requests from all counters, by several callers each, until it is stopped, and returns what passed. After
// stop, the callers go on until the rule refuses one of them, so the load exceeds the rule even on a busy machine.
func hammer(t *testing.T, rule limits.Rule, counters ...*Counter) (stop func() (passed int64, took time.Duration)) {
	var count, refused atomic.Int64
	var end atomic.Bool
	var running sync.WaitGroup
	began := time.Now()
	for _, c := range counters {
		for range 4 {
			running.Go(func() {
				var states [1]limits.State
				pause := time.NewTicker(200 * time.Microsecond)
				defer pause.Stop()
				for !end.Load() {
					passes, err := c.Take(t.Context(), time.Now(), 1, []limits.Rule{rule}, states[:])
					switch {
					case err != nil && !errors.Is(err, limits.ErrUnavailable):
						t.Error(err)
						return
					case err == nil && passes:
						count.Add(1)
					case err == nil:
						refused.Add(1)
					}
					<-pause.C
				}
			})
		}
	}
	return func() (int64, time.Duration) {
		defer end.Store(true)
		before := refused.Load()
		testkit.Within(t, time.Minute, "the rule refuses a request", func() bool { return refused.Load() > before })
		end.Store(true)
		running.Wait()
		return count.Load(), time.Since(began)
	}
}

// after waits until a time has passed, without sleeping in one piece.
func after(t *testing.T, d time.Duration) {
	t.Helper()
	deadline := time.Now().Add(d)
	testkit.Within(t, d+time.Minute, "time passes", func() bool { return time.Now().After(deadline) })
}

func within(t *testing.T, what string, got int64, least, most float64) {
	t.Helper()
	t.Logf("%s: %d requests passed, the rule is about %.0f", what, got, most/1.05)
	if float64(got) < least || float64(got) > most {
		t.Errorf("%s: %d requests passed, want %.0f to %.0f", what, got, least, most)
	}
}

func TestGatewaysShareARule(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	a, b := newCounter(t, s, nil), newCounter(t, s, nil)
	rate, quota := perSeconds(1000, 10), per(jwks.Month, 700)
	stop := hammer(t, rate, a, b)
	after(t, time.Second)
	n, took := stop()
	rule := 1000 + 100*took.Seconds()
	within(t, "a rate", n, 0.5*rule, 1.05*rule)
	n, _ = hammer(t, quota, a, b)()
	within(t, "a quota", n, 700, 700)
}

// TestRestart kills Redis under load and starts it again without its data.
func TestRestart(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]bool{"local": false, "refuse": true} {
		for kind, rule := range map[string]limits.Rule{"rate": perSeconds(1000, 10), "quota": per(jwks.Month, 1000)} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				s := redistest.Start(t)
				set := func(o *Options) { o.Refuse, o.Local = refuse, newLocal(t, 0.5) }
				a, b := newCounter(t, s, set), newCounter(t, s, set)
				stop := hammer(t, rule, a, b)
				after(t, 30*time.Millisecond)
				s.Kill()
				after(t, 300*time.Millisecond)
				s.Run(t)
				testkit.Eventually(t, "Redis is used again", func() bool { return a.Usable() && b.Usable() })
				after(t, time.Second)
				n, took := stop()
				allowed := 1000 + 100*took.Seconds()
				if rule.Limit.Calendar != "" {
					allowed = 1000
				}
				// A gateway loses the rest of its share when Redis returns.
				within(t, name, n, 0.25*allowed, 1.05*allowed)
			})
		}
	}
}

func TestLostScriptIsLoadedAgain(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	var failures atomic.Int64
	c := newCounter(t, s, func(o *Options) {
		o.Observe = func(_ time.Duration, err error) {
			if err != nil {
				failures.Add(1)
			}
		}
	})
	rule := per(jwks.Month, 100)
	if n := passed(t, c, 60, rule); n != 60 {
		t.Fatalf("%d of 60 requests pass", n)
	}
	check(t, connect(t, s).ScriptFlush(t.Context()).Err())
	if n := passed(t, c, 60, rule); n != 40 || failures.Load() != 0 {
		t.Errorf("%d of 60 requests pass, with %d failures; want 40 and none", n, failures.Load())
	}
}

// TestSilentRedis pauses Redis: connections stay open, and nothing is answered.
func TestSilentRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	const timeout = time.Second
	c := newCounter(t, s, func(o *Options) { o.Timeout, o.Refuse = timeout, true })
	rule := per(jwks.Month, 1000)
	if n := passed(t, c, 1, rule); n != 1 {
		t.Fatal("no request passes")
	}
	s.Pause(t)
	var states [1]limits.State
	take := func() (time.Duration, error) {
		began := time.Now()
		_, err := c.Take(t.Context(), time.Now(), 1, []limits.Rule{rule}, states[:])
		return time.Since(began), err
	}
	took, err := take()
	if !errors.Is(err, limits.ErrUnavailable) || took < timeout/2 || took > timeout+20*time.Second {
		t.Errorf("the first decision took %v: %v", took, err)
	}
	testkit.Eventually(t, "Redis is away", func() bool { return !c.Usable() })
	if took, err = take(); !errors.Is(err, limits.ErrUnavailable) || took > timeout {
		t.Errorf("a later decision took %v: %v", took, err)
	}
	s.Resume(t)
	testkit.Eventually(t, "Redis is used again", c.Usable)
}

// TestReplicaIsNotUsed makes Redis a replica, as a failover does with the old primary.
func TestReplicaIsNotUsed(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	client := connect(t, s)
	c := newCounter(t, s, nil)
	rule := per(jwks.Month, 10)
	if n := passed(t, c, 4, rule); n != 4 {
		t.Fatalf("%d of 4 requests pass", n)
	}
	check(t, client.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err())
	if n := passed(t, c, 3, rule); n != 3 || c.Usable() {
		t.Errorf("%d of 3 requests pass, and the replica is used: %t", n, c.Usable())
	}
	check(t, client.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err())
	testkit.Eventually(t, "Redis is used again", c.Usable)
	if n := passed(t, c, 10, rule); n != 3 {
		t.Errorf("%d requests pass, want the 3 that were left", n)
	}
}

// TestLocalContinues checks that an outage begins with what Redis last said, not with a new burst.
func TestLocalContinues(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := newCounter(t, s, func(o *Options) { o.Local = newLocal(t, 0.5) })
	rate, quota := perSeconds(10, 3600), per(jwks.Month, 10)
	if n := passed(t, c, 8, rate, quota); n != 8 {
		t.Fatalf("%d of 8 requests pass", n)
	}
	s.Kill()
	testkit.Eventually(t, "Redis is away", func() bool {
		var states [1]limits.State
		_, err := c.Take(t.Context(), time.Now(), 0, []limits.Rule{rate}, states[:])
		check(t, err)
		return !c.Usable()
	})
	if n := passed(t, c, 10, rate); n != 1 { // half of the 2 that were left
		t.Errorf("%d requests of a rate pass, want 1", n)
	}
	if n := passed(t, c, 10, quota); n != 1 {
		t.Errorf("%d requests of a quota pass, want 1", n)
	}
	s.Run(t) // without its data
	testkit.Eventually(t, "Redis is used again", c.Usable)
	if n := passed(t, c, 10, rate); n > 1 {
		t.Errorf("%d requests of a rate pass after the return, want at most 1", n)
	}
	if n := passed(t, c, 10, quota); n > 1 {
		t.Errorf("%d requests of a quota pass after the return, want at most 1", n)
	}
}

// TestFullQueue has more decisions wait than have room. The first ones give up, and are then not sent any more.
func TestFullQueue(t *testing.T) {
	t.Parallel()
	c, err := New(Options{URL: "redis://127.0.0.1:1", Local: newLocal(t, 1), Timeout: 10 * time.Millisecond})
	check(t, err)
	var timeouts, busy atomic.Int64
	var running sync.WaitGroup
	for range maxWaiting + 10 {
		running.Go(func() {
			d := &decision{done: make(chan struct{})}
			switch err := c.wait(t.Context(), d); {
			case errors.Is(err, errTimeout):
				timeouts.Add(1)
			case errors.Is(err, errBusy):
				busy.Add(1)
			}
		})
	}
	running.Wait()
	if timeouts.Load() != maxWaiting || busy.Load() != 10 {
		t.Errorf("%d decisions gave up and %d found no room, want %d and 10", timeouts.Load(), busy.Load(), maxWaiting)
	}
	late := &decision{}
	<-c.queue
	c.queue <- late
	if batch := c.collect([]*decision{<-c.queue}); len(batch) != 1 || batch[0] != late {
		t.Errorf("%d decisions are sent, want the one whose caller waits", len(batch))
	}
}
