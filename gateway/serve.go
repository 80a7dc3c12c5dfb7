package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/burnkey/burnkey/jwks"
)

// Limits of what Envoy may send. A call holds the headers that it was told to send,
// of which Authorization alone is needed.
const (
	MaxCall        = 64 << 10 // bytes
	maxCalls       = 10000    // at one time on one connection
	maxCallHeaders = 16 << 10
	lookEvery      = 200 * time.Millisecond
	firstPatience  = 30 * time.Second
)

// Serve answers on l until ctx ends, and then lets the calls in progress finish,
// for so long at most. Its health service says SERVING while Ready does.
func (g *Gateway) Serve(ctx context.Context, l net.Listener, drain time.Duration) error {
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(MaxCall),
		grpc.MaxConcurrentStreams(maxCalls),
		grpc.MaxHeaderListSize(maxCallHeaders),
		grpc.ConnectionTimeout(10*time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(g.recoverPanic),
	)
	authv3.RegisterAuthorizationServer(server, g)
	state := health.NewServer()
	grpc_health_v1.RegisterHealthServer(server, state)
	g.show(state)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-failed:
			return err
		case <-tick.C:
			g.show(state)
		case <-ctx.Done():
			state.Shutdown()
			return stop(server, drain)
		}
	}
}

func stop(server *grpc.Server, drain time.Duration) error {
	if drain == 0 { // nothing is waited for, on purpose
		server.Stop()
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.GracefulStop()
	}()
	timer := time.NewTimer(drain)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C:
	}
	server.Stop()
	<-done
	return fmt.Errorf("calls were still in progress after %s", drain)
}

func (g *Gateway) show(state *health.Server) {
	is := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if g.Ready() == nil {
		is = grpc_health_v1.HealthCheckResponse_SERVING
	}
	state.SetServingStatus("", is)
	state.SetServingStatus(authv3.Authorization_ServiceDesc.ServiceName, is)
}

// recoverPanic keeps a fault of one call from ending all others. Envoy refuses the
// request.
func (g *Gateway) recoverPanic(ctx context.Context, in any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (answer any, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			g.metrics.panics.Inc()
			g.o.Log.ErrorContext(ctx, "panic", "fault", fmt.Sprintf("%T", fault), "stack", string(debug.Stack()))
			answer, err = nil, status.Error(codes.Internal, "a fault of this program")
		}
	}()
	return next(ctx, in)
}

// Ready returns nil once every workspace of the first list has keys, and unless all have
// keys that are too old to be used, as where the server is out of reach; else an error
// that is jwks.ErrNotReady or jwks.ErrStale. One workspace holds up no other: neither
// one that is new, nor, after half a minute, one whose set the server can't give. Where
// the server is known to sign for another issuer, it is an *IssuerError.
func (g *Gateway) Ready() error {
	if wrong := g.wrongIssuer.Load(); wrong != nil {
		return wrong
	}
	switch {
	case !g.complete.Load():
		if why := g.lacking.Load(); why != nil {
			return fmt.Errorf("%w: %w", jwks.ErrNotReady, *why)
		}
		return jwks.ErrNotReady
	case g.lost.Load() && !g.o.ServeStale:
		return jwks.ErrStale
	}
	return nil
}

// watch looks how the tenants are, and says when keys get too old.
func (g *Gateway) watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		g.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (g *Gateway) look(ctx context.Context) {
	known := g.roster.Load()
	if known == nil {
		return
	}
	with, waiting, stale := 0, 0, int64(0)
	var why *error
	for _, t := range known.tenants {
		status := t.follower.Status()
		switch err := status.Usable(g.o.MaxStaleness); {
		case errors.Is(err, jwks.ErrNotReady):
			failed := status.Err
			if failed == nil {
				waiting++
			} else if why == nil || errors.Is(failed, jwks.ErrNoWorkspace) {
				why = &failed
			}
			continue
		case err != nil:
			stale++
		}
		with++
	}
	g.lacking.Store(why)
	g.lost.Store(stale > 0 && int(stale) == with)
	without := len(known.tenants) - with + known.unfollowed
	enough := without == 0 || with > 0 && waiting == 0 && time.Since(g.began) > g.patience
	if enough && g.complete.CompareAndSwap(false, true) {
		g.o.Log.InfoContext(ctx, "the workspaces have their keys", "workspaces", with, "without", without)
	}
	switch before := g.stale.Swap(stale); {
	case stale > 0 && before == 0:
		does := "their tokens are refused with 503"
		if g.o.ServeStale {
			does = "they stay in use"
		}
		g.o.Log.WarnContext(ctx, "keys are older than allowed: "+does, "workspaces", stale, "max_staleness", g.o.MaxStaleness)
	case stale == 0 && before > 0:
		g.o.Log.InfoContext(ctx, "keys are current again")
	}
}
