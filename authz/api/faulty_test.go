package api_test

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// faultyStore is a store in which every method that the management API uses can be made to fail or panic.
type faultyStore struct {
	store.Store
	fault atomic.Pointer[func() error]
}

// fail makes every call of the store return the result of f. With nil, calls work again.
func (s *faultyStore) fail(f func() error) {
	if f == nil {
		s.fault.Store(nil)
		return
	}
	s.fault.Store(&f)
}

func (s *faultyStore) broken() error {
	if f := s.fault.Load(); f != nil {
		return (*f)()
	}
	return nil
}

func orElse[T any](err error, call func() (T, error)) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return call()
}

func (s *faultyStore) CreateWorkspace(ctx context.Context, w store.Workspace, k jwks.Key) (store.Workspace, error) {
	return orElse(s.broken(), func() (store.Workspace, error) { return s.Store.CreateWorkspace(ctx, w, k) })
}

func (s *faultyStore) Workspace(ctx context.Context, id string) (store.Workspace, error) {
	return orElse(s.broken(), func() (store.Workspace, error) { return s.Store.Workspace(ctx, id) })
}

func (s *faultyStore) Workspaces(ctx context.Context, f store.WorkspaceFilter) ([]store.Workspace, string, error) {
	if err := s.broken(); err != nil {
		return nil, "", err
	}
	return s.Store.Workspaces(ctx, f)
}

func (s *faultyStore) KeysAnywhere(ctx context.Context, id uuid.UUID, kid jwks.KID, most int) ([]store.Key, error) {
	return orElse(s.broken(), func() ([]store.Key, error) { return s.Store.KeysAnywhere(ctx, id, kid, most) })
}

func (s *faultyStore) UpdateWorkspace(ctx context.Context, id string, f func(*store.Workspace) error) (store.Workspace, error) {
	return orElse(s.broken(), func() (store.Workspace, error) { return s.Store.UpdateWorkspace(ctx, id, f) })
}

func (s *faultyStore) Issue(ctx context.Context, k store.Key, pub jwks.Key, terms store.Terms) (store.Key, error) {
	return orElse(s.broken(), func() (store.Key, error) { return s.Store.Issue(ctx, k, pub, terms) })
}

func (s *faultyStore) Revoke(ctx context.Context, ws string, id uuid.UUID, at time.Time) (store.Key, error) {
	return orElse(s.broken(), func() (store.Key, error) { return s.Store.Revoke(ctx, ws, id, at) })
}

func (s *faultyStore) Key(ctx context.Context, ws string, id uuid.UUID) (store.Key, error) {
	return orElse(s.broken(), func() (store.Key, error) { return s.Store.Key(ctx, ws, id) })
}

func (s *faultyStore) Keys(ctx context.Context, ws string, f store.Filter) ([]store.Key, uuid.UUID, error) {
	if err := s.broken(); err != nil {
		return nil, uuid.Nil, err
	}
	return s.Store.Keys(ctx, ws, f)
}

func (s *faultyStore) UpdateKey(ctx context.Context, ws string, id uuid.UUID,
	f func(*store.Workspace, *store.Key) error,
) (store.Key, error) {
	return orElse(s.broken(), func() (store.Key, error) { return s.Store.UpdateKey(ctx, ws, id, f) })
}

func (s *faultyStore) CreateRequest(ctx context.Context, r store.Request,
	f func(*store.Workspace, *store.Key) error,
) (store.Request, error) {
	return orElse(s.broken(), func() (store.Request, error) { return s.Store.CreateRequest(ctx, r, f) })
}

func (s *faultyStore) DecideRequest(ctx context.Context, ws string, id uuid.UUID,
	f func(*store.Workspace, *store.Request, *store.Key) error,
) (store.Request, store.Key, error) {
	if err := s.broken(); err != nil {
		return store.Request{}, store.Key{}, err
	}
	return s.Store.DecideRequest(ctx, ws, id, f)
}

func (s *faultyStore) Request(ctx context.Context, ws string, id uuid.UUID) (store.Request, error) {
	return orElse(s.broken(), func() (store.Request, error) { return s.Store.Request(ctx, ws, id) })
}

func (s *faultyStore) Requests(ctx context.Context, ws string, f store.RequestFilter) ([]store.Request, uuid.UUID, error) {
	if err := s.broken(); err != nil {
		return nil, uuid.Nil, err
	}
	return s.Store.Requests(ctx, ws, f)
}

func (s *faultyStore) RecordUsage(ctx context.Context, ws string, uses []store.Use, r store.Report) (int, error) {
	return orElse(s.broken(), func() (int, error) { return s.Store.RecordUsage(ctx, ws, uses, r) })
}

func (s *faultyStore) EndSessions(ctx context.Context, ws, owner string, at time.Time) (int, error) {
	return orElse(s.broken(), func() (int, error) { return s.Store.EndSessions(ctx, ws, owner, at) })
}

func (s *faultyStore) Changes(ctx context.Context, ws string, after uint64, limit int) ([]jwks.Change, error) {
	return orElse(s.broken(), func() ([]jwks.Change, error) { return s.Store.Changes(ctx, ws, after, limit) })
}

func (s *faultyStore) Ping(ctx context.Context) error {
	_, err := orElse(s.broken(), func() (struct{}, error) { return struct{}{}, s.Store.Ping(ctx) })
	return err
}

// damagedWorkspace has a published set that can't be read.
const damagedWorkspace = "damaged"

func (s *faultyStore) Published(ctx context.Context, workspace string, yield func(jwks.Key, jwks.Attributes) error) (
	uint64, jwks.Unsigned, error,
) {
	if workspace == damagedWorkspace {
		return 0, jwks.Unsigned{}, store.ErrDamaged
	}
	return s.Store.Published(ctx, workspace, yield)
}

func (s *faultyStore) CreateLimits(ctx context.Context, l store.LimitSet) (store.LimitSet, error) {
	return orElse(s.broken(), func() (store.LimitSet, error) { return s.Store.CreateLimits(ctx, l) })
}

func (s *faultyStore) UpdateLimits(ctx context.Context, ws, on, name string, f func(*store.LimitSet) error) (store.LimitSet, error) {
	return orElse(s.broken(), func() (store.LimitSet, error) { return s.Store.UpdateLimits(ctx, ws, on, name, f) })
}

func (s *faultyStore) DeleteLimits(ctx context.Context, ws, on, name string, at time.Time) error {
	if err := s.broken(); err != nil {
		return err
	}
	return s.Store.DeleteLimits(ctx, ws, on, name, at)
}

func (s *faultyStore) Limits(ctx context.Context, ws, on, name string) (store.LimitSet, error) {
	return orElse(s.broken(), func() (store.LimitSet, error) { return s.Store.Limits(ctx, ws, on, name) })
}

func (s *faultyStore) LimitSets(ctx context.Context, ws, on, after string, limit int) ([]store.LimitSet, string, error) {
	if err := s.broken(); err != nil {
		return nil, "", err
	}
	return s.Store.LimitSets(ctx, ws, on, after, limit)
}
