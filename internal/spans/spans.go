// Package spans adds spans to the trace of a request, if the request has one.
package spans

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Scope names Burnkey's tracer.
const Scope = "github.com/burnkey/burnkey"

// Start replaces *ctx by a context with a new span below the span of *ctx, and returns the function that ends
// it, which must be deferred itself. A panic, or an error in *err if err is not nil, marks the span as failed; its
// text, which could be about an owner, is left out. If *ctx has no span that is recorded, Start changes nothing.
func Start(ctx *context.Context, name string, err *error) (end func()) {
	parent := trace.SpanFromContext(*ctx)
	if !parent.IsRecording() {
		return func() {}
	}
	var span trace.Span
	*ctx, span = parent.TracerProvider().Tracer(Scope).Start(*ctx, name)
	return func() {
		reason, failed := recover(), err != nil && *err != nil
		finish(span, reason, failed)
	}
}

// End ends a span. It is deferred directly: the span's own End would record the text of a panic. The panic continues.
func End(span trace.Span) { finish(span, recover(), false) }

func finish(span trace.Span, reason any, failed bool) {
	if reason != nil || failed {
		span.SetStatus(codes.Error, "")
	}
	span.End()
	if reason != nil {
		panic(reason)
	}
}
