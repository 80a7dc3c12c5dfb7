package extauthz

import (
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"github.com/burnkey/burnkey/gateway"
	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/jwks"
)

// BenchmarkCheck measures the answer to a call by Envoy, without the network. The time includes marshalling the
// response.
func BenchmarkCheck(b *testing.B) {
	s, _ := follow(b, nil)
	good := own().Bearer("acme")
	rubbish := `{ "x":[` + strings.Repeat("[],", 3500) + `[]],"iss":"` + gatewaytest.PublicURL + `"}`
	for _, c := range []struct {
		name string
		in   *authv3.CheckRequest
	}{
		{"good", request("GET", good)},
		{"good with requirements", with(request("GET", good), map[string]string{"scopes": "maps:read", "audience": "maps"})},
		{"no token", request("GET")},
		{"unknown kid", request("GET", newPair().Bearer("acme"))},
		{"rubbish, and an iss that is not the first", request("GET", "Bearer "+newPair().Token(rubbish))},
		{"another issuer", request("GET", own().Bearer("gamma"))},
		{"lacks a scope", with(request("GET", good), map[string]string{"scopes": "admin"})},
	} {
		answer(b, c.name, s, c.in)
	}
	reporting, _ := follow(b, reportHourly)
	answer(b, "good, its use recorded", reporting, request("GET", good))
}

func answer(b *testing.B, name string, s *Server, in *authv3.CheckRequest) {
	b.Run(name, func(b *testing.B) {
		var buf []byte
		b.ReportAllocs()
		for b.Loop() {
			response, err := s.Check(b.Context(), in)
			check(b, err)
			buf, err = proto.MarshalOptions{}.MarshalAppend(buf[:0], response)
			check(b, err)
		}
	})
}

func TestAllocations(t *testing.T) {
	s, _ := follow(t, nil)
	d := s.gateway.Decide(t.Context(), gateway.Request{Headers: []jwks.HeaderField{{Name: "Authorization", Value: own().Bearer("acme")}}})
	if n := testing.AllocsPerRun(100, func() { allow(&d) }); n > 3 {
		t.Errorf("allowing a request takes %v allocations", n)
	}
	none := request("GET")
	if n := testing.AllocsPerRun(100, func() { _, _ = s.Check(t.Context(), none) }); n > 0 {
		t.Errorf("refusing a request without a token takes %v allocations", n)
	}
}

// BenchmarkCheckLimits compares, in one run, answers about a key without limits and with some.
func BenchmarkCheckLimits(b *testing.B) {
	s, o := followFeed(b, nil)
	in := with(request("GET", own().Bearer("acme")), map[string]string{"route": "tiles"})
	rule := jwks.Limit{Name: "burst", Requests: 1 << 30, Seconds: 1}
	run := func(name string, rules int, a jwks.Attributes, sets ...jwks.LimitSet) {
		setLimits(o, a, sets...)
		eventually(b, "the limits hold", func() bool {
			answer, err := s.Check(b.Context(), in)
			check(b, err)
			left := ""
			for _, h := range answer.GetOkResponse().GetResponseHeadersToAdd() {
				if h.GetHeader().GetKey() == "ratelimit" {
					left = h.GetHeader().GetValue()
				}
			}
			return strings.Count(left, ";r=") == rules
		})
		answer(b, name, s, in)
	}
	run("none", 0, jwks.Attributes{})
	run("a plan's rate", 1, jwks.Attributes{Plan: "free"}, limitsOf(jwks.OnPlan, "free", rule))
	run("rates of the plan, owner, route, address and total", 5, jwks.Attributes{Plan: "free"},
		limitsOf(jwks.OnOwner, jwks.AnyName, rule), limitsOf(jwks.OnRoute, "tiles", rule),
		limitsOf(jwks.OnAddress, jwks.AnyName, rule), limitsOf(jwks.OnTotal, jwks.AnyName, rule))
}
