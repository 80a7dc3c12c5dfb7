package gateway

import (
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/jwks"
)

// exchanged returns an access token that beta's key signed for own; each id is another token.
func exchanged(id string, replace ...string) Request {
	return request("Bearer " + other().AccessToken(gatewaytest.AccessPayload("acme", own().KID(), append(replace, "token-1", id)...)))
}

// signing returns a limitedGateway whose workspace acme has another signer, and reports uses.
func signing(tb testing.TB) *fixture {
	tb.Helper()
	f := limitedGateway(tb, reportHourly)
	f.apply(tb, jwks.Change{Add: []jwks.Key{other().Key}})
	return f
}

func (f *fixture) apply(tb testing.TB, c jwks.Change) {
	tb.Helper()
	f.version++
	c.Version = f.version
	check(tb, f.table.Apply(c))
}

// An API learns of the key, not of the access token.
func TestDecideAllowsAccessTokens(t *testing.T) {
	f := signing(t)
	want := map[string]string{"key_id": "key-1", "owner": "cust_1", "workspace": "acme", "scopes": "maps:read tiles:read"}
	for range 2 {
		if v := ask(f.Gateway, exchanged("a")); v.status != 200 || !reflect.DeepEqual(v.fields, want) {
			t.Errorf("%d %s, %v", v.status, v.body, v.fields)
		}
	}
	d := f.Decide(t.Context(), exchanged("a"))
	if headers := d.ResponseHeaders(); !reflect.DeepEqual(headers, active) {
		t.Errorf("headers %v", headers)
	}
	f.set(t, jwks.Attributes{RotatedAt: time.Unix(1, 0), EndsAt: time.Unix(4102440000, 0)})
	d = f.Decide(t.Context(), exchanged("a"))
	if headers := d.ResponseHeaders(); len(headers) != 3 || headers[0].Value != jwks.KeyRotated || headers[1].Value != "@1" {
		t.Errorf("headers %v", headers)
	}
}

// The moment a change of the key is applied, it holds for all access tokens of the key.
func TestDecideByTheParent(t *testing.T) {
	f := signing(t)
	at := func(r Request) int { return ask(f.Gateway, from(r, "192.0.2.1")).status }
	need := func(r Request) Request { return with(r, map[string]string{"scopes": "tiles:read"}) }
	for _, step := range []struct {
		name   string
		change func()
		want   int
		more   int // for a route that requires tiles:read
	}{
		{"at first", func() {}, 200, 200},
		{"narrower", func() { f.set(t, jwks.Attributes{Scopes: []string{"maps:read", "admin"}}) }, 200, 403},
		{"wider", func() { f.set(t, jwks.Attributes{Scopes: []string{"maps:read", "tiles:read", "admin"}}) }, 200, 200},
		{"from elsewhere", func() {
			f.set(t, jwks.Attributes{AllowedIPs: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}})
		}, 403, 403},
		{"at its end", func() { f.set(t, jwks.Attributes{ExpiresAt: time.Unix(2, 0)}) }, 401, 401},
		{"after its grace", func() { f.set(t, jwks.Attributes{EndsAt: time.Unix(2, 0)}) }, 401, 401},
		{"never ending", func() { f.set(t, jwks.Attributes{NeverExpires: true}) }, 200, 200},
		{"suspended", func() { f.apply(t, jwks.Change{Remove: []jwks.KID{own().KID()}}) }, 401, 401},
		{"resumed", func() { f.apply(t, jwks.Change{Add: []jwks.Key{own().Key}}) }, 200, 200},
		{"without its signer", func() { f.apply(t, jwks.Change{Remove: []jwks.KID{other().KID()}}) }, 401, 401},
	} {
		step.change()
		for _, id := range []string{"a", "b", "a"} {
			if got, more := at(exchanged(id)), at(need(exchanged(id))); got != step.want || more != step.more {
				t.Errorf("%s: %d and %d, want %d and %d", step.name, got, more, step.want, step.more)
			}
		}
	}
	wide := exchanged("c", "maps:read tiles:read", "maps:read tiles:read admin")
	f.apply(t, jwks.Change{Add: []jwks.Key{other().Key}})
	f.set(t, jwks.Attributes{Scopes: []string{"maps:read"}})
	if v := ask(f.Gateway, wide); v.status != 200 || v.fields["scopes"] != "maps:read" {
		t.Errorf("%d %v", v.status, v.fields)
	}
	if got := at(with(wide, map[string]string{"scopes": "admin"})); got != 403 {
		t.Errorf("a scope of the token alone: %d", got)
	}
}

// The key and all its access tokens are counted together, and reported as uses of the key.
func TestLimitsOfTheParent(t *testing.T) {
	f := signing(t)
	f.set(t, jwks.Attributes{Plan: "gold", Limits: []jwks.Limit{perHour("own", 5)}}, shared(jwks.OnPlan, "gold", monthly("month", 9)))
	f.stop() // it would report, too
	got := f.passed(2, same(request(own().Bearer("acme")))) + f.passed(4, func(i int) Request { return exchanged(string(rune('a' + i))) })
	if got != 5 {
		t.Errorf("%d of 6 pass, want 5", got)
	}
	if got := f.passed(1, same(request(own().Bearer("acme")))); got != 0 {
		t.Error("the key is counted apart from its access tokens")
	}
	r, acme := reporter{Gateway: f.Gateway}, f.all()["acme"]
	if result := r.report(t.Context(), acme); result != reported {
		t.Fatalf("report: %s", resultNames[result])
	}
	reports := f.origin.Reports("acme")
	last := reports[len(reports)-1] // a gateway that has just started has reported no uses
	if len(last.Keys) != 1 || last.Keys[0].KID != own().KID().String() || len(last.Keys[0].Limits) != 2 ||
		last.Keys[0].Limits[0].Remaining != 0 {
		t.Errorf("reported %+v", last.Keys)
	}
}

// A gateway that follows the feed accepts access tokens without the prefix of their workspace, and its keys with it.
func TestAccessTokensAreBare(t *testing.T) {
	t.Parallel()
	o := gatewaytest.NewOrigin(t, "acme")
	o.Publish("acme", own())
	o.Publish("acme", other())
	o.Apply("acme", jwks.Change{Unsigned: jwks.Unsigned{Settings: &jwks.Settings{TokenPrefix: "acme-"}}})
	with := options(o)
	with.Key = keyOf(gatewaytest.ManagementKey)
	g, _ := start(t, with)
	wait(t, g, prefixed("acme-", own().Bearer("acme")), http.StatusOK)
	bearer := exchanged("a").Headers[0].Value
	for authorization, want := range map[string]int{bearer: 200, prefixed("acme-", bearer): 401, own().Bearer("acme"): 401} {
		if got := codeOf(g, authorization); got != want {
			t.Errorf("%.20s: %d, want %d", authorization, got, want)
		}
	}
	o.Change("acme", nil, own().KID())
	wait(t, g, bearer, http.StatusUnauthorized)
	if v := ask(g, request(bearer)); !strings.Contains(v.body, "revoked") {
		t.Errorf("%s", v.body)
	}
}
