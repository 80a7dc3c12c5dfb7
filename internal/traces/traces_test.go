package traces

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// serve returns the spans of one request.
func serve(t *testing.T, r *http.Request, handler http.HandlerFunc) tracetest.SpanStubs {
	t.Helper()
	recorded := tracetest.NewSpanRecorder()
	With(recorded, Options{Ratio: 1}).Handler(handler).ServeHTTP(httptest.NewRecorder(), r)
	return tracetest.SpanStubsFromReadOnlySpans(recorded.Ended())
}

// TestTracesHoldNoHeader checks that a client's tracestate is not exported, and that its traceparent is the parent.
func TestTracesHoldNoHeader(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/v1", http.NoBody)
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	r.Header.Set("Tracestate", "vendor=sesame")
	got := serve(t, r, func(http.ResponseWriter, *http.Request) {})
	if len(got) != 1 || got[0].Parent.SpanID().String() != "b7ad6b7169203331" {
		t.Fatalf("%v", got)
	}
	if own, parent := got[0].SpanContext.TraceState().String(), got[0].Parent.TraceState().String(); own != "" || parent != "" {
		t.Errorf("tracestate %q, of the parent %q", own, parent)
	}
}

// TestTracesOfAPanic checks that a panic goes on, and that its span has failed without the panic's text.
func TestTracesOfAPanic(t *testing.T) {
	recorded := tracetest.NewSpanRecorder()
	handler := With(recorded, Options{Ratio: 1}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("sesame") }))
	func() {
		defer func() {
			if reason := recover(); reason != "sesame" {
				t.Errorf("the panic became %v", reason)
			}
		}()
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/v1", http.NoBody))
	}()
	got := tracetest.SpanStubsFromReadOnlySpans(recorded.Ended())
	if len(got) != 1 || got[0].Status.Code != codes.Error || strings.Contains(fmt.Sprintf("%+v", got), "sesame") {
		t.Errorf("%+v", got)
	}
}

// TestTracesOfProbes checks that probes have no spans.
func TestTracesOfProbes(t *testing.T) {
	for path, want := range map[string]int{"/healthz": 0, "/readyz?exclude=database": 0, "/metrics": 0, "/v1/metrics": 1} {
		served := false
		got := serve(t, httptest.NewRequest(http.MethodGet, path, http.NoBody), func(http.ResponseWriter, *http.Request) { served = true })
		if len(got) != want || !served {
			t.Errorf("%s: %d spans, served: %t", path, len(got), served)
		}
	}
}

// TestTracesCheckEndpoint checks which URLs are refused, and why.
func TestTracesCheckEndpoint(t *testing.T) {
	for text, want := range map[string]string{
		"http://127.0.0.1:4318": "", "https://collector/otlp": "", "http://[::1]:65535/v1/traces": "",
		"collector:4318": "http or https", "http://u:p@collector": "without a password",
		"http://collector?key=1": "query", "http://collector?": "query", "http://collector#a": "fragment", "http://collector#": "fragment",
		"http://collector:": "port", "http://collector:0": "port from 1", "http://collector:65536": "port from 1",
	} {
		err := CheckEndpoint(text)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestTracesExport checks the path and the headers at the collector, and that a redirect is not followed.
func TestTracesExport(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20sesame")
	abroad := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	t.Cleanup(abroad.Close)
	for suffix, want := range map[string]string{
		"": "/v1/traces", "/": "/v1/traces", "/otlp": "/otlp/v1/traces", "/v1/traces": "/v1/traces", "/otlp/v1/traces/": "/otlp/v1/traces",
	} {
		received := make(chan string, 1)
		collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			received <- r.URL.Path + " " + r.Header.Get("Authorization")
			http.Redirect(w, r, abroad.URL, http.StatusTemporaryRedirect)
		}))
		tracer, err := New(t.Context(), Options{Endpoint: collector.URL + suffix, Ratio: 1, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		_, span := tracer.Start(t.Context(), "span")
		span.End()
		tracer.Close()
		if got := <-received; got != want+" Bearer sesame" {
			t.Errorf("%q: the collector received %s", suffix, got)
		}
		collector.Close()
	}
}
