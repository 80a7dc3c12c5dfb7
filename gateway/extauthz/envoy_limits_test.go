package extauthz

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/jwks"
)

var spare = sync.OnceValue(newPair)

// limited is a Server whose Gateway follows all workspaces of an Origin with their attributes and limits. acme publishes
// own and spare, beta publishes other.
type limited struct {
	*Server
	origin *gatewaytest.Origin
	addr   string
}

func startLimited(t *testing.T) limited {
	t.Helper()
	o := gatewaytest.NewOrigin(t, "acme", "beta")
	o.Publish("acme", own())
	o.Publish("acme", spare())
	o.Publish("beta", other())
	all := options(o)
	all.Key = func() (string, error) { return gatewaytest.ManagementKey, nil }
	s := start(t, all, nil)
	eventually(t, "the keys are known", func() bool { return s.gateway.Ready() == nil })
	addr, _ := listenFor(t, s, "127.0.0.1:0")
	return limited{s, o, addr}
}

// before starts an Envoy that asks about each request.
func (l limited) before(t *testing.T, hops int) *front {
	t.Helper()
	return envoyWith(t, envoy.Config{Gateways: []string{l.addr}, TrustedHops: hops})
}

// beside starts an Envoy that verifies tokens itself and asks about limits. One of its routes has a name.
func (l limited) beside(t *testing.T, hops int) *front {
	t.Helper()
	const all = "              - match: {prefix: /}\n                route: {cluster: api, timeout: 60s}"
	return envoyWith(t, envoy.Config{
		Server: l.origin.URL, PublicURL: gatewaytest.PublicURL, Workspaces: []string{"acme", "beta"}, AnyAudience: true,
		Cache: time.Second, LimitServices: []string{l.addr}, TrustedHops: hops,
	}, replaceOnce(t, all, `              - match: {prefix: /tiles}
                metadata: {filter_metadata: {burnkey: {route: tiles}}}
                route: {cluster: api}
`+all))
}

// passed sends n requests, eight at a time, and returns how many pass.
func (f *front) passed(t *testing.T, n int, request sender) int {
	t.Helper()
	var next, passed atomic.Int64
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				target, lines := request(i)
				switch code := f.code(t, target, lines...); code {
				case 200:
					passed.Add(1)
				case 429:
				default:
					t.Errorf("status %d", code)
				}
			}
		})
	}
	senders.Wait()
	return int(passed.Load())
}

// apply changes a workspace and waits until an answer states the policy.
func (f *front) apply(t *testing.T, o *gatewaytest.Origin, u jwks.Unsigned, policy, target string, lines ...string) {
	t.Helper()
	o.Apply("acme", jwks.Change{Unsigned: u})
	eventually(t, "the rule holds", func() bool {
		return strings.Contains(f.send(t, "GET", target, lines...).Header.Get("RateLimit-Policy"), policy)
	})
}

// sender returns the target and the headers of request i.
type sender func(i int) (target string, lines []string)

// dimension is what a rule counts.
type dimension struct {
	on, name    string
	in          sender // counted together
	apart       string // its request is counted apart
	apartTarget string
}

func dimensions() []dimension {
	mine, spares := auth(own(), payload("acme")), auth(spare(), payload("acme", "key-1", "key-2"))
	stranger := auth(spare(), payload("acme", "key-1", "key-2", "cust_1", "cust_2"))
	turns := func(lines ...string) sender {
		return func(i int) (string, []string) { return "/", []string{lines[i%len(lines)]} }
	}
	return []dimension{
		{"key", "", turns(mine), spares, "/"},
		{jwks.OnPlan, "free", turns(mine), spares, "/"},
		{jwks.OnOwner, "cust_1", turns(mine, spares), stranger, "/"},
		{jwks.OnOwner, jwks.AnyName, turns(mine, spares), stranger, "/"},
		{jwks.OnRoute, "tiles", func(i int) (string, []string) { return fmt.Sprint("/tiles/", i), []string{mine} }, mine, "/x"},
		{jwks.OnAddress, jwks.AnyName, func(i int) (string, []string) {
			return "/", []string{mine, "X-Forwarded-For: " + []string{
				"203.0.113.9", "::ffff:203.0.113.9", fmt.Sprintf("198.51.100.%d, 203.0.113.9", i),
			}[i%3]}
		}, mine, "/"},
		{jwks.OnTotal, jwks.AnyName, turns(mine, spares, stranger), auth(other(), payload("beta")), "/"},
	}
}

// rule returns the change that limits the dimension, or ends that if requests is 0.
func (d *dimension) rule(requests uint32) (u jwks.Unsigned) {
	var rules []jwks.Limit
	if requests > 0 {
		rules = []jwks.Limit{{Name: d.ruleName(), Requests: requests, Seconds: 36000}}
	}
	both := func(a jwks.Attributes) {
		u.Set = []jwks.KeyAttributes{{KID: own().KID(), Attributes: a}, {KID: spare().KID(), Attributes: a}}
	}
	switch d.on {
	case "key":
		u.Set = []jwks.KeyAttributes{{KID: own().KID(), Attributes: jwks.Attributes{Limits: rules}}}
		return u
	case jwks.OnPlan:
		both(jwks.Attributes{Plan: d.name})
	}
	if requests == 0 {
		both(jwks.Attributes{})
	}
	u.Limits = []jwks.LimitSet{{On: d.on, Name: d.name, Limits: rules}}
	return u
}

func (d *dimension) ruleName() string {
	return strings.TrimSuffix(d.on+"-"+strings.ReplaceAll(d.name, "*", "each"), "-")
}

// A changed rule of each kind holds within a second at an Envoy that verifies tokens itself: for the requests that it
// counts and no others, and for many at the same time.
func TestEnvoyAsksAboutEachLimit(t *testing.T) {
	t.Parallel()
	l := startLimited(t)
	f := l.beside(t, 1)
	for _, d := range dimensions() {
		target, lines := d.in(0)
		f.apply(t, l.origin, d.rule(40), `"`+d.ruleName()+`";q=40`, target, lines...)
		if got := f.passed(t, 60, d.in); got != 39 {
			t.Errorf("%s %s: %d passed after the first one, want 39", d.on, d.name, got)
		}
		if code := f.code(t, target, lines...); code != 429 {
			t.Errorf("%s %s: one more gets %d", d.on, d.name, code)
		}
		if code := f.code(t, d.apartTarget, d.apart); code != 200 {
			t.Errorf("%s %s: a request that is counted apart gets %d", d.on, d.name, code)
		}
		f.apply(t, l.origin, d.rule(50), `"`+d.ruleName()+`";q=50`, target, lines...)
		if code := f.code(t, target, lines...); code != 200 {
			t.Errorf("%s %s: after the limit was raised: %d", d.on, d.name, code)
		}
		l.origin.Apply("acme", jwks.Change{Unsigned: d.rule(0)})
		eventually(t, "the rule is deleted", func() bool {
			return f.send(t, "GET", target, lines...).Header.Get("RateLimit-Policy") == ""
		})
	}
}

// A client that makes up addresses passes no list of allowed networks, and has one count.
func TestEnvoyIgnoresMadeUpAddresses(t *testing.T) {
	t.Parallel()
	l := startLimited(t)
	good := auth(own(), payload("acme"))
	made := func(i int) []string {
		return []string{
			good, fmt.Sprintf("X-Forwarded-For: 203.0.113.%d", i), fmt.Sprintf("X-Real-IP: 203.0.113.%d", i),
			fmt.Sprintf("Burnkey-Client-Address: 203.0.113.%d", i),
		}
	}
	direct, after := l.before(t, 0), l.before(t, 1)
	for name, f := range map[string]*front{"before": direct, "beside": l.beside(t, 0)} {
		rule := jwks.Limit{Name: name, Requests: 40, Seconds: 36000}
		f.apply(t, l.origin, jwks.Unsigned{Limits: []jwks.LimitSet{{On: jwks.OnAddress, Name: jwks.AnyName, Limits: []jwks.Limit{rule}}}},
			`"`+name+`"`, "/", good)
		if got := f.passed(t, 60, func(i int) (string, []string) { return "/", made(i) }); got != 39 {
			t.Errorf("%s: %d passed after the first one, want 39", name, got)
		}
	}

	network := jwks.Attributes{AllowedIPs: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}
	l.origin.Apply("acme", jwks.Change{Unsigned: jwks.Unsigned{
		Set:    []jwks.KeyAttributes{{KID: own().KID(), Attributes: network}},
		Limits: []jwks.LimitSet{{On: jwks.OnAddress, Name: jwks.AnyName}},
	}})
	eventually(t, "the network is known", func() bool { return direct.code(t, "/", good) == 403 })
	for i := range 9 {
		if code := direct.code(t, "/", made(i)...); code != 403 {
			t.Errorf("%q gets %d", made(i)[1:], code)
		}
	}
	for line, want := range map[string]int{
		"203.0.113.9": 200, "::ffff:203.0.113.9": 200, "198.51.100.7, 203.0.113.9": 200,
		"198.51.100.7": 403, "203.0.113.9, 198.51.100.7": 403, "203.0.113.9, unknown": 403, "2001:db8::1": 403,
	} {
		if code := after.code(t, "/", good, "X-Forwarded-For: "+line); code != want {
			t.Errorf("X-Forwarded-For: %s gets %d, want %d", line, code, want)
		}
	}
}
