package httpauth

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/burnkey/burnkey/gateway"
	"github.com/burnkey/burnkey/internal/spans"
	"github.com/burnkey/burnkey/internal/traces"
	"github.com/burnkey/burnkey/jwks"
)

// Headers of an answer that are for the proxy.
const (
	// headerPath is the path and query for the API, if the client's query contained the key.
	headerPath = "X-Burnkey-Path"
	// headerStatus and headerProblem are the status and the body of a refusal, for nginx.
	headerStatus  = "X-Burnkey-Status"
	headerProblem = "X-Burnkey-Problem"
)

// A refusal answers that the request must not pass.
type refusal func(http.ResponseWriter, *gateway.Decision)

// check answers a call about a client's request.
func (s *Server) check(w http.ResponseWriter, r *http.Request, refuse refusal) {
	if s.o.Tracer == nil {
		s.answer(r.Context(), w, r, refuse)
		return
	}
	ctx, span := s.o.Tracer.Start(traces.Remote(r.Context(), r.Header.Get("traceparent")), "check")
	defer spans.End(span)
	reason := s.answer(ctx, w, r, refuse)
	span.SetAttributes(attribute.String("burnkey.reason", reason))
}

// answer returns the reason for the metrics.
func (s *Server) answer(ctx context.Context, w http.ResponseWriter, r *http.Request, refuse refusal) string {
	start := time.Now()
	d := s.gateway.Decide(ctx, s.request(r))
	for _, h := range d.ResponseHeaders() {
		w.Header().Set(h.Name, h.Value)
	}
	reason := "ok"
	if d.Refusal != nil {
		reason = d.Refusal.Reason
		refuse(w, &d)
	} else {
		allow(w, &d)
	}
	s.o.Metrics.Decided(reason, time.Since(start))
	return reason
}

// request returns the client's request as the proxy describes it.
func (s *Server) request(r *http.Request) gateway.Request {
	to := gateway.Request{
		Requirements: requirements(r.URL.RawQuery), Address: s.clientAddress(r.Header),
		Host: r.Header.Get("X-Forwarded-Host"), Path: only(r.Header.Values("X-Forwarded-Uri")),
	}
	for _, name := range s.gateway.HeaderNames() {
		for _, value := range r.Header.Values(name) {
			to.Headers = append(to.Headers, jwks.HeaderField{Name: name, Value: value})
		}
	}
	return to
}

// requirements returns the requirements of the route. The Gateway refuses every request to a route with a name that it
// does not know; here, that is also the name of an invalid query, and of a requirement that is given twice.
func requirements(query string) map[string]string {
	if query == "" {
		return nil
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return map[string]string{"the query": query}
	}
	need := make(map[string]string, len(values))
	for name, given := range values {
		if len(given) > 1 {
			name += " (given twice)"
		}
		need[name] = given[0]
	}
	return need
}

// clientAddress returns the address that the proxy sends, or the zero Addr if it is missing or invalid.
func (s *Server) clientAddress(h http.Header) netip.Addr {
	if s.o.AddressHeader == "" {
		return netip.Addr{}
	}
	address, err := netip.ParseAddr(only(h.Values(s.o.AddressHeader)))
	if err != nil {
		return netip.Addr{}
	}
	return address
}

// only returns the value of a header that was sent once.
func only(values []string) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}

// allow answers that the request may pass.
func allow(w http.ResponseWriter, d *gateway.Decision) {
	for _, f := range d.Fields() {
		w.Header().Set(f.Header, f.Value)
	}
	if d.Path != "" {
		w.Header().Set(headerPath, d.Path)
	}
	w.WriteHeader(http.StatusOK)
}

// refuse answers with the response to the client.
func refuse(w http.ResponseWriter, d *gateway.Decision) {
	body := d.Problem()
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(d.Refusal.Status)
	_, _ = w.Write(body) // the proxy has gone
}

// refuseNginx answers in headers alone: auth_request drops the body, and treats statuses other than these two as
// faults.
func refuseNginx(w http.ResponseWriter, d *gateway.Decision) {
	w.Header().Set(headerStatus, strconv.Itoa(d.Refusal.Status))
	w.Header().Set(headerProblem, string(d.Problem()))
	if d.Refusal.Status == http.StatusUnauthorized {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.WriteHeader(http.StatusForbidden)
}
