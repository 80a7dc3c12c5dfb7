// Package extauthz serves the decisions of a gateway.Gateway to Envoy's filter ext_authz
// (gRPC, envoy.service.auth.v3), and those about limits alone to its filter ratelimit (envoy.service.ratelimit.v3).
package extauthz

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/burnkey/burnkey/gateway"
	"github.com/burnkey/burnkey/internal/traces"
)

// MaxCall is the maximum size of a call in bytes. It contains the headers that Envoy is configured to send; only
// Authorization is needed.
const MaxCall = 64 << 10

const (
	maxCalls       = 10000 // at a time on one connection
	maxCallHeaders = 16 << 10
	healthEvery    = 200 * time.Millisecond
)

// A Server answers Envoy. It is safe for concurrent use.
type Server struct {
	gateway  *gateway.Gateway
	log      *slog.Logger
	metrics  *metrics
	tracer   *traces.Tracer
	refusals sync.Map // refusalKey to *authv3.CheckResponse
}

// New returns a Server that serves g's decisions. It registers its metrics and those of g at `to`, unless `to`
// is nil.
func New(g *gateway.Gateway, log *slog.Logger, to prometheus.Registerer) *Server {
	return &Server{gateway: g, log: log, metrics: newMetrics(g, to)}
}

// Serve answers on l until ctx ends, and then waits up to drain for calls in progress. Its
// health service says SERVING while the Gateway is ready.
func (s *Server) Serve(ctx context.Context, l net.Listener, drain time.Duration) error {
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(MaxCall),
		grpc.MaxConcurrentStreams(maxCalls),
		grpc.MaxHeaderListSize(maxCallHeaders),
		grpc.ConnectionTimeout(10*time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(s.recoverPanic),
	)
	authv3.RegisterAuthorizationServer(server, s)
	ratelimitv3.RegisterRateLimitServiceServer(server, s)
	state := health.NewServer()
	grpc_health_v1.RegisterHealthServer(server, state)
	s.updateHealth(state)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-failed:
			return err
		case <-tick.C:
			s.updateHealth(state)
		case <-ctx.Done():
			state.Shutdown()
			return stop(server, drain)
		}
	}
}

func stop(server *grpc.Server, drain time.Duration) error {
	if drain == 0 {
		server.Stop()
		return nil
	}
	timer := time.AfterFunc(drain, server.Stop)
	server.GracefulStop()
	if timer.Stop() {
		return nil
	}
	return fmt.Errorf("calls were still in progress after %s", drain)
}

func (s *Server) updateHealth(state *health.Server) {
	is := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if s.gateway.Ready() == nil {
		is = grpc_health_v1.HealthCheckResponse_SERVING
	}
	state.SetServingStatus("", is)
	state.SetServingStatus(authv3.Authorization_ServiceDesc.ServiceName, is)
	state.SetServingStatus(ratelimitv3.RateLimitService_ServiceDesc.ServiceName, is)
}

// recoverPanic limits the effect of a panic to one call. Envoy then refuses the request.
func (s *Server) recoverPanic(ctx context.Context, in any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (answer any, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			s.Panicked()
			s.log.ErrorContext(ctx, "panic", "fault", fmt.Sprintf("%T", fault), "stack", string(debug.Stack()))
			answer, err = nil, status.Error(codes.Internal, "internal error")
		}
	}()
	return next(ctx, in)
}
