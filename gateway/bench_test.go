package gateway

import (
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"
)

// BenchmarkCheck judges requests without the network. The answer is written as it
// goes to Envoy, since that is part of what it costs.
func BenchmarkCheck(b *testing.B) {
	g, _ := follow(b, nil)
	good := "Bearer " + own().token(payload("acme"))
	for _, c := range []struct {
		name string
		in   *authv3.CheckRequest
	}{
		{"good", request("GET", good)},
		{"good with requirements", with(request("GET", good), map[string]string{"scopes": "maps:read", "audience": "maps"})},
		{"no token", request("GET")},
		{"unknown kid", request("GET", "Bearer "+newPair().token(payload("acme")))},
		{"rubbish, and an iss that is not the first", request("GET", "Bearer "+newPair().token(`{ "x":[`+strings.Repeat("[],", 3500)+`[]],"iss":"`+publicURL+`"}`))},
		{"another issuer", request("GET", "Bearer "+own().token(payload("gamma")))},
		{"lacks a scope", with(request("GET", good), map[string]string{"scopes": "admin"})},
	} {
		judge(b, c.name, g, c.in)
	}
	reporting, _ := follow(b, reportOf)
	judge(b, "good, its use noted", reporting, request("GET", good))
	if n := reporting.all()["acme"].uses.pending.Load(); n != 1 {
		b.Errorf("%d uses are noted", n)
	}
	for range 1 << 20 {
		reporting.all()["acme"].uses.note(randomKID(), time.Now())
	}
	judge(b, "good, its use noted beside a million others", reporting, request("GET", good))
}

func judge(b *testing.B, name string, g *Gateway, in *authv3.CheckRequest) {
	b.Run(name, func(b *testing.B) {
		var buf []byte
		b.ReportAllocs()
		for b.Loop() {
			answer, err := g.Check(b.Context(), in)
			check(b, err)
			buf, err = proto.MarshalOptions{}.MarshalAppend(buf[:0], answer)
			check(b, err)
		}
	})
}

// BenchmarkFind chooses the workspace of a token.
func BenchmarkFind(b *testing.B) {
	g, _ := follow(b, nil)
	token := own().token(payload("acme"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.spokenFor.find(g.all(), token); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkNote keeps that a key was used, which comes on top of a decision.
func BenchmarkNote(b *testing.B) {
	g, _ := follow(b, reportOf)
	acme, token := g.all()["acme"], own().token(payload("acme"))
	b.ReportAllocs()
	for b.Loop() {
		g.note(acme, token)
	}
}

// What is ours of a decision allocates next to nothing, whoever verifies.
func TestAllocations(t *testing.T) {
	g, _ := follow(t, nil)
	token := own().token(payload("acme"))
	tenants := g.all()
	if n := testing.AllocsPerRun(100, func() {
		if _, err := g.spokenFor.find(tenants, token); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("to find the workspace takes %v allocations", n)
	}
	acme, claims, err := g.verify(token)
	check(t, err)
	if n := testing.AllocsPerRun(100, func() { g.answers.pass(acme, claims) }); n > 3 {
		t.Errorf("to let pass takes %v allocations", n)
	}
	reporting, _ := follow(t, reportOf)
	acme = reporting.all()["acme"]
	reporting.note(acme, token)
	if n := testing.AllocsPerRun(100, func() { reporting.note(acme, token) }); n > 0 {
		t.Errorf("to note a use takes %v allocations", n)
	}
	none := request("GET")
	if n := testing.AllocsPerRun(100, func() { _, _ = g.Check(t.Context(), none) }); n > 0 {
		t.Errorf("to refuse what has no token takes %v allocations", n)
	}
}
