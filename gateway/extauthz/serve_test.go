package extauthz

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/internal/testkit"
)

// serve serves s on a loopback address and returns a connection to it.
func serve(tb testing.TB, s *Server) (conn *grpc.ClientConn, addr string) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(tb, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l, 5*time.Second) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("Serve: %v", err)
		}
	})
	conn, err = grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(tb, err)
	tb.Cleanup(func() { conn.Close(); stop() })
	return conn, l.Addr().String()
}

func TestServe(t *testing.T) {
	s, _ := follow(t, nil)
	conn, _ := serve(t, s)
	client := authv3.NewAuthorizationClient(conn)
	token := "Bearer " + own().Token(payload("acme"))
	answer, err := client.Check(t.Context(), request("GET", token))
	if err != nil || answer.GetOkResponse() == nil || answer.GetDynamicMetadata().GetFields()["owner"].GetStringValue() != "cust_1" {
		t.Errorf("%v, %v", answer, err)
	}
	answer, err = client.Check(t.Context(), request("GET"))
	if err != nil || answer.GetDeniedResponse().GetStatus().GetCode() != 401 {
		t.Errorf("%v, %v", answer, err)
	}
	large := request("GET", token)
	large.Attributes.Request.Http.Headers["x"] = strings.Repeat("x", MaxCall)
	if _, err := client.Check(t.Context(), large); grpcstatus.Code(err) != codes.ResourceExhausted {
		t.Errorf("a call of over %d bytes: %v", MaxCall, err)
	}
}

func TestManyCallsAtOnce(t *testing.T) {
	s, o := follow(t, nil)
	conn, _ := serve(t, s)
	client := authv3.NewAuthorizationClient(conn)
	tokens := map[string]int{"Bearer " + own().Token(payload("acme")): 0, "Bearer x": 16, "": 16}
	var calls sync.WaitGroup
	for token, code := range tokens {
		for range 8 {
			calls.Go(func() {
				for range 20 {
					answer, err := client.Check(t.Context(), request("GET", token))
					if err != nil || answer.GetStatus().GetCode() != int32(code) {
						t.Errorf("%v, %v", answer.GetStatus(), err)
					}
				}
			})
		}
	}
	for range 20 { // changes meanwhile, of another workspace
		o.Change("beta", nil, other().KID())
		o.Publish("beta", other())
	}
	calls.Wait()
}

func TestHealth(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme")
	o.SetHook(gatewaytest.Outage)
	now := new(testkit.Clock)
	with := options(o, "acme")
	with.MaxStaleness, with.Now = time.Minute, now.Now
	s := start(t, with, nil)
	conn, _ := serve(t, s)
	client := grpc_health_v1.NewHealthClient(conn)
	wants := func(want grpc_health_v1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for _, service := range []string{"", "envoy.service.auth.v3.Authorization"} {
			eventually(t, want.String(), func() bool {
				answer, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
				return err == nil && answer.GetStatus() == want
			})
		}
	}
	wants(grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	o.SetHook(nil)
	wants(grpc_health_v1.HealthCheckResponse_SERVING)
	stopFor(t, s, o)
	now.Advance(2 * time.Minute)
	wants(grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	if _, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "x"}); grpcstatus.Code(err) != codes.NotFound {
		t.Errorf("another service: %v", err)
	}
}

// A panic fails only the call in which it happens.
func TestPanic(t *testing.T) {
	s, _ := follow(t, nil)
	_, err := s.recoverPanic(t.Context(), nil, nil, func(context.Context, any) (any, error) {
		var none []int
		return none[len(none)], nil
	})
	if grpcstatus.Code(err) != codes.Internal {
		t.Errorf("%v", err)
	}
	answer, err := s.recoverPanic(t.Context(), 1, nil, func(_ context.Context, in any) (any, error) { return in, nil })
	if err != nil || answer != 1 {
		t.Errorf("%v, %v", answer, err)
	}
}

// Stopping with no time to drain is not an error.
func TestStopAtOnce(t *testing.T) {
	s, _ := follow(t, nil)
	for range 5 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		check(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Serve(ctx, l, 0); err != nil {
			t.Fatalf("Serve: %v", err)
		}
	}
}

// Calls that do not end in time are aborted, and the health service says NOT_SERVING.
func TestStop(t *testing.T) {
	s, _ := follow(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l, 50*time.Millisecond) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(t, err)
	defer conn.Close()
	watch, err := grpc_health_v1.NewHealthClient(conn).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	check(t, err)
	if first, err := watch.Recv(); err != nil || first.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Fatalf("%v, %v", first, err)
	}
	cancel()
	if last, err := watch.Recv(); err != nil || last.GetStatus() != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("%v, %v", last, err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "still in progress") {
		t.Errorf("Serve: %v", err)
	}
	if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
		c.Close()
		t.Error("it still listens")
	}
}
