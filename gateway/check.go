package gateway

import (
	"context"
	"errors"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/burnkey/burnkey/jwks"
)

// Check answers Envoy about one request (envoy.service.auth.v3.Authorization). A
// refusal is no error.
func (g *Gateway) Check(_ context.Context, in *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	start := time.Now()
	request := in.GetAttributes().GetRequest().GetHttp()
	need, err := readRequirement(in.GetAttributes().GetContextExtensions())
	if err != nil {
		g.tellFault(err, request)
	}
	t, token, claims, no := g.judge(request, need, err)
	answer := g.answers.pass(t, claims)
	if no == nil && answer == nil {
		no = jwks.InvalidToken(jwks.ErrClaims)
	}
	reason := passed
	if no != nil {
		reason, answer = no.Reason, g.answers.refuse(no, request.GetMethod() == "HEAD", need.scopes)
	} else {
		g.note(t, token)
	}
	g.metrics.decided(reason, time.Since(start))
	return answer, nil
}

// judge says whose token a request has, or why it is refused. What a route needs
// may not have been readable.
func (g *Gateway) judge(r *authv3.AttributeContext_HttpRequest, need requirement, fault error) (*tenant, string, *jwks.Claims, *jwks.Refusal) {
	if fault != nil {
		return nil, "", nil, misconfigured
	}
	token, no := bearer(r)
	if no != nil {
		return nil, "", nil, no
	}
	t, claims, err := g.verify(token)
	switch {
	case errors.Is(err, jwks.ErrNotReady), errors.Is(err, jwks.ErrStale):
		return nil, "", nil, jwks.NotNow
	case err != nil:
		return nil, "", nil, jwks.InvalidToken(err)
	case g.o.RequireExpiration && claims.ExpiresAt().IsZero():
		return nil, "", nil, neverExpires
	}
	if no := need.check(t.id, claims); no != nil {
		return nil, "", nil, no
	}
	return t, token, claims, nil
}

// bearer finds the token. Envoy joins what was sent twice by a comma, which no token
// has, or with encode_raw_headers sends each.
func bearer(r *authv3.AttributeContext_HttpRequest) (string, *jwks.Refusal) {
	var values []string
	if value, ok := r.GetHeaders()["authorization"]; ok {
		values = append(values, value)
	}
	for _, h := range r.GetHeaderMap().GetHeaders() {
		if strings.EqualFold(h.GetKey(), "authorization") {
			values = append(values, headerValue(h))
		}
	}
	return jwks.BearerToken(values...)
}

func headerValue(h *corev3.HeaderValue) string {
	if raw := h.GetRawValue(); len(raw) > 0 {
		return string(raw)
	}
	return h.GetValue()
}
