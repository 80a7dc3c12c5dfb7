package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/gateway/limits"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

func perHour(name string, requests uint32) jwks.Limit {
	return jwks.Limit{Name: name, Requests: requests, Seconds: 3600}
}

func monthly(name string, requests uint32) jwks.Limit {
	return jwks.Limit{Name: name, Requests: requests, Calendar: jwks.Month}
}

func shared(on, name string, rules ...jwks.Limit) jwks.LimitSet {
	return jwks.LimitSet{On: on, Name: name, Limits: rules}
}

// A fixture is a Gateway for whose workspace acme tests can change attributes and limits.
type fixture struct {
	*Gateway
	table   *jwks.Table
	version uint64
	kid     jwks.KID // of own
	stop    func()
	origin  *gatewaytest.Origin
}

// limitedGateway returns a Gateway whose workspace acme has the key own.
func limitedGateway(tb testing.TB, edit func(*Options)) *fixture {
	tb.Helper()
	o := gatewaytest.NewOrigin(tb, "acme", "beta")
	o.Publish("beta", other())
	with := options(o, "acme", "beta")
	if edit != nil {
		edit(&with)
	}
	g, stop := start(tb, with)
	eventually(tb, "the keys are known", func() bool { return g.Ready() == nil })
	table, err := jwks.NewTable(1, []jwks.Key{own().Key})
	check(tb, err)
	f := &fixture{g, table, 1, own().KID(), stop, o}
	g.all()["acme"].verifier.Keys = f.table
	return f
}

// set changes the attributes of own, and shared limits.
func (f *fixture) set(tb testing.TB, a jwks.Attributes, sets ...jwks.LimitSet) {
	tb.Helper()
	f.version++
	check(tb, f.table.Apply(jwks.Change{Version: f.version, Unsigned: jwks.Unsigned{
		Set: []jwks.KeyAttributes{{KID: f.kid, Attributes: a}}, Limits: sets,
	}}))
}

func from(r Request, address string) Request {
	r.Address = netip.MustParseAddr(address)
	return r
}

// passed returns how many of n requests pass.
func (f *fixture) passed(n int, r func(i int) Request) (passed int) {
	for i := range n {
		if ask(f.Gateway, r(i)).status == http.StatusOK {
			passed++
		}
	}
	return passed
}

func same(r Request) func(int) Request { return func(int) Request { return r } }

func TestEachDimensionIsLimited(t *testing.T) {
	t.Parallel()
	bearer := func(replace ...string) Request { return request("Bearer " + own().Token(payloadOf(replace...))) }
	keyOf := func(id, owner string) Request { return bearer(`"key-1"`, `"`+id+`"`, "cust_1", owner) }
	route := func(r Request, name string) Request { return with(r, map[string]string{"route": name}) }
	for _, test := range []struct {
		name       string
		attributes jwks.Attributes
		sets       []jwks.LimitSet
		in         func(i int) Request // counted together
		apart      Request             // counted apart; it passes
	}{
		{
			"key",
			jwks.Attributes{Limits: []jwks.Limit{perHour("burst", 5)}},
			nil,
			same(keyOf("key-1", "cust_1")), keyOf("key-2", "cust_1"),
		},
		{
			"plan",
			jwks.Attributes{Plan: "free"},
			[]jwks.LimitSet{shared(jwks.OnPlan, "free", perHour("burst", 5))},
			same(keyOf("key-1", "cust_1")), keyOf("key-2", "cust_1"),
		},
		{
			"owner",
			jwks.Attributes{},
			[]jwks.LimitSet{shared(jwks.OnOwner, "cust_1", perHour("burst", 5)), shared(jwks.OnOwner, jwks.AnyName, perHour("burst", 1))},
			func(i int) Request { return keyOf(fmt.Sprint(i), "cust_1") }, keyOf("key-1", "cust_2"),
		},
		{
			"any owner",
			jwks.Attributes{},
			[]jwks.LimitSet{shared(jwks.OnOwner, jwks.AnyName, perHour("burst", 5))},
			func(i int) Request { return keyOf(fmt.Sprint(i), "cust_1") }, keyOf("key-1", "cust_2"),
		},
		{
			"route",
			jwks.Attributes{},
			[]jwks.LimitSet{shared(jwks.OnRoute, "tiles", perHour("burst", 5))},
			func(i int) Request { return route(keyOf(fmt.Sprint(i), fmt.Sprint(i)), "tiles") }, route(keyOf("key-1", "cust_1"), "search"),
		},
		{
			"address",
			jwks.Attributes{},
			[]jwks.LimitSet{shared(jwks.OnAddress, jwks.AnyName, perHour("burst", 5))},
			func(i int) Request {
				return from(keyOf(fmt.Sprint(i), fmt.Sprint(i)), []string{"192.0.2.1", "::ffff:192.0.2.1"}[i%2])
			}, from(keyOf("key-1", "cust_1"), "192.0.2.2"),
		},
		{
			"IPv6 address",
			jwks.Attributes{},
			[]jwks.LimitSet{shared(jwks.OnAddress, jwks.AnyName, perHour("burst", 5))},
			func(i int) Request { return from(keyOf("key-1", "cust_1"), fmt.Sprintf("2001:db8::%x:%x", i, i)) },
			from(keyOf("key-1", "cust_1"), "2001:db8:0:1::"),
		},
		{
			"total",
			jwks.Attributes{},
			[]jwks.LimitSet{shared(jwks.OnTotal, jwks.AnyName, perHour("burst", 5))},
			func(i int) Request {
				return from(route(keyOf(fmt.Sprint(i), fmt.Sprint(i)), "tiles"), fmt.Sprintf("192.0.2.%d", i))
			},
			request(other().Bearer("beta")),
		},
	} {
		f := limitedGateway(t, nil)
		f.set(t, test.attributes, test.sets...)
		if n := f.passed(12, test.in); n != 5 {
			t.Errorf("%s: %d of 12 requests pass, want 5", test.name, n)
		}
		if v := ask(f.Gateway, test.apart); v.status != http.StatusOK {
			t.Errorf("%s: a request that is counted apart: %d %s", test.name, v.status, v.body)
		}
		if v := ask(f.Gateway, request(own().Bearer("acme")+"x")); v.status != http.StatusUnauthorized {
			t.Errorf("%s: an invalid token: %d", test.name, v.status)
		}
	}
}

// payloadOf is that of a token of acme.
func payloadOf(replace ...string) string { return payload("acme", replace...) }

func TestRefusedByLimits(t *testing.T) {
	t.Parallel()
	clock := testkit.NewClock(time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC))
	f := limitedGateway(t, func(o *Options) { o.LimitHeaders, o.Now = LimitHeadersBoth, clock.Now })
	f.set(t, jwks.Attributes{Plan: "free", Limits: []jwks.Limit{perHour("burst", 4)}},
		shared(jwks.OnPlan, "free", perHour("burst", 2), monthly("all", 100)))
	in := request(own().Bearer("acme"))

	v := ask(f.Gateway, in)
	d := f.Decide(t.Context(), in)
	if v.status != http.StatusOK || d.Refusal != nil {
		t.Fatalf("%d, %v", v.status, d.Refusal)
	}
	wantHeaders(t, d.ResponseHeaders(), map[string]string{
		"x-key-status":          "active",
		"ratelimit-policy":      `"key.burst";q=4;w=3600, "plan.burst";q=2;w=3600, "all";q=100;w=2592000`,
		"ratelimit":             `"key.burst";r=2;t=1800, "plan.burst";r=0;t=1800, "all";r=98;t=43200`,
		"x-ratelimit-limit":     "2",
		"x-ratelimit-remaining": "0",
		"x-ratelimit-reset":     "1800",
	})
	clock.Advance(10*time.Minute + time.Millisecond)
	d = f.Decide(t.Context(), in)
	if d.Refusal == nil {
		t.Fatal("a third request passes")
	}
	wantHeaders(t, d.ResponseHeaders(), map[string]string{
		"content-type":           "application/problem+json",
		"cache-control":          "no-store",
		"x-content-type-options": "nosniff",
		"retry-after":            "1200",
		"ratelimit-policy":       `"key.burst";q=4;w=3600, "plan.burst";q=2;w=3600, "all";q=100;w=2592000`,
		"ratelimit":              `"key.burst";r=2;t=1200, "plan.burst";r=0;t=1200, "all";r=98;t=42600`,
		"x-ratelimit-limit":      "2",
		"x-ratelimit-remaining":  "0",
		"x-ratelimit-reset":      "1200",
	})
	var body map[string]any
	check(t, json.Unmarshal(d.Problem(), &body))
	if body["type"] != "https://iana.org/assignments/http-problem-types#quota-exceeded" || body["status"] != 429.0 ||
		fmt.Sprint(body["violated-policies"]) != "[plan.burst]" {
		t.Errorf("the problem is %v", body)
	}
	if d.Refusal.Status != http.StatusTooManyRequests || d.Refusal.Reason != "limit" || len(d.Fields()) > 0 {
		t.Errorf("%+v %v", d.Refusal, d.Fields())
	}
}

// wantHeaders also parses the headers of the draft by a library.
func wantHeaders(t *testing.T, got []Header, want map[string]string) {
	t.Helper()
	for _, h := range got {
		if h.Value != want[h.Name] {
			t.Errorf("%s: %s, want %s", h.Name, h.Value, want[h.Name])
		}
		if strings.HasPrefix(h.Name, "ratelimit") {
			if _, err := httpsfv.UnmarshalList([]string{h.Value}); err != nil {
				t.Errorf("%s: %s: %v", h.Name, h.Value, err)
			}
		}
	}
	if len(got) != len(want) {
		t.Errorf("headers %v, want %v", got, want)
	}
}

func TestLimitHeaders(t *testing.T) {
	t.Parallel()
	for option, want := range map[string]string{
		"":                "ratelimit-policy ratelimit x-key-status",
		LimitHeadersDraft: "ratelimit-policy ratelimit x-key-status",
		LimitHeadersX:     "x-ratelimit-limit x-ratelimit-remaining x-ratelimit-reset x-key-status",
		LimitHeadersOff:   "x-key-status",
	} {
		f := limitedGateway(t, func(o *Options) { o.LimitHeaders = option })
		f.set(t, jwks.Attributes{Limits: []jwks.Limit{perHour(`a "name"`, 4)}})
		d := f.Decide(t.Context(), request(own().Bearer("acme")))
		var names []string
		for _, h := range d.ResponseHeaders() {
			names = append(names, h.Name)
			if h.Name == "ratelimit" && h.Value != `"a \"name\"";r=3;t=900` {
				t.Errorf("%s: %s", h.Name, h.Value)
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%q: headers %s, want %s", option, got, want)
		}
	}
	f := limitedGateway(t, nil)
	if d := f.Decide(t.Context(), request(own().Bearer("acme"))); len(d.ResponseHeaders()) != 1 {
		t.Errorf("without limits: %v", d.ResponseHeaders())
	}
}

func TestChangedLimitsHoldAtOnce(t *testing.T) {
	t.Parallel()
	f := limitedGateway(t, nil)
	in := request(own().Bearer("acme"))
	set := func(rules ...jwks.Limit) {
		f.set(t, jwks.Attributes{Plan: "free"}, shared(jwks.OnPlan, "free", rules...))
	}
	set(perHour("burst", 3))
	if n := f.passed(10, same(in)); n != 3 {
		t.Errorf("%d pass", n)
	}
	set(perHour("burst", 7))
	if n := f.passed(10, same(in)); n != 7 {
		t.Errorf("%d pass once the rate is raised", n)
	}
	set(monthly("quota", 5))
	if n := f.passed(10, same(in)); n != 5 {
		t.Errorf("%d pass of a quota", n)
	}
	f.set(t, jwks.Attributes{Plan: "pro"}, shared(jwks.OnPlan, "pro", monthly("quota", 8)))
	if n := f.passed(10, same(in)); n != 3 {
		t.Errorf("%d pass under another plan with a quota of the same name, of which 5 are used", n)
	}
	set()
	f.set(t, jwks.Attributes{Plan: "free"})
	if n := f.passed(10, same(in)); n != 10 {
		t.Errorf("%d pass under a plan without rules", n)
	}
}

// A dimension is where a limit applies.
type dimension struct {
	jwks.Attributes
	sets []jwks.LimitSet
}

// dimensions returns all of them, each with a limit that allows so many requests for decades, or for this month.
func dimensions(allowed uint32) map[string]dimension {
	rule := jwks.Limit{Name: "burst", Requests: allowed, Seconds: 1 << 30}
	return map[string]dimension{
		"key":     {jwks.Attributes{Limits: []jwks.Limit{rule}}, nil},
		"plan":    {jwks.Attributes{Plan: "free"}, []jwks.LimitSet{shared(jwks.OnPlan, "free", rule)}},
		"owner":   {jwks.Attributes{}, []jwks.LimitSet{shared(jwks.OnOwner, "cust_1", rule)}},
		"route":   {jwks.Attributes{}, []jwks.LimitSet{shared(jwks.OnRoute, "tiles", rule)}},
		"address": {jwks.Attributes{}, []jwks.LimitSet{shared(jwks.OnAddress, jwks.AnyName, rule)}},
		"total":   {jwks.Attributes{}, []jwks.LimitSet{shared(jwks.OnTotal, jwks.AnyName, rule)}},
		"quota":   {jwks.Attributes{Limits: []jwks.Limit{monthly("q", allowed)}}, nil},
	}
}

// everywhere returns a request to which the limits of every dimension apply.
func everywhere() Request {
	return with(from(request(own().Bearer("acme")), "192.0.2.1"), map[string]string{"route": "tiles"})
}

// TestLimitsUnderConcurrentLoad has many callers, and a limit on each dimension in turn.
func TestLimitsUnderConcurrentLoad(t *testing.T) {
	t.Parallel()
	const allowed, callers, each = 2000, 8, 500
	in := everywhere()
	for name, a := range dimensions(allowed) {
		f := limitedGateway(t, nil)
		f.set(t, a.Attributes, a.sets...)
		var passed atomic.Int64
		var group sync.WaitGroup
		for range callers {
			group.Go(func() {
				for range each {
					if d := f.Decide(t.Context(), in); d.Refusal == nil {
						passed.Add(1)
					}
				}
			})
		}
		group.Wait()
		if passed.Load() != allowed {
			t.Errorf("%s: %d of %d requests passed, want %d", name, passed.Load(), callers*each, allowed)
		}
	}
}

func TestAllowedAddresses(t *testing.T) {
	t.Parallel()
	f := limitedGateway(t, nil)
	f.set(t, jwks.Attributes{AllowedIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	in := request(own().Bearer("acme"))
	for address, want := range map[string]int{"192.0.2.9": 200, "::ffff:192.0.2.9": 200, "198.51.100.1": 403, "2001:db8::1": 403} {
		if v := ask(f.Gateway, from(in, address)); v.status != want {
			t.Errorf("%s: %d, want %d", address, v.status, want)
		}
	}
	if v := ask(f.Gateway, in); v.status != http.StatusForbidden {
		t.Errorf("an unknown address: %d", v.status)
	}
}

func TestRouteName(t *testing.T) {
	t.Parallel()
	f := limitedGateway(t, nil)
	for name, want := range map[string]int{
		"tiles": 200, "a": 200, "v1-tiles": 200, strings.Repeat("a", 63): 200,
		"": 500, " ": 500, "Tiles": 500, "-a": 500, "a b": 500, "a,b": 500, strings.Repeat("a", 64): 500,
	} {
		if v := ask(f.Gateway, with(request(own().Bearer("acme")), map[string]string{"route": name})); v.status != want {
			t.Errorf("route %q: %d, want %d", name, v.status, want)
		}
	}
}

// brokenCounter is a Counter that has lost its counts.
type brokenCounter struct{}

func (brokenCounter) Take(context.Context, time.Time, uint32, []limits.Rule, []limits.State) (bool, error) {
	return false, limits.ErrUnavailable
}

func TestCountsAreUnavailable(t *testing.T) {
	t.Parallel()
	f := limitedGateway(t, func(o *Options) {
		o.Counter = func(*limits.Local) (limits.Counter, error) { return brokenCounter{}, nil }
	})
	in := request(own().Bearer("acme"))
	if v := ask(f.Gateway, in); v.status != http.StatusOK {
		t.Errorf("a key without limits: %d", v.status)
	}
	f.set(t, jwks.Attributes{Limits: []jwks.Limit{perHour("burst", 5)}})
	v := ask(f.Gateway, in)
	if v.status != http.StatusServiceUnavailable || v.headers.Get("Retry-After") != "1" {
		t.Errorf("a key with limits: %d %v", v.status, v.headers)
	}
	wantProblem(t, "no counts", v)
}

// TestQuotasSurviveARestart starts a Gateway again with the same folder.
func TestQuotasSurviveARestart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	used := func(want int) {
		f := limitedGateway(t, func(o *Options) { o.StateDir = folder })
		f.set(t, jwks.Attributes{Limits: []jwks.Limit{monthly("quota", 10)}})
		if n := f.passed(6, same(request(own().Bearer("acme")))); n != want {
			t.Errorf("%d pass, want %d", n, want)
		}
		check(t, f.local.Save())
		f.stop()
	}
	used(6)
	used(4)
	used(0)
}

// TestLimitsOfVerifiedRequests checks that a proxy which verifies tokens itself shares the counts of Decide.
func TestLimitsOfVerifiedRequests(t *testing.T) {
	t.Parallel()
	f := limitedGateway(t, nil)
	f.set(t, jwks.Attributes{Plan: "free"}, shared(jwks.OnPlan, "free", perHour("burst", 10)),
		shared(jwks.OnAddress, jwks.AnyName, perHour("address", 7)), shared(jwks.OnRoute, "tiles", perHour("route", 3)))
	in := LimitRequest{
		Issuer: gatewaytest.PublicURL + jwks.IssuerPath + "acme", KeyID: "key-1", Owner: "cust_1", KID: f.kid.String(),
		Address: netip.MustParseAddr("::ffff:192.0.2.1"), N: 1,
	}
	limit := func(edit func(*LimitRequest)) string {
		r := in
		edit(&r)
		d, err := f.Limit(t.Context(), &r)
		switch {
		case err != nil:
			return err.Error()
		case d.Refusal != nil:
			return strings.Join(d.violated, " ")
		}
		return "passes"
	}
	want := func(name, want string, edit func(*LimitRequest)) {
		t.Helper()
		if got := limit(edit); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if n := f.passed(3, same(from(request(own().Bearer("acme")), "192.0.2.1"))); n != 3 {
		t.Fatalf("%d pass", n)
	}
	want("3 on the route", "passes", func(r *LimitRequest) { r.Route, r.N = "tiles", 3 })
	want("a fourth on the route", "route", func(r *LimitRequest) { r.Route = "tiles" })
	want("two more from the address", "address", func(r *LimitRequest) { r.N = 2 })
	want("none from the address", "passes", func(r *LimitRequest) { r.N = 0 })
	want("another address", "passes", func(r *LimitRequest) { r.Address, r.N = netip.Addr{}, 4 })
	want("an eleventh of the key", "burst", func(r *LimitRequest) { r.Address = netip.MustParseAddr("192.0.2.2") })
	want("an unknown key", "passes", func(r *LimitRequest) { r.Address, r.KID = netip.MustParseAddr("192.0.2.2"), jwks.KID{9}.String() })
	want("no key", "passes", func(r *LimitRequest) { r.Address, r.KID = netip.MustParseAddr("192.0.2.2"), "" })
	want("another workspace", jwks.ErrIssuer.Error(), func(r *LimitRequest) { r.Issuer += "x" })
	want("another server", jwks.ErrIssuer.Error(), func(r *LimitRequest) { r.Issuer = "https://example.com" })
}

func TestLimitsWhileTheServerIsAway(t *testing.T) {
	t.Parallel()
	now := new(testkit.Clock)
	f := limitedGateway(t, func(o *Options) { o.MaxStaleness, o.Now = time.Minute, now.Now })
	f.set(t, jwks.Attributes{Limits: []jwks.Limit{perHour("burst", 4)}})
	in := request(own().Bearer("acme"))
	if n := f.passed(2, same(in)); n != 2 {
		t.Fatalf("%d pass", n)
	}
	f.origin.Stop()
	now.Advance(30 * time.Second)
	if n := f.passed(5, same(in)); n != 2 {
		t.Errorf("%d pass while the keys are old, want 2", n)
	}
	now.Advance(time.Hour)
	if v := ask(f.Gateway, in); v.status != http.StatusServiceUnavailable {
		t.Errorf("keys that are too old: %d", v.status)
	}
	verified := &LimitRequest{Issuer: gatewaytest.PublicURL + jwks.IssuerPath + "acme", N: 1}
	if _, err := f.Limit(t.Context(), verified); !errors.Is(err, jwks.ErrStale) {
		t.Errorf("of a proxy that verifies tokens itself: %v", err)
	}
}

func TestPoliciesAreBounded(t *testing.T) {
	t.Parallel()
	var p policies
	for i := range maxPolicies + 10 {
		if got, want := p.text(policyKey{fmt.Sprint(i), 1, 2}).policy, fmt.Sprintf(`"%d";q=1;w=2`, i); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	if len(p.texts) > maxPolicies {
		t.Errorf("%d texts", len(p.texts))
	}
	if got := p.text(policyKey{"é", 1, 2}); got.policy != `"";q=1` || got.name != `""` {
		t.Errorf("a name that no structured field can have: %+v", got)
	}
}
