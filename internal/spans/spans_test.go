package spans

import (
	"context"
	"errors"
	"testing"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// TestStart checks that a failed span does not contain the error's text, and that without a recorded parent
// there is no span.
func TestStart(t *testing.T) {
	recorded := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(recorded))
	call := func(ctx context.Context) (err error) {
		defer Start(&ctx, "call", &err)()
		return errors.New("the owner cust_1")
	}
	_ = call(t.Context())
	if n := len(recorded.Ended()); n != 0 {
		t.Fatalf("%d spans without a parent", n)
	}
	ctx, parent := provider.Tracer(Scope).Start(t.Context(), "parent")
	_ = call(ctx)
	ended := recorded.Ended()
	if len(ended) != 1 || ended[0].Name() != "call" || ended[0].Parent().SpanID() != parent.SpanContext().SpanID() {
		t.Fatalf("%v", ended)
	}
	if s := ended[0].Status(); s.Code != codes.Error || s.Description != "" || len(ended[0].Events()) != 0 {
		t.Errorf("%+v", s)
	}
}

// TestStartPanic checks that a panic goes on, and that its span has failed without the panic's text.
func TestStartPanic(t *testing.T) {
	recorded := tracetest.NewSpanRecorder()
	ctx, _ := trace.NewTracerProvider(trace.WithSpanProcessor(recorded)).Tracer(Scope).Start(t.Context(), "parent")
	func() {
		defer func() {
			if reason := recover(); reason != "sesame" {
				t.Errorf("the panic became %v", reason)
			}
		}()
		defer Start(&ctx, "call", nil)()
		panic("sesame")
	}()
	ended := recorded.Ended()
	if len(ended) != 1 || ended[0].Status().Code != codes.Error || ended[0].Status().Description != "" || len(ended[0].Events()) != 0 {
		t.Errorf("%+v", tracetest.SpanStubsFromReadOnlySpans(ended))
	}
}
