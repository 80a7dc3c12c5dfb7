package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

// CreateRequest implements store.Store. While check runs, the workspace is locked against all other changes.
func (s *Store) CreateRequest(ctx context.Context, r store.Request,
	check func(*store.Workspace, *store.Key) error,
) (store.Request, error) {
	r, err := rows.NewRequest(r)
	if err == nil {
		err = s.locking(ctx, r.Workspace, func(ctx context.Context, c rows.Locked) (err error) {
			r, err = c.CreateRequest(ctx, r, check)
			return err
		})
	}
	if err != nil {
		return store.Request{}, wrap(ctx, "create request", err)
	}
	return r, nil
}

// DecideRequest implements store.Store. While decide runs, the workspace is locked against all other changes.
func (s *Store) DecideRequest(ctx context.Context, workspace string, id uuid.UUID,
	decide func(*store.Workspace, *store.Request, *store.Key) error,
) (r store.Request, k store.Key, err error) {
	err = s.locking(ctx, workspace, func(ctx context.Context, c rows.Locked) (err error) {
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
	err := s.locking(ctx, workspace, func(_ context.Context, c rows.Locked) error { return c.RequestSent(id, event) })
	return wrap(ctx, "record a sent request", err)
}

// Request implements store.Store.
func (s *Store) Request(ctx context.Context, workspace string, id uuid.UUID) (r store.Request, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		r, err = dialect.Request(query(ctx, c), workspace, id)
		return err
	})
	return r, wrap(ctx, "read request", err)
}

// Requests implements store.Store.
func (s *Store) Requests(ctx context.Context, workspace string, f store.RequestFilter) (list []store.Request, next uuid.UUID, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		list, next, err = dialect.Requests(query(ctx, c), workspace, f)
		return err
	})
	return list, next, wrap(ctx, "list requests", err)
}

// UnsentRequests implements store.Store.
func (s *Store) UnsentRequests(ctx context.Context, workspace string, id uuid.UUID, limit int) (list []store.Request, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		list, err = dialect.UnsentRequests(query(ctx, c), workspace, id, limit)
		return err
	})
	return list, wrap(ctx, "list unsent requests", err)
}
