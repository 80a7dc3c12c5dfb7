package httpauth

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/burnkey/burnkey/gateway"
	"github.com/burnkey/burnkey/gateway/extauthz"
	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	check, eventually = testkit.Check, testkit.Eventually
	own, payload      = gatewaytest.Own, gatewaytest.Payload
)

// counts are the Metrics of a test.
type counts struct {
	mu      sync.Mutex
	reasons map[string]int
	panics  int
}

func (c *counts) Decided(reason string, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reasons[reason]++
}

func (c *counts) Panicked() { c.panics++ }

// door is a Server at a loopback address.
type door struct {
	*Server
	url    string
	counts *counts
	grpc   *extauthz.Server // of the same Gateway
	origin *gatewaytest.Origin
	stop   func()
}

// open serves a Gateway that follows acme, which publishes the key own, and beta, which publishes other.
func open(tb testing.TB, edit func(*gateway.Options)) *door {
	tb.Helper()
	o := gatewaytest.NewOrigin(tb, "acme", "beta")
	o.Publish("acme", own())
	o.Publish("beta", gatewaytest.Other())
	with := gateway.Options{
		Server: o.URL, PublicURL: gatewaytest.PublicURL, Workspaces: []string{"acme", "beta"}, AnyAudience: true,
		Log: slog.New(slog.DiscardHandler),
	}
	if edit != nil {
		edit(&with)
	}
	g, err := gateway.New(with)
	check(tb, err)
	background(tb, func(ctx context.Context) error { return g.Run(ctx) })
	d := &door{counts: &counts{reasons: map[string]int{}}, grpc: extauthz.New(g, with.Log, nil), origin: o}
	d.Server = New(g, Options{AddressHeader: "X-Real-IP", Log: with.Log, Metrics: d.counts})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(tb, err)
	d.url = "http://" + l.Addr().String()
	d.stop = background(tb, func(ctx context.Context) error { return d.Serve(ctx, l, time.Second) })
	eventually(tb, "the keys are known", func() bool { return g.Ready() == nil })
	return d
}

// background runs a function until the test ends or stop is called.
func background(tb testing.TB, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(stop)
	return stop
}

// answer is that to a call.
type answer struct {
	status  int
	headers http.Header
	body    string
}

var plainHTTP = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// ask calls the door with these headers.
func (d *door) ask(tb testing.TB, method, target string, headers ...jwks.HeaderField) answer {
	tb.Helper()
	r, err := http.NewRequest(method, d.url+target, http.NoBody)
	check(tb, err)
	for _, h := range headers {
		r.Header.Add(h.Name, h.Value)
	}
	resp, err := plainHTTP.Do(r)
	check(tb, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(tb, err)
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// bearer returns Authorization headers.
func bearer(values ...string) (headers []jwks.HeaderField) {
	for _, value := range values {
		headers = append(headers, jwks.HeaderField{Name: "Authorization", Value: value})
	}
	return headers
}

func (a answer) String() string { return fmt.Sprintf("%d %v\n%s", a.status, a.headers, a.body) }
