package redis

import (
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/gateway/limits"
	"github.com/burnkey/burnkey/gateway/limits/redis/redistest"
	"github.com/burnkey/burnkey/jwks"
)

// TestScriptKnowsTheCalendar compares the script's periods with those of package limits, from 1970 to 2134.
func TestScriptKnowsTheCalendar(t *testing.T) {
	t.Parallel()
	client := connect(t, redistest.Start(t))
	before, _, found := strings.Cut(source, "local function rate")
	if !found {
		t.Fatal("the script has no function rate")
	}
	const days = 60000
	for _, calendar := range []string{jwks.Day, jwks.Week, jwks.Month} {
		got, err := client.Eval(t.Context(), before+`
			local all = {}
			for day = 0, ARGV[1] - 1 do
				today = day
				local first, stop = period(ARGV[2])
				all[2 * day + 1], all[2 * day + 2] = first, stop
			end
			return all`, nil, days, calendar).Int64Slice()
		check(t, err)
		for day := range int64(days) {
			at := time.Unix(day*24*60*60, 0)
			first, end := limits.Period(calendar, at)
			if calendar == jwks.Week && day < 4 {
				continue // the days before the first Monday of 1970
			}
			if stop := end.Unix() / (24 * 60 * 60); got[2*day] != first || got[2*day+1] != stop {
				t.Fatalf("the %s of %s is days %d to %d, want %d to %d", calendar, at, got[2*day], got[2*day+1], first, stop)
			}
		}
	}
}

func TestExtremeRates(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	stopped, set := stopClock(t, s)
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	set(now)
	c := newCounter(t, s, func(o *Options) { o.Now = func() time.Time { return now } }, stopped)
	yearly, fast := perSeconds(1, 365*24*60*60), perSeconds(4_000_000_000, 1)
	var states [1]limits.State
	take := func(n uint32, r limits.Rule) bool {
		t.Helper()
		passes, err := c.ask(t.Context(), now, n, []limits.Rule{r}, states[:])
		check(t, err)
		return passes
	}
	later := func(d time.Duration) { now = now.Add(d); set(now) }
	if !take(1, yearly) || take(1, yearly) {
		t.Error("one request a year: want one, and no more")
	}
	if !take(4_000_000_000, fast) || take(1, fast) {
		t.Error("4 billion a second: want them, and no more")
	}
	later(time.Millisecond)
	if !take(4_000_000, fast) || take(1, fast) {
		t.Error("4 billion a second: want 4 million after a millisecond, and no more")
	}
	later(365*24*time.Hour - time.Second)
	if take(1, yearly) || states[0].Retry > time.Second {
		t.Errorf("one request a year: another one passes early, or has to wait %v", states[0].Retry)
	}
	later(time.Second)
	if !take(1, yearly) {
		t.Error("one request a year: none after a year")
	}
	if take(2, yearly) || states[0].Retry != limits.Never {
		t.Errorf("two requests of a rule of one can wait %v", states[0].Retry)
	}
}

// TestRedisClockSetBack sets Redis' clock back by a day. Nobody waits for that day, and nobody gets a second burst.
func TestRedisClockSetBack(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	stopped, set := stopClock(t, s)
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	set(now)
	gateway := time.Now()
	c := newCounter(t, s, func(o *Options) { o.Now = func() time.Time { return gateway } }, stopped)
	burst, daily := perSeconds(10, 60), per(jwks.Day, 10)
	count := func(rule limits.Rule) (n int) {
		t.Helper()
		var states [1]limits.State
		for {
			passes, err := c.ask(t.Context(), gateway, 1, []limits.Rule{rule}, states[:])
			check(t, err)
			if !passes {
				return n
			}
			n++
		}
	}
	if a, b := count(burst), count(daily); a != 10 || b != 10 {
		t.Fatalf("%d and %d requests pass, want 10 and 10", a, b)
	}
	set(now.Add(-24 * time.Hour))
	if a, b := count(burst), count(daily); a != 0 || b != 0 {
		t.Errorf("%d and %d requests pass after the clock was set back, want none", a, b)
	}
	set(now.Add(-24 * time.Hour).Add(30 * time.Second))
	gateway = gateway.Add(30 * time.Second)
	if n := count(burst); n != 5 {
		t.Errorf("%d requests pass 30 s later, want 5", n)
	}
	set(now.Add(24 * time.Hour))
	if n := count(daily); n != 10 {
		t.Errorf("%d requests pass on the next day, want 10", n)
	}
}

// TestKeysExpire checks that no count outlives its use, and that no subject can be read in a key.
func TestKeysExpire(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	client := connect(t, s)
	c := newCounter(t, s, nil)
	rules := []limits.Rule{perSeconds(60, 3600), per(jwks.Month, 10)}
	began := time.Now()
	if n := passed(t, c, 2, rules...); n != 2 {
		t.Fatalf("%d of 2 requests pass", n)
	}
	_, end := limits.Period(jwks.Month, time.Now())
	for i, want := range []time.Duration{2 * time.Minute, end.Sub(began) + time.Minute} {
		k := key(&rules[i])
		ttl, err := client.PTTL(t.Context(), k).Result()
		check(t, err)
		if least := want - time.Since(began) - time.Second; ttl < least || ttl > want+time.Second {
			t.Errorf("the count of %+v expires in %v, want about %v", rules[i].Limit, ttl, want)
		}
		if !strings.HasPrefix(k, "burnkey:{acme}:") || strings.Contains(k, "key-1") {
			t.Errorf("key %s", k)
		}
		used, err := client.MemoryUsage(t.Context(), k).Result()
		check(t, err)
		t.Logf("%s takes %d bytes", k, used)
		if used > 160 {
			t.Errorf("a count takes %d bytes", used)
		}
	}
}

// TestIdentity checks which changes of a rule begin a new count.
func TestIdentity(t *testing.T) {
	t.Parallel()
	base, quota := perSeconds(10, 60), per(jwks.Day, 10)
	for name, other := range map[string]func(*limits.Rule){
		"workspace": func(r *limits.Rule) { r.Workspace = "other" },
		"subject":   func(r *limits.Rule) { r.On = jwks.OnPlan },
		"name":      func(r *limits.Rule) { r.Name = "key-2" },
		"rule":      func(r *limits.Rule) { r.Limit.Name = "other" },
		"seconds":   func(r *limits.Rule) { r.Limit.Seconds++ },
		"requests":  func(r *limits.Rule) { r.Limit.Requests++ },
	} {
		changed := base
		other(&changed)
		if key(&changed) == key(&base) {
			t.Errorf("a rate counts the same with another %s", name)
		}
	}
	more, weekly := quota, quota
	more.Limit.Requests, weekly.Limit.Calendar = 20, jwks.Week
	if key(&more) != key(&quota) || key(&weekly) == key(&quota) {
		t.Error("a quota must keep its count when raised, and not in another calendar")
	}
}
