package redis

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/burnkey/burnkey/gateway/limits"
	"github.com/burnkey/burnkey/gateway/limits/redis/redistest"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

var check = testkit.Check

func newLocal(t testing.TB, share float64) *limits.Local {
	t.Helper()
	l, err := limits.NewLocal(limits.LocalOptions{Share: share, Log: slog.New(slog.DiscardHandler)})
	check(t, err)
	return l
}

// newCounter returns a Counter that runs until the test ends, after it has reached Redis.
func newCounter(t testing.TB, s *redistest.Server, edit func(*Options), change ...func(*Counter)) *Counter {
	t.Helper()
	o := Options{URL: s.URL(), Timeout: 10 * time.Second, Log: slog.New(slog.DiscardHandler)}
	if edit != nil {
		edit(&o)
	}
	if o.Local == nil {
		o.Local = newLocal(t, 1)
	}
	c := start(t, o, change...)
	testkit.Eventually(t, "Redis is used", c.Usable)
	return c
}

// start returns a Counter that runs until the test ends.
func start(t testing.TB, o Options, change ...func(*Counter)) *Counter {
	t.Helper()
	c, err := New(o)
	check(t, err)
	for _, f := range change {
		f(c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return c
}

func connect(t testing.TB, s *redistest.Server) *goredis.Client {
	t.Helper()
	client := goredis.NewClient(&goredis.Options{Addr: s.Addr()})
	t.Cleanup(func() { client.Close() })
	return client
}

func perSeconds(requests, seconds uint32) limits.Rule {
	return limits.Rule{
		Workspace: "acme", On: limits.OnKey, Name: "key-1", Limit: jwks.Limit{Name: "burst", Requests: requests, Seconds: seconds},
	}
}

func per(calendar string, requests uint32) limits.Rule {
	return limits.Rule{
		Workspace: "acme", On: limits.OnKey, Name: "key-1", Limit: jwks.Limit{Name: "quota", Requests: requests, Calendar: calendar},
	}
}

// passed returns how many of n single requests pass.
func passed(t testing.TB, c limits.Counter, n int, rules ...limits.Rule) (passed int) {
	t.Helper()
	states := make([]limits.State, len(rules))
	for range n {
		ok, err := c.Take(t.Context(), time.Now(), 1, rules, states)
		check(t, err)
		if ok {
			passed++
		}
	}
	return passed
}

// stopClock makes a Counter's script read the time of Redis from a key, which set changes.
func stopClock(t testing.TB, s *redistest.Server) (change func(*Counter), set func(time.Time)) {
	t.Helper()
	client := connect(t, s)
	const clock = "redis.call('TIME')"
	if strings.Count(source, clock) != 1 {
		t.Fatal("the script reads the time elsewhere")
	}
	change = func(c *Counter) {
		c.source = strings.Replace(source, clock, "redis.call('HMGET', 'clock', 's', 'us')", 1)
		c.hash = goredis.NewScript(c.source).Hash()
	}
	return change, func(at time.Time) {
		check(t, client.HSet(t.Context(), "clock", "s", at.Unix(), "us", at.Nanosecond()/1000).Err())
	}
}

// TestAnswersAreThoseOfLocal decides the same random sequences with Redis and with a Local.
func TestAnswersAreThoseOfLocal(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	stopped, set := stopClock(t, s)
	random := rand.New(rand.NewPCG(1, 2))
	refusals := 0
	for sequence := range 40 {
		now := time.Date(2026, 1+time.Month(random.IntN(24)), 1+random.IntN(28), random.IntN(24), 0, 0, 0, time.UTC)
		clock := func() time.Time { return now }
		local, err := limits.NewLocal(limits.LocalOptions{Now: clock})
		check(t, err)
		known, err := limits.NewLocal(limits.LocalOptions{Now: clock}) // what is handed back changes no answer
		check(t, err)
		c := newCounter(t, s, func(o *Options) { o.Local, o.Now = known, clock }, stopped)
		rules := []limits.Rule{
			perSeconds(1+uint32(random.IntN(20)), 1+uint32(random.IntN(100))), per(jwks.Day, 1+uint32(random.IntN(60))),
			per(jwks.Week, 1+uint32(random.IntN(200))), per(jwks.Month, 1+uint32(random.IntN(500))), perSeconds(1000, 60),
			{
				Workspace: "acme", On: jwks.OnAddress, Address: netip.MustParseAddr("2001:db8::"),
				Limit: jwks.Limit{Name: "a", Requests: 7, Seconds: 3},
			},
		}
		for i := range rules {
			rules[i].Name += fmt.Sprint(sequence)
		}
		for range 60 {
			now = now.Add(time.Duration(random.ExpFloat64() * float64(time.Second) * []float64{0.01, 3, 9000}[random.IntN(3)])).
				Truncate(time.Microsecond)
			set(now)
			first := random.IntN(len(rules))
			some := rules[first : first+1+random.IntN(len(rules)-first)]
			n := uint32(random.IntN(4))
			got, want := make([]limits.State, len(some)), make([]limits.State, len(some))
			passes, err := c.ask(t.Context(), now, n, some, got)
			check(t, err)
			wantPasses, _ := local.Take(t.Context(), now, n, some, want)
			if passes != wantPasses {
				t.Fatalf("at %v Redis answers %t and %+v, Local %t and %+v", now, passes, got, wantPasses, want)
			}
			if !passes {
				refusals++
			}
			for i := range some {
				if !alike(got[i], want[i]) {
					t.Fatalf("at %v, rule %+v, n %d: Redis answers %+v, Local %+v", now, some[i].Limit, n, got[i], want[i])
				}
			}
		}
	}
	if refusals < 100 {
		t.Errorf("only %d decisions were refusals", refusals)
	}
}

// alike reports whether two states differ by no more than Redis' µs, and the ns to which Local rounds an interval.
func alike(a, b limits.State) bool {
	near := func(a, b time.Duration) bool { return (a == 0) == (b == 0) && (a-b).Abs() <= 3*time.Microsecond }
	return a.Remaining == b.Remaining && near(a.Retry, b.Retry) && (a.Reset-b.Reset).Abs() <= 3*time.Microsecond
}

// slowConn delays what it reads and writes by up to a few milliseconds.
type slowConn struct {
	net.Conn
	most time.Duration
}

func (c slowConn) wait() { <-time.After(rand.N(c.most)) }

func (c slowConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.wait()
	return n, err
}

func (c slowConn) Write(p []byte) (int, error) {
	c.wait()
	return c.Conn.Write(p)
}

// TestSlowNetwork has two gateways with delays that vary. The counts that they hand back are old by these delays, and
// must not make the rate slower.
func TestSlowNetwork(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	slow := func(most time.Duration) func(*Counter) {
		return func(c *Counter) {
			c.server.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, addr)
				return slowConn{conn, most}, err
			}
		}
	}
	a, b := newCounter(t, s, nil, slow(5*time.Millisecond)), newCounter(t, s, nil, slow(15*time.Millisecond))
	stop := hammer(t, perSeconds(200, 2), a, b)
	after(t, 1500*time.Millisecond)
	n, took := stop()
	rule := 200 + 100*took.Seconds()
	within(t, "a rate", n, 0.5*rule, 1.05*rule)
}
