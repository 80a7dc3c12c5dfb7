package envoy_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// judge is a rate limit service. It accepts as many requests of a key as the limit of the descriptor says, which Envoy
// takes from the token.
type judge struct {
	addr   string
	server *grpc.Server

	silent bool // never answers

	mu    sync.Mutex
	taken map[string]uint32
	last  *ratelimitv3.RateLimitRequest
}

func newJudge(t testing.TB) *judge {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	j := &judge{addr: l.Addr().String(), server: grpc.NewServer(), taken: map[string]uint32{}}
	ratelimitv3.RegisterRateLimitServiceServer(j.server, j)
	grpc_health_v1.RegisterHealthServer(j.server, health.NewServer())
	go func() { _ = j.server.Serve(l) }()
	t.Cleanup(j.server.Stop)
	return j
}

func (j *judge) ShouldRateLimit(ctx context.Context, in *ratelimitv3.RateLimitRequest) (*ratelimitv3.RateLimitResponse, error) {
	if j.silent {
		<-ctx.Done()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last = in
	code := ratelimitv3.RateLimitResponse_OK
	for _, d := range in.GetDescriptors() {
		key := fmt.Sprint(entries(d)) // as services do that count each combination of entries by itself
		switch limit := d.GetLimit(); {
		case limit == nil:
		case j.taken[key] == limit.GetRequestsPerUnit():
			code = ratelimitv3.RateLimitResponse_OVER_LIMIT
		default:
			j.taken[key]++
		}
	}
	return &ratelimitv3.RateLimitResponse{OverallCode: code}, nil
}

// asked returns the entries of the last call's descriptors, each sorted.
func (j *judge) asked() (all [][]string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, d := range j.last.GetDescriptors() {
		all = append(all, entries(d))
	}
	return all
}

func entries(d *ratelimit.RateLimitDescriptor) (lines []string) {
	for _, e := range d.GetEntries() {
		lines = append(lines, e.GetKey()+"="+e.GetValue())
	}
	return slices.Sorted(slices.Values(lines))
}
