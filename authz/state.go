package authz

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// StateError means that a key is not in the state that a call requires. It matches ErrNotActive.
type StateError struct {
	Key    store.Key
	Status store.Status // when the call came
}

func (e *StateError) Error() string { return fmt.Sprintf("the key %s is %s", e.Key.ID, e.Status) }

// Is makes errors.Is(err, ErrNotActive) hold.
func (e *StateError) Is(target error) bool { return target == ErrNotActive }

// LimitError means that an owner has the maximum number of keys. It matches ErrTooMany.
type LimitError struct {
	Most    int
	InGrace bool // in their grace, at once; else active
}

func (e *LimitError) Error() string { return fmt.Sprintf("the owner has %d keys or more", e.Most) }

// Is makes errors.Is(err, ErrTooMany) hold.
func (e *LimitError) Is(target error) bool { return target == ErrTooMany }

func (s *Service) stateOf(k store.Key) error { return &StateError{k, k.Status(s.Now())} }

// explained replaces an error of the store by one that has the old key's present state, or the limit.
func (s *Service) explained(ctx context.Context, err error, old *store.Key, most int) error {
	switch {
	case errors.Is(err, ErrTooMany):
		return &LimitError{Most: most, InGrace: true}
	case errors.Is(err, ErrNotActive):
		return s.readState(ctx, old.Workspace, old.ID)
	}
	return err
}

// readState returns the present state of a key as an error.
func (s *Service) readState(ctx context.Context, workspace string, id uuid.UUID) error {
	key, err := s.store.Key(ctx, workspace, id)
	if err != nil {
		return err
	}
	return s.stateOf(key)
}

// whyNoGrace explains why the store can't end or undo a rotation: it returns the state of the key or of its
// successor, whichever is the reason.
func (s *Service) whyNoGrace(ctx context.Context, err error, workspace string, id, to uuid.UUID) error {
	if !errors.Is(err, ErrNotActive) {
		return err
	}
	old, unread := s.store.Key(ctx, workspace, id)
	if unread != nil {
		return unread
	}
	if old.RotatedTo == to && !old.InGrace(to, s.Now()) {
		return s.stateOf(old)
	}
	return s.readState(ctx, workspace, to) // the rotation was undone, or the successor is no longer active
}
