package sqlite

import (
	"context"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

// CreateRequest implements store.Store.
func (s *Store) CreateRequest(ctx context.Context, r store.Request,
	check func(*store.Workspace, *store.Key) error,
) (store.Request, error) {
	r, err := rows.NewRequest(r)
	if err == nil {
		err = s.locking(ctx, r.Workspace, func(c rows.Locked) (err error) {
			r, err = c.CreateRequest(ctx, r, check)
			return err
		})
	}
	return orZero(r, wrap(ctx, "create request", err))
}

// DecideRequest implements store.Store.
func (s *Store) DecideRequest(ctx context.Context, workspace string, id uuid.UUID,
	decide func(*store.Workspace, *store.Request, *store.Key) error,
) (r store.Request, k store.Key, err error) {
	err = s.locking(ctx, workspace, func(c rows.Locked) (err error) {
		r, k, err = c.DecideRequest(ctx, id, decide)
		return err
	})
	if err != nil {
		return store.Request{}, store.Key{}, wrap(ctx, "decide request", err)
	}
	return r, k, nil
}

// RequestSent implements store.Store.
func (s *Store) RequestSent(ctx context.Context, workspace string, id uuid.UUID, event string) error {
	err := s.locking(ctx, workspace, func(c rows.Locked) error { return c.RequestSent(id, event) })
	return wrap(ctx, "record a sent request", err)
}

// Request implements store.Store.
func (s *Store) Request(ctx context.Context, workspace string, id uuid.UUID) (store.Request, error) {
	r, err := dialect.Request(s.query(ctx), workspace, id)
	return r, wrap(ctx, "read request", err)
}

// Requests implements store.Store.
func (s *Store) Requests(ctx context.Context, workspace string, f store.RequestFilter) ([]store.Request, uuid.UUID, error) {
	list, next, err := dialect.Requests(s.query(ctx), workspace, f)
	return list, next, wrap(ctx, "list requests", err)
}

// UnsentRequests implements store.Store.
func (s *Store) UnsentRequests(ctx context.Context, workspace string, id uuid.UUID, limit int) ([]store.Request, error) {
	list, err := dialect.UnsentRequests(s.query(ctx), workspace, id, limit)
	return list, wrap(ctx, "list unsent requests", err)
}
