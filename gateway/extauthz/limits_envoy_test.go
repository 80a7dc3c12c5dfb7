package extauthz

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/gateway"
	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/jwks"
)

// followFeed returns a ready Server that follows the feed of acme, which publishes the key own.
func followFeed(t testing.TB, edit func(*gateway.Options)) (*Server, *gatewaytest.Origin) {
	t.Helper()
	o := gatewaytest.NewOrigin(t, "acme")
	o.Publish("acme", own())
	with := options(o)
	with.Key = func() (string, error) { return gatewaytest.ManagementKey, nil }
	if edit != nil {
		edit(&with)
	}
	s := start(t, with, nil)
	eventually(t, "the key is known", func() bool { return ask(t, s, request("GET", own().Bearer("acme"))).status == 200 })
	return s, o
}

// setLimits changes the attributes of own, and shared limits.
func setLimits(o *gatewaytest.Origin, a jwks.Attributes, sets ...jwks.LimitSet) {
	o.Apply("acme", jwks.Change{Unsigned: jwks.Unsigned{Set: []jwks.KeyAttributes{{KID: own().KID(), Attributes: a}}, Limits: sets}})
}

func limitsOf(on, name string, rules ...jwks.Limit) jwks.LimitSet {
	return jwks.LimitSet{On: on, Name: name, Limits: rules}
}

// load sends requests to Envoy at the same time until more returns false. Each has the headers that the function
// returns for its number. It returns how many passed. For each refused one, it calls refused with the time when the request
// was sent; refused may be nil.
func (f *front) load(
	t *testing.T, more func(n int64) bool, headers func(n int64) http.Header, refused func(sent time.Time),
) int64 {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	defer transport.CloseIdleConnections()
	var sent, passed atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for n := sent.Add(1); more(n); n = sent.Add(1) {
				r, err := http.NewRequest(http.MethodGet, "http://"+f.addr+"/tiles", nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Header = headers(n)
				at := time.Now()
				resp, err := transport.RoundTrip(r)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				switch resp.StatusCode {
				case http.StatusOK:
					passed.Add(1)
				case http.StatusTooManyRequests:
					if refused != nil {
						refused(at)
					}
				default:
					t.Errorf("status %d", resp.StatusCode)
				}
			}
		})
	}
	group.Wait()
	return passed.Load()
}

func times(most int64) func(int64) bool { return func(n int64) bool { return n <= most } }

// named gives the only route of a rendered configuration a name for limits.
func named(t *testing.T, route string) func(string) string {
	return replaceOnce(t, "route: {cluster: api, timeout: 60s}", `route: {cluster: api, timeout: 60s}
                typed_per_filter_config:
                  envoy.filters.http.ext_authz:
                    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
                    check_settings: {context_extensions: {route: `+route+`}}`)
}

// Each dimension is exact under concurrent load, and what clients say of their address moves no limit.
func TestEnvoyLimitsEachDimension(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	s, o := followFeed(t, nil)
	addr, _ := listenFor(t, s, envoytest.FreeAddr(t))
	f := envoyBefore(t, addr, named(t, "tiles"))
	var owners [8]string // tokens of several owners and key ids
	for i := range owners {
		owners[i] = own().Token(payload("acme", "key-1", fmt.Sprint("key-", i), "cust_1", fmt.Sprint("cust_", i)))
	}
	var ids [8]string // tokens of one owner
	for i := range ids {
		ids[i] = own().Token(payload("acme", "key-1", fmt.Sprint("key-", i)))
	}
	bearer := func(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }
	const most = 100
	for i, tt := range []struct {
		name    string
		key     jwks.Attributes
		shared  func(jwks.Limit) jwks.LimitSet
		headers func(n int64) http.Header
	}{
		{"key", jwks.Attributes{}, nil, func(int64) http.Header { return bearer(ids[0]) }},
		{
			"plan",
			jwks.Attributes{Plan: "free"},
			func(l jwks.Limit) jwks.LimitSet { return limitsOf(jwks.OnPlan, "free", l) },
			func(int64) http.Header { return bearer(ids[0]) },
		},
		{
			"owner",
			jwks.Attributes{},
			func(l jwks.Limit) jwks.LimitSet { return limitsOf(jwks.OnOwner, "cust_1", l) },
			func(n int64) http.Header { return bearer(ids[n%8]) },
		},
		{
			"route",
			jwks.Attributes{},
			func(l jwks.Limit) jwks.LimitSet { return limitsOf(jwks.OnRoute, "tiles", l) },
			func(n int64) http.Header { return bearer(owners[n%8]) },
		},
		{
			"address",
			jwks.Attributes{},
			func(l jwks.Limit) jwks.LimitSet { return limitsOf(jwks.OnAddress, jwks.AnyName, l) },
			func(n int64) http.Header {
				h := bearer(owners[n%8])
				h.Set("X-Forwarded-For", fmt.Sprintf("198.51.100.%d", n%250))
				h.Set("X-Envoy-External-Address", fmt.Sprintf("198.51.100.%d", n%250))
				h.Set("Burnkey-Client-Address", fmt.Sprintf("198.51.100.%d", n%250))
				return h
			},
		},
		{
			"total",
			jwks.Attributes{},
			func(l jwks.Limit) jwks.LimitSet { return limitsOf(jwks.OnTotal, jwks.AnyName, l) },
			func(n int64) http.Header { return bearer(owners[n%8]) },
		},
	} {
		rule := jwks.Limit{Name: fmt.Sprint("rule-", i), Requests: most, Seconds: 1 << 30}
		if tt.shared == nil {
			tt.key.Limits = []jwks.Limit{rule}
			setLimits(o, tt.key)
		} else {
			setLimits(o, tt.key, tt.shared(rule))
		}
		// The first request that is counted shows that the rule holds here.
		counted := int64(0)
		eventually(t, tt.name, func() bool {
			r := f.get(t, tt.headers(0))
			if strings.Contains(r.Header.Get("RateLimit-Policy"), rule.Name) {
				counted = 1
			}
			return counted == 1
		})
		if n := f.load(t, times(2*most), tt.headers, nil); counted+n != most {
			t.Errorf("%s: %d of %d requests passed, want %d", tt.name, counted+n, 2*most, most)
		}
		if tt.shared != nil {
			setLimits(o, jwks.Attributes{}, without(tt.shared(rule)))
		}
	}
}

// without deletes a set of limits.
func without(set jwks.LimitSet) jwks.LimitSet {
	set.Limits = nil
	return set
}

func (f *front) get(t *testing.T, headers http.Header) response {
	t.Helper()
	var lines []string
	for name, values := range headers {
		lines = append(lines, name+": "+values[0])
	}
	return f.send(t, "GET", "/tiles", lines...)
}

// TestEnvoyLimitsARate keeps the load above a rate: its burst passes, and then what the rate allows, within 1 %. The load
// goes on until a request is refused that was sent after two seconds, or the machine is too slow for any load above it.
func TestEnvoyLimitsARate(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	s, o := followFeed(t, nil)
	addr, _ := listenFor(t, s, envoytest.FreeAddr(t))
	f := envoyBefore(t, addr)
	const requests, seconds = 100, 20
	setLimits(o, jwks.Attributes{Limits: []jwks.Limit{{Name: "burst", Requests: requests, Seconds: seconds}}})
	headers := http.Header{"Authorization": {own().Bearer("acme")}}
	eventually(t, "the rule holds", func() bool { return f.get(t, headers).Header.Get("RateLimit") != "" })
	begin := time.Now()
	var last atomic.Int64 // how long after the beginning the last refused request was sent
	passed := f.load(t,
		func(int64) bool { return time.Duration(last.Load()) < 2*time.Second && time.Since(begin) < time.Minute },
		func(int64) http.Header { return headers.Clone() },
		func(sent time.Time) { last.Store(max(last.Load(), int64(sent.Sub(begin)))) })
	allowed := func(after time.Duration) float64 { return requests - 1 + after.Seconds()*requests/seconds }
	// When a request is refused, all that the rate allowed until it was sent has passed.
	least, most := allowed(time.Duration(last.Load())), allowed(time.Since(begin))
	if last.Load() == 0 || float64(passed) < 0.99*least-1 || float64(passed) > 1.01*most+1 {
		t.Errorf("%d requests passed, want %.0f to %.0f; the last refused one was sent after %s",
			passed, least, most, time.Duration(last.Load()))
	}
}

func TestEnvoySaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	s, o := followFeed(t, func(o *gateway.Options) { o.LimitHeaders = gateway.LimitHeadersBoth })
	addr, _ := listenFor(t, s, envoytest.FreeAddr(t))
	f := envoyBefore(t, addr)
	setLimits(o, jwks.Attributes{Limits: []jwks.Limit{{Name: "burst", Requests: 3, Seconds: 3600}}})
	good := auth(own(), payload("acme"))
	var passed response
	eventually(t, "the rule holds", func() bool { passed = f.send(t, "GET", "/", good); return passed.Header.Get("RateLimit") != "" })
	want := map[string]string{
		"RateLimit-Policy": `"burst";q=3;w=3600`, "RateLimit": `"burst";r=2;t=1200`,
		"X-Ratelimit-Limit": "3", "X-Ratelimit-Remaining": "2", "X-Ratelimit-Reset": "1200", "Retry-After": "",
	}
	wantHeaders(t, passed, want)
	f.send(t, "GET", "/", good)
	f.send(t, "GET", "/", good)
	refused := f.send(t, "GET", "/", good)
	seconds := refused.Header.Get("Retry-After")
	if n, err := strconv.Atoi(seconds); refused.StatusCode != http.StatusTooManyRequests || err != nil || n < 1100 || n > 1200 {
		t.Errorf("%d, retry after %s", refused.StatusCode, seconds)
	}
	want["RateLimit"], want["X-Ratelimit-Remaining"], want["X-Ratelimit-Reset"] = `"burst";r=0;t=`+seconds, "0", seconds
	want["Retry-After"], want["Content-Type"], want["Www-Authenticate"] = seconds, "application/problem+json", ""
	wantHeaders(t, refused, want)
	wantQuotaExceeded(t, refused, "burst")
}

func wantHeaders(t *testing.T, r response, want map[string]string) {
	t.Helper()
	for name, want := range want {
		if got := strings.Join(r.Header.Values(name), " and "); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func wantQuotaExceeded(t *testing.T, r response, names ...string) {
	t.Helper()
	var problem struct {
		Type     string
		Status   int
		Violated []string `json:"violated-policies"`
	}
	err := json.Unmarshal([]byte(r.body), &problem)
	if err != nil || problem.Type != "https://iana.org/assignments/http-problem-types#quota-exceeded" ||
		problem.Status != http.StatusTooManyRequests || !slices.Equal(problem.Violated, names) {
		t.Errorf("the problem is %s, %v; want %q", r.body, err, names)
	}
}

// An Envoy that verifies tokens itself asks about limits: they hold, and a change of them does so at once.
func TestEnvoyAsksAboutLimits(t *testing.T) {
	t.Parallel()
	s, o := followFeed(t, nil)
	addr, _ := listenFor(t, s, envoytest.FreeAddr(t))
	f := envoyWith(t, envoy.Config{
		Server: o.URL, PublicURL: gatewaytest.PublicURL, Workspaces: []string{"acme"}, AnyAudience: true, LimitServices: []string{addr},
	})
	good := auth(own(), payload("acme"))
	eventually(t, "Envoy has the key", func() bool { return f.code(t, "/", good) == 200 })
	plan := func(rules ...jwks.Limit) {
		setLimits(o, jwks.Attributes{Plan: "free"}, limitsOf(jwks.OnPlan, "free", rules...))
	}
	for _, most := range []uint32{5, 8} {
		plan(jwks.Limit{Name: "burst", Requests: most, Seconds: 1 << 30})
		eventually(t, "the rule holds", func() bool {
			d, err := s.gateway.Limit(t.Context(), &gateway.LimitRequest{
				Issuer: gatewaytest.PublicURL + jwks.IssuerPath + "acme", KeyID: "another", KID: own().KID().String(),
			})
			return err == nil && slices.ContainsFunc(d.ResponseHeaders(), func(h gateway.Header) bool {
				return strings.Contains(h.Value, fmt.Sprintf("q=%d;", most))
			})
		})
		passed, refused := uint32(0), response{}
		for range most + 3 {
			if r := f.send(t, "GET", "/", good); r.StatusCode == http.StatusOK {
				passed++
			} else {
				refused = r
			}
		}
		if passed != most {
			t.Errorf("%d passed, want %d", passed, most)
		}
		if refused.Response == nil || refused.StatusCode != http.StatusTooManyRequests {
			t.Fatalf("no request was refused by the rule: %+v", refused)
		}
		wantQuotaExceeded(t, refused, "burst")
		wantHeaders(t, refused, map[string]string{
			"RateLimit-Policy": fmt.Sprintf(`"burst";q=%d;w=1073741824`, most), "Content-Type": "application/problem+json",
		})
		if refused.Header.Get("Retry-After") == "" || refused.Header.Get("RateLimit") == "" {
			t.Errorf("headers %v", refused.Header)
		}
	}
	plan()
	eventually(t, "there is no limit", func() bool { return f.code(t, "/", good) == 200 })
}

// The service answers calls that no rendered configuration makes.
func TestShouldRateLimit(t *testing.T) {
	t.Parallel()
	s, o := followFeed(t, nil)
	setLimits(o, jwks.Attributes{Limits: []jwks.Limit{{Name: "burst", Requests: 10, Seconds: 1 << 30}}})
	iss := gatewaytest.PublicURL + jwks.IssuerPath + "acme"
	call := func(hits uint32, entries ...string) (*ratelimitv3.RateLimitResponse, codes.Code) {
		d := new(ratelimit.RateLimitDescriptor)
		for i := 0; i < len(entries); i += 2 {
			d.Entries = append(d.Entries, &ratelimit.RateLimitDescriptor_Entry{Key: entries[i], Value: entries[i+1]})
		}
		answer, err := s.ShouldRateLimit(t.Context(), &ratelimitv3.RateLimitRequest{
			Domain: "x", Descriptors: []*ratelimit.RateLimitDescriptor{{}, d}, HitsAddend: hits,
		})
		return answer, status.Code(err)
	}
	kid := own().KID().String()
	eventually(t, "the rule holds", func() bool {
		answer, _ := call(1, "issuer", iss, "kid", kid, "key_id", "other")
		return len(answer.GetResponseHeadersToAdd()) > 0
	})
	for _, tt := range []struct {
		name    string
		hits    uint32
		entries []string
		want    ratelimitv3.RateLimitResponse_Code
		code    codes.Code
	}{
		{"none", 1, nil, 0, codes.InvalidArgument},
		{"another domain's", 1, []string{"generic_key", "x"}, 0, codes.InvalidArgument},
		{"another issuer", 1, []string{"issuer", "https://example.com"}, 0, codes.NotFound},
		{"another workspace", 1, []string{"issuer", iss + "x"}, 0, codes.NotFound},
		{"of the workspace alone", 1, []string{"issuer", iss}, ratelimitv3.RateLimitResponse_OK, codes.OK},
		{
			"an invalid kid and address", 99,
			[]string{"issuer", iss, "kid", "x", "remote_address", "x"},
			ratelimitv3.RateLimitResponse_OK, codes.OK,
		},
		{"more than there is", 11, []string{"issuer", iss, "kid", kid, "key_id", "key-1"}, ratelimitv3.RateLimitResponse_OVER_LIMIT, codes.OK},
		{"all", 10, []string{"issuer", iss, "kid", kid, "key_id", "key-1"}, ratelimitv3.RateLimitResponse_OK, codes.OK},
		{"one more", 0, []string{"issuer", iss, "kid", kid, "key_id", "key-1"}, ratelimitv3.RateLimitResponse_OVER_LIMIT, codes.OK},
	} {
		if answer, code := call(tt.hits, tt.entries...); code != tt.code || answer.GetOverallCode() != tt.want {
			t.Errorf("%s: %s %s, want %s %s", tt.name, code, answer.GetOverallCode(), tt.code, tt.want)
		}
	}
}

// TestQuotaSurvivesARestart restarts the service with its folder while the server is down.
func TestQuotaSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := gatewaytest.NewOrigin(t, "acme")
	o.Publish("acme", own())
	setLimits(o, jwks.Attributes{Limits: []jwks.Limit{{Name: "quota", Requests: 10, Calendar: jwks.Month}}})
	passed := func(want int) {
		with := options(o)
		with.StateDir, with.Key = dir, func() (string, error) { return gatewaytest.ManagementKey, nil }
		g, err := gateway.New(with)
		check(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.Run(ctx) }()
		defer func() { cancel(); check(t, <-done) }()
		s, n := New(g, with.Log, nil), 0
		eventually(t, "the key is known", func() bool { return g.Ready() == nil })
		for range 6 {
			if ask(t, s, request("GET", own().Bearer("acme"))).status == http.StatusOK {
				n++
			}
		}
		if n != want {
			t.Errorf("%d pass, want %d", n, want)
		}
	}
	passed(6)
	o.SetHook(gatewaytest.Outage)
	passed(4)
	passed(0)
	if files, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(files) > 6 {
		t.Errorf("%q, %v", files, err)
	}
}
