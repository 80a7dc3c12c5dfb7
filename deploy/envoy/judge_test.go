package envoy_test

import (
	"context"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

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

func (j *judge) ShouldRateLimit(_ context.Context, in *ratelimitv3.RateLimitRequest) (*ratelimitv3.RateLimitResponse, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last = in
	code := ratelimitv3.RateLimitResponse_OK
	if limit, key := in.GetDescriptors()[0].GetLimit(), entries(in)["key_id"]; limit != nil {
		if j.taken[key] == limit.GetRequestsPerUnit() {
			code = ratelimitv3.RateLimitResponse_OVER_LIMIT
		} else {
			j.taken[key]++
		}
	}
	return &ratelimitv3.RateLimitResponse{OverallCode: code}, nil
}

// asked returns the entries of the last call's descriptor, as sorted lines.
func (j *judge) asked() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var lines []string
	for key, value := range entries(j.last) {
		lines = append(lines, key+"="+value)
	}
	return slices.Sorted(slices.Values(lines))
}

func entries(in *ratelimitv3.RateLimitRequest) map[string]string {
	all := map[string]string{}
	for _, d := range in.GetDescriptors() {
		for _, e := range d.GetEntries() {
			all[e.GetKey()] = e.GetValue()
		}
	}
	return maps.Clone(all)
}

// valueOf returns an entry of the last call.
func (j *judge) valueOf(key string) string {
	for _, line := range j.asked() {
		if value, ok := strings.CutPrefix(line, key+"="); ok {
			return value
		}
	}
	return ""
}
