// Package traces records OpenTelemetry traces and sends them to a collector by OTLP over HTTP. Spans have routes,
// workspaces and results, but no token, header or owner.
package traces

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/burnkey/burnkey/internal/logs"
	"github.com/burnkey/burnkey/internal/spans"
)

// Limits on how many spans wait for the collector, and on the time to send them. If the queue is full, spans are dropped.
const (
	queue   = 2048 // spans
	timeout = 5 * time.Second
)

// parents reads the W3C header traceparent. Its companion tracestate is never given to it: a span would contain what the client wrote.
var parents = propagation.TraceContext{}

// Options of a Tracer.
type Options struct {
	Endpoint string  // URL of the collector, such as http://127.0.0.1:4318
	Ratio    float64 // share of the traces that begin here; a trace that began elsewhere is recorded if its parent is
	Service  string  // name in the traces
	Version  string
	Log      *slog.Logger
}

// Tracer starts spans. A nil Tracer starts none. It is safe for concurrent use.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// CheckEndpoint returns an error that names the rule if the text is not a valid Endpoint.
func CheckEndpoint(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("must be an http or https URL without a password, such as http://127.0.0.1:4318")
	case strings.ContainsAny(text, "?#"):
		return errors.New("must not have a query or a fragment")
	case strings.HasSuffix(u.Host, ":"):
		return errors.New("must have a port after the colon")
	case u.Port() != "":
		if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
			return errors.New("must have a port from 1 to 65535")
		}
	}
	return nil
}

// signalPath is what OTLP adds to the URL of a collector for traces.
const signalPath = "/v1/traces"

// signalURL returns the URL to which spans are sent. An endpoint may have the path already.
func signalURL(endpoint string) (string, error) {
	return url.JoinPath(strings.TrimSuffix(strings.TrimRight(endpoint, "/"), signalPath), signalPath)
}

// New returns a Tracer. It connects to the collector when it has spans to send. If the collector is unreachable, only
// the spans are lost. It reports errors of the collector at most once a minute.
func New(ctx context.Context, o Options) (*Tracer, error) {
	endpoint, err := signalURL(o.Endpoint)
	if err != nil {
		return nil, err
	}
	// A redirect would take the spans and the collector's credentials to a host that the administrator did not name.
	client := &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint), otlptracehttp.WithTimeout(timeout),
		otlptracehttp.WithHTTPClient(client))
	if err != nil {
		return nil, fmt.Errorf("trace exporter: %w", err)
	}
	var throttle logs.Throttle
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		throttle.For(o.Log, "").Warn("cannot send traces", "error", err)
	}))
	return With(sdk.NewBatchSpanProcessor(exporter, sdk.WithMaxQueueSize(queue), sdk.WithExportTimeout(timeout)), o), nil
}

// With returns a Tracer that gives its spans to a processor, such as one in memory.
func With(p sdk.SpanProcessor, o Options) *Tracer {
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(p), sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(o.Ratio))),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", o.Service), attribute.String("service.version", o.Version))))
	return &Tracer{provider, provider.Tracer(spans.Scope)}
}

// Close sends the spans that wait, for up to a few seconds.
func (t *Tracer) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // its errors go to the error handler
}

// Start begins a span.
func (t *Tracer) Start(ctx context.Context, name string, attributes ...attribute.KeyValue) (context.Context, trace.Span) {
	return t.tracer.Start(ctx, name, trace.WithAttributes(attributes...))
}

// Remote returns a context with the parent that a traceparent header names, if it is valid.
func Remote(ctx context.Context, traceparent string) context.Context {
	return parents.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}

// isProbe reports whether a path is asked for every few seconds by machines, which would bury the traces of requests.
func isProbe(path string) bool { return path == "/healthz" || path == "/readyz" || path == "/metrics" }

// Handler records a span for each request, except for health and metrics. The handler within names it, by NameRequest.
func (t *Tracer) Handler(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isProbe(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		ctx := Remote(r.Context(), r.Header.Get("traceparent"))
		ctx, span := t.tracer.Start(ctx, "HTTP", trace.WithSpanKind(trace.SpanKindServer))
		defer spans.End(span)
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// NameRequest completes the span of a request, if there is one. The route is a template, since a path could contain
// a token.
func NameRequest(ctx context.Context, method, route, workspace string, status int) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetName(method + " " + route)
	span.SetAttributes(attribute.String("http.request.method", method), attribute.String("http.route", route),
		attribute.Int("http.response.status_code", status))
	if workspace != "" {
		span.SetAttributes(attribute.String("burnkey.workspace", workspace))
	}
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, http.StatusText(status))
	}
}
