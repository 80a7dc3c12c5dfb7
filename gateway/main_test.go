package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	check, eventually   = testkit.Check, testkit.Eventually
	own, other, newPair = gatewaytest.Own, gatewaytest.Other, gatewaytest.NewPair
	payload             = gatewaytest.Payload
)

// options returns Options for a Gateway that follows the given workspaces of o, or all of them.
func options(o *gatewaytest.Origin, workspaces ...string) Options {
	return Options{
		Server: o.URL, PublicURL: gatewaytest.PublicURL, Workspaces: workspaces, AnyAudience: true, Log: slog.New(slog.DiscardHandler),
	}
}

// start returns a Gateway that runs until the returned function is called, or the test ends.
func start(tb testing.TB, o Options) (*Gateway, func()) {
	tb.Helper()
	g, err := New(o)
	check(tb, err)
	return g, run(tb, g)
}

func run(tb testing.TB, g *Gateway) func() {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("Run: %v", err)
		}
	})
	tb.Cleanup(stop)
	return stop
}

// follow returns a ready Gateway that follows acme, which publishes the key own, and beta, which publishes
// other.
func follow(tb testing.TB, edit func(*Options)) (*Gateway, *gatewaytest.Origin) {
	tb.Helper()
	o := gatewaytest.NewOrigin(tb, "acme", "beta")
	o.Publish("acme", own())
	o.Publish("beta", other())
	with := options(o, "acme", "beta")
	if edit != nil {
		edit(&with)
	}
	g, _ := start(tb, with)
	eventually(tb, "the keys are known", func() bool { return g.Ready() == nil })
	return g, o
}

func request(authorization ...string) Request {
	r := Request{Host: "api.example.com", Path: "/v1/tiles?x=1"}
	if len(authorization) > 0 {
		r.Headers = []jwks.HeaderField{{Name: "Authorization", Value: strings.Join(authorization, ",")}} // as Envoy does
	}
	return r
}

func with(r Request, requirements map[string]string) Request {
	r.Requirements = requirements
	return r
}

// verdict is the part of a Decision that tests compare.
type verdict struct {
	status  int // 200: allowed
	headers http.Header
	removed []string
	body    string
	fields  map[string]string
}

func ask(g *Gateway, r Request) verdict {
	d := g.Decide(context.Background(), r)
	v := verdict{status: http.StatusOK, headers: http.Header{}, fields: map[string]string{}, removed: d.Remove}
	for _, f := range d.Fields() {
		v.headers.Add(f.Header, f.Value)
		v.fields[f.Name] = f.Value
	}
	if d.Refusal != nil {
		v.status, v.body = d.Refusal.Status, string(d.Problem())
		for _, h := range d.ResponseHeaders() {
			v.headers.Add(h.Name, h.Value)
		}
	}
	return v
}

func wantProblem(t *testing.T, name string, v verdict) {
	t.Helper()
	gatewaytest.Problem(t, name, v.status, v.headers, v.body)
	if len(v.fields) > 0 || len(v.removed) > 0 {
		t.Errorf("%s: fields %v, removes %v", name, v.fields, v.removed)
	}
}

func codeOf(g *Gateway, authorization string) int { return ask(g, request(authorization)).status }

// wait polls until a token gets a status.
func wait(tb testing.TB, g *Gateway, authorization string, want int) {
	tb.Helper()
	eventually(tb, http.StatusText(want), func() bool { return codeOf(g, authorization) == want })
}

// all returns the tenants by workspace.
func (g *Gateway) all() map[string]*tenant {
	all := make(map[string]*tenant)
	for t := range g.roster.all {
		all[t.id] = t
	}
	return all
}

func keyOf(text string) func() (string, error) { return func() (string, error) { return text, nil } }
