package extauthz

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	descriptorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/burnkey/burnkey/gateway"
	"github.com/burnkey/burnkey/jwks"
)

// Keys of the entries of a descriptor, as `burnkey envoy config` renders them.
const (
	entryIssuer  = "issuer"
	entryKID     = "kid"
	entryKeyID   = "key_id"
	entryOwner   = "owner"
	entryRoute   = "route"
	entryAddress = "remote_address"
)

// ShouldRateLimit counts a request for an Envoy that verifies tokens itself (envoy.service.ratelimit.v3). Descriptors
// without an issuer are for other services. After an error, Envoy's failure_mode_deny decides.
func (s *Server) ShouldRateLimit(ctx context.Context, in *ratelimitv3.RateLimitRequest) (*ratelimitv3.RateLimitResponse, error) {
	start := time.Now()
	r, ok := limitRequest(in)
	if !ok {
		return nil, status.Error(codes.InvalidArgument, "no descriptor has an entry "+entryIssuer)
	}
	d, err := s.gateway.Limit(ctx, r)
	switch {
	case errors.Is(err, jwks.ErrIssuer):
		return nil, status.Error(codes.NotFound, "the workspace of the issuer is not followed")
	case err != nil:
		return nil, status.Error(codes.Unavailable, err.Error())
	case d.Refusal == nil:
		s.metrics.decided("ok", time.Since(start))
		return limitResponse(ratelimitv3.RateLimitResponse_OK, d.ResponseHeaders(), nil), nil
	}
	s.metrics.decided(d.Refusal.Reason, time.Since(start))
	if grpcCode(d.Refusal.Status) == codes.Unavailable {
		return nil, status.Error(codes.Unavailable, d.Refusal.Detail)
	}
	return limitResponse(ratelimitv3.RateLimitResponse_OVER_LIMIT, d.ResponseHeaders(), d.Problem()), nil
}

// limitRequest returns the request of the first descriptor with an issuer.
func limitRequest(in *ratelimitv3.RateLimitRequest) (*gateway.LimitRequest, bool) {
	for _, d := range in.GetDescriptors() {
		r := gateway.LimitRequest{N: hits(in, d)}
		for _, e := range d.GetEntries() {
			switch e.GetKey() {
			case entryIssuer:
				r.Issuer = e.GetValue()
			case entryKID:
				r.KID = e.GetValue()
			case entryKeyID:
				r.KeyID = e.GetValue()
			case entryOwner:
				r.Owner = e.GetValue()
			case entryRoute:
				r.Route = e.GetValue()
			case entryAddress:
				r.Address, _ = netip.ParseAddr(e.GetValue()) // or the zero Addr
			}
		}
		if r.Issuer != "" {
			return &r, true
		}
	}
	return nil, false
}

// hits returns the number of requests. In the whole call, 0 means that it was left out.
func hits(in *ratelimitv3.RateLimitRequest, d *descriptorv3.RateLimitDescriptor) uint32 {
	if n := d.GetHitsAddend(); n != nil {
		return uint32(min(n.GetValue(), math.MaxUint32))
	}
	return max(1, in.GetHitsAddend())
}

func limitResponse(code ratelimitv3.RateLimitResponse_Code, headers []gateway.Header, body []byte) *ratelimitv3.RateLimitResponse {
	response := &ratelimitv3.RateLimitResponse{
		OverallCode: code, RawBody: body, ResponseHeadersToAdd: make([]*corev3.HeaderValue, len(headers)),
	}
	for i, h := range headers {
		response.ResponseHeadersToAdd[i] = &corev3.HeaderValue{Key: h.Name, Value: h.Value}
	}
	return response
}
