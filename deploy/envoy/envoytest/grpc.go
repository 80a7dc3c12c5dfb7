package envoytest

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// GRPC serves an API of gRPC until the test ends: grpc.health.v1.Health. It returns its address.
func GRPC(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return l.Addr().String()
}

// A GRPCClient calls the API of GRPC through a gateway.
type GRPCClient struct{ health grpc_health_v1.HealthClient }

// NewGRPCClient returns a client that is closed when the test ends.
func NewGRPCClient(t testing.TB, addr string) *GRPCClient {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &GRPCClient{grpc_health_v1.NewHealthClient(conn)}
}

// Call calls Check with an Authorization header, unless it is empty.
func (c *GRPCClient) Call(t testing.TB, authorization string) *status.Status {
	t.Helper()
	ctx, cancel := c.context(t, authorization)
	defer cancel()
	_, err := c.health.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	return status.Convert(err)
}

// Watch calls a streaming method. It returns OK if a message arrives, or else the status with which the call ended.
func (c *GRPCClient) Watch(t testing.TB, authorization string) *status.Status {
	t.Helper()
	ctx, cancel := c.context(t, authorization)
	defer cancel()
	stream, err := c.health.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	return status.Convert(err)
}

func (c *GRPCClient) context(t testing.TB, authorization string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	if authorization != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", authorization)
	}
	return ctx, cancel
}
