package extauthz

import (
	"context"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"go.opentelemetry.io/otel/attribute"
	"google.golang.org/grpc/metadata"

	"github.com/burnkey/burnkey/gateway"
	"github.com/burnkey/burnkey/internal/spans"
	"github.com/burnkey/burnkey/internal/traces"
	"github.com/burnkey/burnkey/jwks"
)

// Trace records a span for each decision, unless the tracer is nil. It must be called before Serve.
func (s *Server) Trace(t *traces.Tracer) { s.tracer = t }

// Check decides about one request for Envoy (envoy.service.auth.v3.Authorization). A refusal is not an error.
func (s *Server) Check(ctx context.Context, in *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	if s.tracer == nil {
		response, _ := s.check(ctx, in)
		return response, nil
	}
	ctx = traces.Remote(ctx, parentOf(ctx, in))
	_, span := s.tracer.Start(ctx, "check")
	defer spans.End(span)
	response, reason := s.check(ctx, in)
	span.SetAttributes(attribute.String("burnkey.reason", reason))
	return response, nil
}

// parentOf returns the traceparent of the call, which an Envoy that traces sends, or else that of the request.
func parentOf(ctx context.Context, in *authv3.CheckRequest) string {
	sent, _ := metadata.FromIncomingContext(ctx)
	if values := sent.Get("traceparent"); len(values) == 1 {
		return values[0]
	}
	return in.GetAttributes().GetRequest().GetHttp().GetHeaders()["traceparent"]
}

// check returns the answer, and the reason for the metrics.
func (s *Server) check(ctx context.Context, in *authv3.CheckRequest) (*authv3.CheckResponse, string) {
	start := time.Now()
	request := in.GetAttributes().GetRequest().GetHttp()
	var some [4]jwks.HeaderField
	d := s.gateway.Decide(ctx, gateway.Request{
		Headers:      headers(request, s.gateway.HeaderNames(), some[:0]),
		Requirements: in.GetAttributes().GetContextExtensions(),
		Address:      clientAddress(ctx, in),
		Host:         request.GetHost(), Path: request.GetPath(),
	})
	reason, response := "ok", (*authv3.CheckResponse)(nil)
	if d.Refusal != nil {
		reason, response = d.Refusal.Reason, s.refuse(&d, request.GetMethod() == "HEAD")
	} else {
		response = allow(&d)
	}
	s.metrics.decided(reason, time.Since(start))
	return response, reason
}

// headers appends the headers with these names, in lower case. Envoy joins repeated headers with a comma, or sends each value
// separately if encode_raw_headers is set.
func headers(r *authv3.AttributeContext_HttpRequest, names []string, to []jwks.HeaderField) []jwks.HeaderField {
	for _, name := range names {
		if value, ok := r.GetHeaders()[name]; ok {
			to = append(to, jwks.HeaderField{Name: name, Value: value})
		}
		for _, h := range r.GetHeaderMap().GetHeaders() {
			if strings.EqualFold(h.GetKey(), name) {
				to = append(to, jwks.HeaderField{Name: name, Value: headerValue(h)})
			}
		}
	}
	return to
}

func headerValue(h *corev3.HeaderValue) string {
	if raw := h.GetRawValue(); len(raw) > 0 {
		return string(raw)
	}
	return h.GetValue()
}
