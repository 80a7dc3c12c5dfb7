package envoy_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

// limitClaim is the claim rate_limit.
func limitClaim(requests any, unit string) map[string]any {
	return map[string]any{"requests_per_unit": requests, "unit": unit}
}

// accepted sends requests with a token and returns how many were accepted, and the last refusal.
func (g *gateway) accepted(t *testing.T, token string, requests int) (n int, refused response) {
	t.Helper()
	for range requests {
		switch resp := g.get(t, "/", bearer(token)); resp.StatusCode {
		case 200:
			n++
		case 429:
			refused = resp
		default:
			t.Fatalf("status %d: %s", resp.StatusCode, resp.body)
		}
	}
	return n, refused
}

// Envoy holds the limit that a token carries, without any service.
func TestSignedLimits(t *testing.T) {
	t.Parallel()
	keys := newKeyServer(t)
	one, two := newKey(t), newKey(t)
	keys.publish("acme", one)
	keys.publish("globex", two)
	c := oneSecond
	c.Server, c.Workspaces = keys.url(), []string{"acme", "globex"}
	c.SignedLimits = []string{"5/hour", "3/day", "6/month", "4/minute"}
	g := startGateway(t, c, keys)
	id := 0
	token := func(k *key, workspace string, limit any) string {
		id++
		return k.token(t, claims(c.Issuer(workspace), "jti", strconv.Itoa(id), "rate_limit", limit))
	}
	const all = 8
	for _, tt := range []struct {
		name  string
		limit any
		want  int
		retry string // at least as long as until the next token of the bucket
	}{
		{"of an hour", limitClaim(5, "HOUR"), 5, "720"},
		{"of a day", limitClaim(3, "DAY"), 3, "28800"},
		{"of a minute", limitClaim(4, "MINUTE"), 4, "15"},
		{"of a month", limitClaim(6, "MONTH"), 6, "432000"},
		{"not listed: the lowest", limitClaim(7, "HOUR"), 6, "432000"},
		{"of another unit: the lowest", limitClaim(5, "YEAR"), 6, "432000"},
		{"with a fraction: the lowest", limitClaim(4.5, "MINUTE"), 6, "432000"},
		{"none", nil, all, ""},
	} {
		for _, workspace := range []string{"acme", "globex"} {
			k := map[string]*key{"acme": one, "globex": two}[workspace]
			got, refused := g.accepted(t, token(k, workspace, tt.limit), all)
			if got != tt.want {
				t.Errorf("%s, %s: %d accepted, want %d", workspace, tt.name, got, tt.want)
			}
			if got == all {
				continue
			}
			retry, err := strconv.Atoi(refused.Header.Get("Retry-After"))
			if want, _ := strconv.Atoi(tt.retry); err != nil || retry < want-2 || retry > want {
				t.Errorf("%s: Retry-After %q, want %s", tt.name, refused.Header.Get("Retry-After"), tt.retry)
			}
			if !strings.Contains(refused.body, "http-problem-types#quota-exceeded") ||
				refused.Header.Get("Content-Type") != "application/problem+json" || refused.Header.Get("X-Ratelimit-Remaining") != "0" {
				t.Errorf("%s: %v %s", tt.name, refused.Header, refused.body)
			}
		}
	}
	parent := func() map[string]any {
		id++
		return claims(c.Issuer("acme"), "jti", strconv.Itoa(id), "key_id", "parent", "rate_limit", limitClaim(5, "HOUR"))
	}
	counted := 0 // of access tokens, and their key's own token
	own := claims(c.Issuer("acme"), "jti", "parent", "rate_limit", limitClaim(5, "HOUR"))
	for i := range all {
		text := one.sign(t, accessHeader(one.kid), parent())
		if i%2 == 0 {
			text = one.token(t, own)
		}
		if g.code(t, text) == 200 {
			counted++
		}
	}
	if counted != 5 {
		t.Errorf("a key and its access tokens: %d accepted, want 5", counted)
	}
	if code := g.code(t, one.token(t, parent())); code != 200 {
		t.Errorf("a key with a custom claim key_id gets %d: it is counted as another key", code)
	}
	if g.Log() != "" {
		t.Errorf("envoy warns:\n%s", g.Log())
	}
}

// Requests at the same time do not exceed the limit, and none of them is refused too early.
func TestSignedLimitUnderLoad(t *testing.T) {
	t.Parallel()
	keys, k := newKeyServer(t), newKey(t)
	keys.publish("acme", k)
	c := oneSecond
	c.Server, c.SignedLimits = keys.url(), []string{"200/day"}
	g := startGateway(t, c, keys)
	token := k.token(t, claims(c.Issuer("acme"), "rate_limit", limitClaim(200, "DAY")))
	var accepted atomic.Int32
	var senders sync.WaitGroup
	for range 16 {
		senders.Go(func() {
			for range 20 {
				if g.code(t, token) == 200 {
					accepted.Add(1)
				}
			}
		})
	}
	if senders.Wait(); accepted.Load() != 200 {
		t.Errorf("%d accepted, want 200", accepted.Load())
	}
}

// The filter refuses to take a limit from metadata; this is why each signed limit is listed.
func TestLocalFilterHasNoOverride(t *testing.T) {
	t.Parallel()
	c := valid()
	c.SignedLimits = []string{"5/hour"}
	text := render(t, envoy.Bootstrap, c)
	const (
		at       = "rate_limits:\n              - actions:"
		override = `rate_limits:
              - limit: {dynamic_metadata: {metadata_key: {key: envoy.filters.http.jwt_authn, path: [{key: burnkey}, {key: rate_limit}]}}}
                actions:`
	)
	log := envoytest.Refused(t, replaceOnce(t, at, override)(text))
	if !strings.Contains(log, "'limit' field is not supported") {
		t.Errorf("envoy refuses for another reason:\n%s", log)
	}
}

// With --limits service, Envoy passes on what the service needs to find the key's rules, and the limit that the token
// carries. The service can be any that obeys the limit of a descriptor.
func TestLimitService(t *testing.T) {
	t.Parallel()
	keys, j, k := newKeyServer(t), newJudge(t), newKey(t)
	keys.publish("acme", k)
	c := oneSecond
	c.Server, c.LimitServices, c.TrustedHops = keys.url(), []string{j.addr}, 1
	g := startGateway(t, c, keys, replaceOnce(t, "              - match: {prefix: /}\n                route: {cluster: api, timeout: 60s}",
		`              - match: {prefix: /tiles}
                metadata: {filter_metadata: {burnkey: {route: tiles}}}
                route: {cluster: api}
              - match: {prefix: /}
                route: {cluster: api, timeout: 60s}`))
	issuer := c.Issuer("acme")
	token := k.token(t, claims(issuer, "jti", "key-1", "rate_limit", limitClaim(3, "MINUTE")))
	g.get(t, "/tiles/1", bearer(token), "X-Forwarded-For: 198.51.100.7, 203.0.113.9")
	want := [][]string{
		{"issuer=" + issuer, "key_id=key-1", "kid=" + k.kid, "owner=cust_1", "remote_address=203.0.113.9", "route=tiles"}, {"key_id=key-1"},
	}
	if got := j.asked(); !slices.EqualFunc(got, want, slices.Equal) || j.last.GetDomain() != "burnkey" {
		t.Errorf("the service is asked %q, want %q", got, want)
	}
	access := k.sign(t, accessHeader(k.kid), claims(issuer, "jti", "token-1", "key_id", "key-1", "key_kid", "parent"))
	g.get(t, "/", bearer(access), "X-Forwarded-For: 198.51.100.7, 203.0.113.9")
	parent := [][]string{
		{"issuer=" + issuer, "key_id=key-1", "kid=parent", "owner=cust_1", "remote_address=203.0.113.9"}, {"key_id=key-1"},
	}
	if got := j.asked(); !slices.EqualFunc(got, parent, slices.Equal) {
		t.Errorf("the service is asked %q about an access token, want %q", got, parent)
	}
	if got, refused := g.accepted(t, token, 5); got != 2 || refused.Response == nil {
		t.Errorf("%d accepted after the first one, want 2", got)
	}
	direct := append(slices.Clone(want[0][:4]), "remote_address=127.0.0.1")
	if got := j.asked()[0]; !slices.Equal(got, direct) {
		t.Errorf("on a route without a name, the service is asked %q", got)
	}
	for _, tt := range []struct {
		limit any
		want  int
	}{{nil, 9}, {limitClaim(4, "YEAR"), 4}, {limitClaim(4, "year"), 9}, {"4", 9}} {
		token := k.token(t, claims(issuer, "jti", fmt.Sprint(tt.limit), "rate_limit", tt.limit))
		if got, _ := g.accepted(t, token, 9); got != tt.want {
			t.Errorf("%v: %d accepted, want %d", tt.limit, got, tt.want)
		}
	}
	asked := j.last
	if code := g.code(t, newKey(t).token(t, claims(issuer))); code != 401 || j.last != asked {
		t.Errorf("a token without a key gets %d, and the service was asked: %t", code, j.last != asked)
	}
	if g.Log() != "" {
		t.Errorf("envoy warns:\n%s", g.Log())
	}
}

func TestLimitServiceIsAway(t *testing.T) {
	t.Parallel()
	for refuse, want := range map[bool]int{false: 200, true: 503} {
		keys, j, k := newKeyServer(t), newJudge(t), newKey(t)
		keys.publish("acme", k)
		c := oneSecond
		c.Server, c.LimitServices, c.RefuseWithoutLimits = keys.url(), []string{j.addr}, refuse
		g := startGateway(t, c, keys)
		good := bearer(k.token(t, claims(c.Issuer("acme"))))
		if resp := g.get(t, "/", good); resp.StatusCode != 200 {
			t.Fatalf("while the service is there: %d", resp.StatusCode)
		}
		j.server.Stop()
		resp := g.get(t, "/", good)
		if resp.StatusCode != want {
			t.Errorf("refuse %t: %d", refuse, resp.StatusCode)
		}
		if refuse && (resp.Header.Get("Retry-After") != "1" || !strings.Contains(resp.body, "Limits cannot be checked at present.")) {
			t.Errorf("%v %s", resp.Header, resp.body)
		}
		if resp := g.get(t, "/", bearer(newKey(t).token(t, claims(c.Issuer("acme"))))); resp.StatusCode != 401 {
			t.Errorf("refuse %t: a token without a key gets %d", refuse, resp.StatusCode)
		}
	}
}

// A service that is slow for a moment still limits requests.
func TestLimitServiceIsSlow(t *testing.T) {
	t.Parallel()
	keys, j, k := newKeyServer(t), newJudge(t), newKey(t)
	keys.publish("acme", k)
	j.silent = true
	c := oneSecond
	c.Server, c.LimitServices = keys.url(), []string{j.addr}
	g := startGateway(t, c, keys)
	start := time.Now()
	code := g.code(t, k.token(t, claims(c.Issuer("acme"))))
	if took := time.Since(start); code != 200 || took < 200*time.Millisecond || took > 20*time.Second {
		t.Errorf("%d after %s", code, took)
	}
}

func TestLimitFlags(t *testing.T) {
	t.Parallel()
	many := make([]string, envoy.MaxSignedLimits+1)
	for i := range many {
		many[i] = fmt.Sprintf("%d/day", i+1)
	}
	for _, tt := range []struct {
		flag string
		edit func(*envoy.Config)
	}{
		{"", func(c *envoy.Config) { c.SignedLimits = many[1:] }},
		{"signed-limit", func(c *envoy.Config) { c.SignedLimits = many }},
		{"signed-limit", func(c *envoy.Config) { c.SignedLimits = []string{"1/day", "1/day"} }},
		{"signed-limit", func(c *envoy.Config) { c.SignedLimits = []string{"4294967296/day"} }},
		{"signed-limit", func(c *envoy.Config) { c.SignedLimits = []string{"1/week"} }},
		{"signed-limit", func(c *envoy.Config) { c.SignedLimits = []string{"0/day"} }},
		{"signed-limit", func(c *envoy.Config) { c.SignedLimits = []string{"1 /day"} }},
		{"signed-limit", func(c *envoy.Config) { c.SignedLimits = []string{""} }},
		{"signed-limit", func(c *envoy.Config) { c.SignedLimits, c.LimitServices = many[1:], []string{"127.0.0.1:1"} }},
		{"gateway", func(c *envoy.Config) { c.LimitServices = []string{"127.0.0.1"} }},
		{"limits-down", func(c *envoy.Config) { c.RefuseWithoutLimits = true }},
	} {
		c := valid()
		tt.edit(&c)
		flag, bad := "", new(envoy.FieldError)
		if errors.As(c.Validate(), &bad) {
			flag = bad.Flag
		}
		if flag != tt.flag {
			t.Errorf("%v %v: refused by %q, want %q", c.SignedLimits, c.LimitServices, flag, tt.flag)
		}
	}
}
