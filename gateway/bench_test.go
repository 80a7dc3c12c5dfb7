package gateway

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/jwks"
)

// BenchmarkDecide decides about requests without any protocol.
func BenchmarkDecide(b *testing.B) {
	g, _ := follow(b, nil)
	good := own().Bearer("acme")
	rubbish := `{ "x":[` + strings.Repeat("[],", 3500) + `[]],"iss":"` + gatewaytest.PublicURL + `"}`
	for _, c := range []struct {
		name string
		in   Request
	}{
		{"good", request(good)},
		{"good with requirements", with(request(good), map[string]string{"scopes": "maps:read", "audience": "maps"})},
		{"no token", request()},
		{"unknown kid", request(newPair().Bearer("acme"))},
		{"rubbish, and an iss that is not the first", request("Bearer " + newPair().Token(rubbish))},
		{"another issuer", request(own().Bearer("gamma"))},
		{"lacks a scope", with(request(good), map[string]string{"scopes": "admin"})},
	} {
		decide(b, c.name, g, c.in)
	}
	reporting, _ := follow(b, reportHourly)
	decide(b, "good, its use recorded", reporting, request(good))
	if n := reporting.all()["acme"].uses.pending.Load(); n != 1 {
		b.Errorf("%d uses are recorded", n)
	}
	for range 1 << 20 {
		reporting.all()["acme"].uses.record(randomKID(), time.Now(), nil)
	}
	decide(b, "good, its use recorded beside a million others", reporting, request(good))
}

func decide(b *testing.B, name string, g *Gateway, r Request) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			g.Decide(b.Context(), r)
		}
	})
}

// BenchmarkFind selects the workspace of a token.
func BenchmarkFind(b *testing.B) {
	g, _ := follow(b, nil)
	token := own().Token(payload("acme"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.issuer.find(&g.roster, token); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRecordUse measures a decision that also records the use of the key.
func BenchmarkRecordUse(b *testing.B) {
	g, _ := follow(b, reportHourly)
	acme, token := g.all()["acme"], own().Token(payload("acme"))
	b.ReportAllocs()
	for b.Loop() {
		g.recordUse(acme, token, new(jwks.Claims))
	}
}

func TestAllocations(t *testing.T) {
	g, _ := follow(t, nil)
	token := own().Token(payload("acme"))
	if n := testing.AllocsPerRun(100, func() {
		if _, err := g.issuer.find(&g.roster, token); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("finding the workspace takes %v allocations", n)
	}
	verifies := testing.AllocsPerRun(100, func() { _, _, _ = g.verify(token, netip.Addr{}) })
	good, none := request("Bearer "+token), request()
	if n := testing.AllocsPerRun(100, func() { g.Decide(t.Context(), good) }); n > verifies {
		t.Errorf("a decision takes %v allocations, %v of them to verify", n, verifies)
	}
	if n := testing.AllocsPerRun(100, func() { g.Decide(t.Context(), none) }); n > 0 {
		t.Errorf("refusing a request without a token takes %v allocations", n)
	}
	reporting, _ := follow(t, reportHourly)
	acme := reporting.all()["acme"]
	reporting.recordUse(acme, token, new(jwks.Claims))
	if n := testing.AllocsPerRun(100, func() { reporting.recordUse(acme, token, new(jwks.Claims)) }); n > 0 {
		t.Errorf("recording a use takes %v allocations", n)
	}
}

// BenchmarkDecideLimits compares, in one run, decisions about a key without limits and with some.
func BenchmarkDecideLimits(b *testing.B) {
	f := limitedGateway(b, nil)
	in := with(from(request(own().Bearer("acme")), "192.0.2.1"), map[string]string{"route": "tiles"})
	rule := jwks.Limit{Name: "burst", Requests: 1 << 30, Seconds: 1}
	decide(b, "none", f.Gateway, in)
	part := func(name string, a *jwks.Attributes) {
		b.Run("the part of limits: "+name, func(b *testing.B) {
			b.ReportAllocs()
			t, of := f.all()["acme"], &limited{time.Now(), "key-1", "cust_1", "tiles", in.Address, a}
			for b.Loop() {
				_, _, _ = f.limit(b.Context(), t, of, 1)
			}
		})
	}
	part("none", &jwks.Attributes{})
	f.set(b, jwks.Attributes{Plan: "free"}, shared(jwks.OnPlan, "free", rule))
	decide(b, "a plan's rate", f.Gateway, in)
	part("a plan's rate", &jwks.Attributes{Plan: "free"})
	f.set(b, jwks.Attributes{Plan: "free"}, shared(jwks.OnPlan, "free", rule, monthly("quota", 1<<31)),
		shared(jwks.OnOwner, jwks.AnyName, rule), shared(jwks.OnRoute, "tiles", rule), shared(jwks.OnAddress, jwks.AnyName, rule),
		shared(jwks.OnTotal, jwks.AnyName, rule))
	decide(b, "a plan's rate and quota, and rates of the owner, route, address and total", f.Gateway, in)
}
