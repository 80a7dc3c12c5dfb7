package main

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/burnkey/burnkey/internal/traces"
	"github.com/burnkey/burnkey/store"
)

// emptyStore has no workspaces.
type emptyStore struct{ store.Store }

func (emptyStore) Workspace(context.Context, string) (store.Workspace, error) {
	return store.Workspace{}, store.ErrNotFound
}

// TestTracedStore checks that a call has a span within a request, and none without.
func TestTracedStore(t *testing.T) {
	recorded := tracetest.NewSpanRecorder()
	tracer := traces.With(recorded, traces.Options{Ratio: 1})
	s := &tracedStore{emptyStore{}}
	_, _ = s.Workspace(t.Context(), "acme")
	if n := len(recorded.Started()); n != 0 {
		t.Errorf("%d spans without a request", n)
	}
	ctx, _ := tracer.Start(t.Context(), "request")
	_, _ = s.Workspace(ctx, "acme")
	if ended := recorded.Ended(); len(ended) != 1 || ended[0].Name() != "store.Workspace" {
		t.Errorf("%v", ended)
	}
}
