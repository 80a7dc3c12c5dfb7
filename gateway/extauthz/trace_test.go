package extauthz

import (
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc/metadata"

	"github.com/burnkey/burnkey/internal/traces"
)

// TestTraces checks the span of a call, its parent, and that it contains no token.
func TestTraces(t *testing.T) {
	s, _ := follow(t, nil)
	recorded := tracetest.NewSpanRecorder()
	s.Trace(traces.With(recorded, traces.Options{}))
	const id = "0af7651916cd43dd8448eb211c80319c"
	parent, other := "00-"+id+"-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-01"

	good := request("GET", own().Bearer("acme"))
	good.Attributes.Request.Http.Headers["traceparent"] = parent
	bad := request("GET", "Bearer x")
	bad.Attributes.Request.Http.Headers["traceparent"] = other
	_, err := s.Check(t.Context(), good)
	check(t, err)
	_, err = s.Check(metadata.NewIncomingContext(t.Context(), metadata.Pairs("traceparent", parent)), bad)
	check(t, err)
	_, err = s.Check(t.Context(), request("GET")) // not sampled
	check(t, err)

	ended := recorded.Ended()
	if len(ended) != 2 {
		t.Fatalf("%d spans, want 2", len(ended))
	}
	for i, reason := range []string{"ok", "malformed"} {
		span := ended[i]
		if span.SpanContext().TraceID().String() != id || span.Parent().SpanID().String() != "b7ad6b7169203331" {
			t.Errorf("%s: the span belongs to the trace %s", reason, span.SpanContext().TraceID())
		}
		text := fmt.Sprint(span.Attributes())
		if !strings.Contains(text, reason) || strings.Contains(text, "eyJ") {
			t.Errorf("%s: %s", reason, text)
		}
	}
}

// TestTracesOfAPanic checks that the span of a decision that panics has failed, without the panic's text.
func TestTracesOfAPanic(t *testing.T) {
	s := &Server{} // without a gateway, a decision panics
	recorded := tracetest.NewSpanRecorder()
	s.Trace(traces.With(recorded, traces.Options{Ratio: 1}))
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic ended")
			}
		}()
		_, _ = s.Check(t.Context(), request("GET"))
	}()
	ended := recorded.Ended()
	if len(ended) != 1 || ended[0].Status().Code != codes.Error || ended[0].Status().Description != "" || len(ended[0].Events()) != 0 {
		t.Errorf("%+v", tracetest.SpanStubsFromReadOnlySpans(ended))
	}
}
