package extauthz

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

// addressProbe accepts every request and records the address of its client.
type addressProbe struct {
	mu   sync.Mutex
	last netip.Addr
}

func (p *addressProbe) Check(ctx context.Context, in *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = clientAddress(ctx, in)
	return &authv3.CheckResponse{}, nil
}

// serveEnvoy serves Envoy with a service of the test, and returns its address.
func serveEnvoy(t *testing.T, service authv3.AuthorizationServer) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	server := grpc.NewServer()
	authv3.RegisterAuthorizationServer(server, service)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return l.Addr().String()
}

// seen sends a request and returns the address that Envoy passed on.
func (p *addressProbe) seen(t *testing.T, f *front, lines ...string) string {
	t.Helper()
	p.mu.Lock()
	p.last = netip.Addr{}
	p.mu.Unlock()
	f.send(t, "GET", "/", append(lines, auth(own(), payload("acme")))...)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last.String()
}

// A client cannot choose its address: without trusted proxies no header counts, and with N of them only the Nth
// address from the end of X-Forwarded-For, which the first of the proxies appended.
func TestEnvoyReportsTheClientsAddress(t *testing.T) {
	t.Parallel()
	p := &addressProbe{}
	addr := serveEnvoy(t, p)
	const own = "127.0.0.1"
	for hops, tests := range []map[string]string{
		{
			"Accept: */*": own, "X-Forwarded-For: 203.0.113.9": own, "X-Forwarded-For: 203.0.113.9, 203.0.113.8": own,
			"X-Envoy-External-Address: 203.0.113.9": own, "Burnkey-Client-Address: 203.0.113.9": own,
			"Forwarded: for=203.0.113.9": own, "X-Real-IP: 203.0.113.9": own,
		},
		{
			"Accept: */*": own, "X-Forwarded-For: 203.0.113.9": "203.0.113.9",
			"X-Forwarded-For: 198.51.100.7, 203.0.113.9":                      "203.0.113.9",
			"X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-For: 203.0.113.9":   "203.0.113.9",
			"X-Forwarded-For: ::ffff:203.0.113.9":                             "203.0.113.9",
			"X-Forwarded-For: 2001:db8::1":                                    "2001:db8::1",
			"X-Forwarded-For: 203.0.113.9, unknown":                           own,
			"Burnkey-Client-Address: 8.8.8.8\r\nX-Forwarded-For: 203.0.113.9": "203.0.113.9",
		},
		{
			"X-Forwarded-For: 203.0.113.9":                             own, // past the first proxy
			"X-Forwarded-For: 198.51.100.7, 203.0.113.9":               "198.51.100.7",
			"X-Forwarded-For: 192.0.2.1, 198.51.100.7, ::ffff:1.2.3.4": "198.51.100.7",
		},
	} {
		f := envoyWith(t, envoy.Config{Gateways: []string{addr}, TrustedHops: hops})
		for lines, want := range tests {
			if got := p.seen(t, f, lines); got != want {
				t.Errorf("%d hops, %q: %s, want %s", hops, lines, got, want)
			}
		}
	}
}

// silent never answers.
type silent struct{}

func (silent) Check(ctx context.Context, _ *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// Envoy waits for half a second, whatever the intervals between retries are.
func TestEnvoyWaitsForAnAnswer(t *testing.T) {
	t.Parallel()
	f := envoyAsRendered(t, envoy.Config{Gateways: []string{serveEnvoy(t, silent{})}})
	start := time.Now()
	code := f.code(t, "/", auth(own(), payload("acme")))
	if took := time.Since(start); code != 503 || took < 400*time.Millisecond || took > 20*time.Second {
		t.Errorf("%d after %s", code, took)
	}
}

// A client that connects by IPv4 to a listener for both protocols has its IPv4 address.
func TestEnvoyOnBothProtocols(t *testing.T) {
	t.Parallel()
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("no IPv6:", err)
	} else {
		l.Close()
	}
	p := &addressProbe{}
	addr := serveEnvoy(t, p)
	_, port, _ := net.SplitHostPort(envoytest.FreeAddr(t))
	f := envoyWith(t, envoy.Config{Gateways: []string{addr}, Listen: net.JoinHostPort("::", port)})
	for _, host := range []string{"127.0.0.1", "::1"} {
		f.addr = net.JoinHostPort(host, port)
		if got := p.seen(t, f); got != host {
			t.Errorf("a client at %s: %s", host, got)
		}
	}
}

func TestClientAddress(t *testing.T) {
	call := func(source string) *authv3.CheckRequest {
		socket := &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: source}}
		peer := &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: socket}}
		return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Source: peer}}
	}
	invalid := netip.Addr{}.String()
	for _, tt := range []struct {
		source string
		sent   []string
		want   string
	}{
		{"203.0.113.9", nil, "203.0.113.9"},
		{"::ffff:203.0.113.9", nil, "203.0.113.9"},
		{"fe80::1%eth0", nil, "fe80::1"},
		{"192.0.2.1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"192.0.2.1", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		{"192.0.2.1", []string{"x"}, invalid},
		{"192.0.2.1", []string{""}, invalid},
		{"192.0.2.1", []string{"203.0.113.9", "203.0.113.9"}, invalid},
		{"", nil, invalid},
	} {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.MD{addressKey: tt.sent})
		if got := clientAddress(ctx, call(tt.source)).String(); got != tt.want {
			t.Errorf("source %q, sent %q: %s, want %s", tt.source, tt.sent, got, tt.want)
		}
	}
	if got := clientAddress(t.Context(), &authv3.CheckRequest{}); got.IsValid() {
		t.Errorf("no address: %s", got)
	}
}
