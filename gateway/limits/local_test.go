package limits

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/throttled/throttled/v2"
	"pgregory.net/rapid"

	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

var check = testkit.Check

// began is a Monday. Times made from it have no monotonic clock.
var began = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func newLocal(tb rapid.TB, edit func(*LocalOptions)) *Local {
	tb.Helper()
	o := LocalOptions{Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return began }}
	if edit != nil {
		edit(&o)
	}
	l, err := NewLocal(o)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func perSeconds(requests, seconds uint32) Rule {
	return Rule{Workspace: "acme", On: OnKey, Name: "key-1", Limit: jwks.Limit{Name: "burst", Requests: requests, Seconds: seconds}}
}

func per(calendar string, requests uint32) Rule {
	return Rule{Workspace: "acme", On: OnKey, Name: "key-1", Limit: jwks.Limit{Name: "quota", Requests: requests, Calendar: calendar}}
}

// take takes n requests of one rule at a time after began.
func take(tb rapid.TB, l Counter, after time.Duration, n uint32, r Rule) (bool, State) {
	tb.Helper()
	var states [1]State
	ok, err := l.Take(context.Background(), began.Add(after), n, []Rule{r}, states[:])
	if err != nil {
		tb.Fatal(err)
	}
	return ok, states[0]
}

// passes returns how many of n single requests pass.
func passes(tb rapid.TB, l Counter, after time.Duration, n int, rules ...Rule) (passed int) {
	tb.Helper()
	states := make([]State, len(rules))
	for range n {
		ok, err := l.Take(context.Background(), began.Add(after), 1, rules, states)
		if err != nil {
			tb.Fatal(err)
		}
		if ok {
			passed++
		}
	}
	return passed
}

// judge is the store of a throttled.GCRARateLimiterCtx with one key and a clock.
type judge struct {
	now  time.Time
	full int64
}

func (j *judge) GetWithTime(context.Context, string) (int64, time.Time, error) {
	if j.full == 0 {
		return -1, j.now, nil
	}
	return j.full, j.now, nil
}

func (j *judge) SetIfNotExistsWithTTL(_ context.Context, _ string, value int64, _ time.Duration) (bool, error) {
	j.full = value
	return true, nil
}

func (j *judge) CompareAndSwapWithTTL(_ context.Context, _ string, _, value int64, _ time.Duration) (bool, error) {
	j.full = value
	return true, nil
}

func TestRatesAreThoseOfThrottled(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		// throttled rounds intervals down and Local rounds them up, so these are whole.
		requests := rapid.SampledFrom([]uint32{1, 2, 5, 10, 64, 100, 1000, 5000}).Draw(t, "requests")
		seconds := rapid.Uint32Range(1, 100_000).Draw(t, "seconds")
		rule, l, j := perSeconds(requests, seconds), newLocal(t, nil), &judge{now: began}
		limiter, err := throttled.NewGCRARateLimiterCtx(j, throttled.RateQuota{
			MaxRate:  throttled.PerDuration(int(requests), time.Duration(seconds)*time.Second),
			MaxBurst: int(requests) - 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		interval := time.Duration(seconds) * time.Second / time.Duration(requests)
		for range rapid.IntRange(1, 50).Draw(t, "calls") {
			j.now = j.now.Add(time.Duration(rapid.Int64Range(0, 3*int64(interval)).Draw(t, "later")))
			n := rapid.Uint32Range(0, requests+1).Draw(t, "n")
			limited, want, err := limiter.RateLimitCtx(context.Background(), "", int(n))
			if err != nil {
				t.Fatal(err)
			}
			wantState := State{uint32(want.Remaining), max(0, want.ResetAfter), want.RetryAfter}
			switch {
			case !limited:
				wantState.Retry = 0
			case n > requests:
				wantState.Retry = Never
				wantState.Remaining, wantState.Reset = peek(t, l, j.now.Sub(began), rule) // throttled does not compute these
			}
			if ok, state := take(t, l, j.now.Sub(began), n, rule); ok == limited || state != wantState {
				t.Fatalf("%d of %d per %d s: %v %+v, want %v %+v", n, requests, seconds, ok, state, !limited, wantState)
			}
		}
	})
}

func peek(t *rapid.T, l Counter, after time.Duration, r Rule) (uint32, time.Duration) {
	_, s := take(t, l, after, 0, r)
	return s.Remaining, s.Reset
}

func TestRatesNeverAllowMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		requests, seconds := rapid.Uint32Range(1, 50).Draw(t, "requests"), rapid.Uint32Range(1, 50).Draw(t, "seconds")
		l, rule := newLocal(t, nil), perSeconds(requests, seconds)
		var after time.Duration
		passed := 0
		for range rapid.IntRange(1, 300).Draw(t, "calls") {
			after += time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "later"))
			passed += passes(t, l, after, 1, rule)
			if most := int(requests) + int(after*time.Duration(requests)/(time.Duration(seconds)*time.Second)); passed > most {
				t.Fatalf("%d passed within %s, and %d per %d s allow %d", passed, after, requests, seconds, most)
			}
		}
	})
}

func TestExtremeRates(t *testing.T) {
	t.Parallel()
	const year, most = 365 * 24 * time.Hour, 1<<32 - 1
	for _, test := range []struct {
		requests, seconds uint32
		taken             uint32
		reset             time.Duration // after taken
	}{
		{1, 365 * 24 * 3600, 1, year},
		{1, most, 1, most * time.Second},
		{most, 1, most, most}, // an interval is at least 1 ns
		{most, most, most, most * time.Second},
		{4_000_000_000, 1, 2_000_000_000, 2 * time.Second},
		{7, most, 7, 7 * 613566756428571429},
	} {
		l, rule := newLocal(t, nil), perSeconds(test.requests, test.seconds)
		want := State{Remaining: test.requests - test.taken, Reset: test.reset}
		if ok, state := take(t, l, 0, test.taken, rule); !ok || state != want {
			t.Errorf("%d of %d per %d s: %v %+v, want %+v", test.taken, test.requests, test.seconds, ok, state, want)
		}
		left := test.requests - test.taken
		if ok, state := take(t, l, 0, left+1, rule); ok || state.Retry <= 0 {
			t.Errorf("%d more of %d per %d s: %v %+v", left+1, test.requests, test.seconds, ok, state)
		}
		if ok, _ := take(t, l, test.reset, test.requests, rule); !ok {
			t.Errorf("%d per %d s do not pass after the reset", test.requests, test.seconds)
		}
	}
}

func TestRefusedRequestTakesNothing(t *testing.T) {
	t.Parallel()
	l := newLocal(t, nil)
	small, large, quota := perSeconds(2, 3600), perSeconds(100, 3600), per(jwks.Month, 50)
	if n := passes(t, l, 0, 30, small, large, quota); n != 2 {
		t.Fatalf("%d passed", n)
	}
	for _, test := range []struct {
		rule Rule
		want uint32
	}{{small, 0}, {large, 98}, {quota, 48}} {
		if _, state := take(t, l, 0, 0, test.rule); state.Remaining != test.want {
			t.Errorf("%s: %d remain, want %d", test.rule.Limit.Name, state.Remaining, test.want)
		}
	}
	states := make([]State, 3)
	ok, err := l.Take(context.Background(), began, 1, []Rule{large, small, quota}, states)
	if check(t, err); ok || states[0].Remaining != 98 || states[2].Remaining != 48 {
		t.Errorf("a refused request: %v %+v", ok, states)
	}
	if states[1].Retry != 30*time.Minute || states[0].Retry != 0 || states[2].Retry != 0 {
		t.Errorf("the refusing rule is not the only one that says when to try again: %+v", states)
	}
}

func TestQuotasFollowTheCalendar(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Duration {
		when, err := time.Parse(time.RFC3339, text)
		check(t, err)
		return when.Sub(began)
	}
	for _, test := range []struct{ calendar, last, first string }{
		{jwks.Day, "2026-11-30T23:59:59Z", "2026-12-01T00:00:00Z"},
		{jwks.Week, "2026-12-06T23:59:59Z", "2026-12-07T00:00:00Z"}, // Monday
		{jwks.Month, "2026-11-30T23:59:59Z", "2026-12-01T00:00:00Z"},
		{jwks.Month, "2028-02-29T23:59:59Z", "2028-03-01T00:00:00Z"},
		{jwks.Month, "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"},
	} {
		l, rule := newLocal(t, nil), per(test.calendar, 5)
		if n := passes(t, l, at(test.last), 10, rule); n != 5 {
			t.Errorf("%s: %d passed", test.last, n)
		}
		if _, state := take(t, l, at(test.last), 1, rule); state != (State{Reset: time.Second, Retry: time.Second}) {
			t.Errorf("%s: %+v", test.last, state)
		}
		if n := passes(t, l, at(test.first), 10, rule); n != 5 {
			t.Errorf("%s: %d passed", test.first, n)
		}
	}
}

func TestChangedRules(t *testing.T) {
	t.Parallel()
	l := newLocal(t, nil)
	passes(t, l, 0, 100, perSeconds(10, 3600))
	if n := passes(t, l, 0, 100, perSeconds(20, 3600)); n != 20 {
		t.Errorf("a raised rate: %d passed", n)
	}
	passes(t, l, 0, 100, per(jwks.Month, 10))
	if n := passes(t, l, 0, 100, per(jwks.Month, 25)); n != 15 {
		t.Errorf("a raised quota, of which 10 are used: %d passed", n)
	}
	if _, state := take(t, l, 0, 1, per(jwks.Month, 5)); state.Remaining != 0 || state.Retry == 0 {
		t.Errorf("a lowered quota: %+v", state)
	}
	if n := passes(t, l, 0, 100, per(jwks.Week, 10)); n != 10 {
		t.Errorf("another calendar: %d passed", n)
	}
}

func TestSubjectsCountApart(t *testing.T) {
	t.Parallel()
	base := Rule{Workspace: "acme", On: jwks.OnOwner, Name: "cust_1", Limit: jwks.Limit{Name: "burst", Requests: 1, Seconds: 60}}
	rules := []Rule{base}
	for _, edit := range []func(*Rule){
		func(r *Rule) { r.Workspace = "beta" },
		func(r *Rule) { r.On = jwks.OnRoute },
		func(r *Rule) { r.Name = "cust_2" },
		func(r *Rule) { r.Limit.Name = "other" },
		func(r *Rule) { r.Name, r.Limit.Name = "cust_1b", "urst" },
		func(r *Rule) { r.Workspace, r.Name = "acmec", "ust_1" },
	} {
		r := base
		edit(&r)
		rules = append(rules, r)
	}
	for _, address := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::", "2001:db8:0:1::"} {
		rules = append(rules, Rule{Workspace: "acme", On: jwks.OnAddress, Address: Network(netip.MustParseAddr(address)), Limit: base.Limit})
	}
	l := newLocal(t, nil)
	for i, r := range rules {
		if ok, _ := take(t, l, 0, 1, r); !ok {
			t.Errorf("rule %d %+v is counted with another", i, r)
		}
		if ok, _ := take(t, l, 0, 1, r); ok {
			t.Errorf("rule %d %+v is not counted", i, r)
		}
	}
}

func TestShare(t *testing.T) {
	t.Parallel()
	l := newLocal(t, func(o *LocalOptions) { o.Share = 0.25 })
	rate, quota := perSeconds(100, 100), per(jwks.Month, 100)
	for _, r := range []Rule{rate, quota} {
		if n := passes(t, l, 0, 100, r); n != 25 {
			t.Errorf("%+v: %d passed at once", r.Limit, n)
		}
	}
	if n := passes(t, l, 100*time.Second, 1000, rate); n != 25 {
		t.Errorf("%d passed after the rate's time", n)
	}
	if n := passes(t, l, 108*time.Second, 1000, rate); n != 2 {
		t.Errorf("%d passed within 8 s", n)
	}
	tiny := newLocal(t, func(o *LocalOptions) { o.Share = 1e-300 })
	for _, r := range []Rule{perSeconds(1, 1<<32-1), perSeconds(1<<32-1, 1), quota} {
		if n := passes(t, tiny, 0, 3, r); n != 1 {
			t.Errorf("%+v: %d passed of a tiny share", r.Limit, n)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, o := range []LocalOptions{{Entries: 1}, {Entries: -1}, {Share: 1.1}, {Share: -0.1}} {
		if _, err := NewLocal(o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

func TestManyRulesAtOnce(t *testing.T) {
	t.Parallel()
	l := newLocal(t, nil)
	var rules []Rule
	for i := range MaxRules {
		r := perSeconds(10, 60)
		r.Limit.Name = fmt.Sprint(i)
		rules = append(rules, r)
	}
	if n := passes(t, l, 0, 20, rules...); n != 10 {
		t.Errorf("%d passed", n)
	}
	if n := passes(t, l, 0, 3); n != 3 {
		t.Errorf("%d passed without rules", n)
	}
}
