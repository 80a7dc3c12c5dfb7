package main

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/mint"
	"github.com/burnkey/burnkey/internal/spans"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// traced runs a function within a span, if the context has one of a request. Work of the server itself, such as at its
// start, would be a trace of one span.
func traced[T any](ctx context.Context, name string, run func(context.Context) (T, error)) (result T, err error) {
	defer spans.Start(&ctx, name, &err)()
	return run(ctx)
}

// tracedMinter records a span for each key that is minted, with its time in the queue.
type tracedMinter struct{ authz.Minter }

func (m *tracedMinter) Mint(ctx context.Context, asker mint.Asker, claims func() ([]byte, error)) (mint.Minted, error) {
	return traced(ctx, "mint", func(ctx context.Context) (mint.Minted, error) { return m.Minter.Mint(ctx, asker, claims) })
}

// tracedStore records a span for the calls that requests make. Each is a transaction, or one query.
type tracedStore struct{ store.Store }

func (s *tracedStore) CreateWorkspace(ctx context.Context, w store.Workspace, tombstone jwks.Key) (store.Workspace, error) {
	return traced(ctx, "store.CreateWorkspace", func(ctx context.Context) (store.Workspace, error) {
		return s.Store.CreateWorkspace(ctx, w, tombstone)
	})
}

func (s *tracedStore) UpdateWorkspace(ctx context.Context, id string, change func(*store.Workspace) error) (store.Workspace, error) {
	return traced(ctx, "store.UpdateWorkspace", func(ctx context.Context) (store.Workspace, error) {
		return s.Store.UpdateWorkspace(ctx, id, change)
	})
}

func (s *tracedStore) Workspace(ctx context.Context, id string) (store.Workspace, error) {
	return traced(ctx, "store.Workspace", func(ctx context.Context) (store.Workspace, error) {
		return s.Store.Workspace(ctx, id)
	})
}

func (s *tracedStore) Issue(ctx context.Context, k store.Key, pub jwks.Key, terms store.Terms) (store.Key, error) {
	return traced(ctx, "store.Issue", func(ctx context.Context) (store.Key, error) {
		return s.Store.Issue(ctx, k, pub, terms)
	})
}

func (s *tracedStore) Revoke(ctx context.Context, workspace string, id uuid.UUID, at time.Time) (store.Key, error) {
	return traced(ctx, "store.Revoke", func(ctx context.Context) (store.Key, error) {
		return s.Store.Revoke(ctx, workspace, id, at)
	})
}

func (s *tracedStore) Key(ctx context.Context, workspace string, id uuid.UUID) (store.Key, error) {
	return traced(ctx, "store.Key", func(ctx context.Context) (store.Key, error) {
		return s.Store.Key(ctx, workspace, id)
	})
}

func (s *tracedStore) KeyByKID(ctx context.Context, workspace string, kid jwks.KID) (store.Key, error) {
	return traced(ctx, "store.KeyByKID", func(ctx context.Context) (store.Key, error) {
		return s.Store.KeyByKID(ctx, workspace, kid)
	})
}

func (s *tracedStore) UpdateKey(ctx context.Context, workspace string, id uuid.UUID, change func(*store.Key) error) (store.Key, error) {
	return traced(ctx, "store.UpdateKey", func(ctx context.Context) (store.Key, error) {
		return s.Store.UpdateKey(ctx, workspace, id, change)
	})
}

func (s *tracedStore) RecordUsage(ctx context.Context, workspace string, uses []store.Use, r store.Report) (unknown int, err error) {
	return traced(ctx, "store.RecordUsage", func(ctx context.Context) (int, error) {
		return s.Store.RecordUsage(ctx, workspace, uses, r)
	})
}

// page is what a list returns.
type page[T, N any] struct {
	list []T
	next N
}

func (s *tracedStore) Keys(ctx context.Context, workspace string, f store.Filter) ([]store.Key, uuid.UUID, error) {
	p, err := traced(ctx, "store.Keys", func(ctx context.Context) (page[store.Key, uuid.UUID], error) {
		list, next, err := s.Store.Keys(ctx, workspace, f)
		return page[store.Key, uuid.UUID]{list, next}, err
	})
	return p.list, p.next, err
}

func (s *tracedStore) Workspaces(ctx context.Context, f store.WorkspaceFilter) ([]store.Workspace, string, error) {
	p, err := traced(ctx, "store.Workspaces", func(ctx context.Context) (page[store.Workspace, string], error) {
		list, next, err := s.Store.Workspaces(ctx, f)
		return page[store.Workspace, string]{list, next}, err
	})
	return p.list, p.next, err
}

func (s *tracedStore) Audit(ctx context.Context, workspace string, f store.AuditFilter) ([]store.Entry, uuid.UUID, error) {
	p, err := traced(ctx, "store.Audit", func(ctx context.Context) (page[store.Entry, uuid.UUID], error) {
		list, next, err := s.Store.Audit(ctx, workspace, f)
		return page[store.Entry, uuid.UUID]{list, next}, err
	})
	return p.list, p.next, err
}
