package authz

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// StateError says which key is in what state, where a call takes another. It matches
// ErrNotActive.
type StateError struct {
	Key    store.Key
	Status store.Status // when the call came
}

func (e *StateError) Error() string { return fmt.Sprintf("the key %s is %s", e.Key.ID, e.Status) }

// Is makes errors.Is(err, ErrNotActive) hold.
func (e *StateError) Is(target error) bool { return target == ErrNotActive }

// LimitError says how many keys an owner may have. It matches ErrTooMany.
type LimitError struct {
	Most    int
	InGrace bool // in their grace, at once; else active
}

func (e *LimitError) Error() string { return fmt.Sprintf("the owner has %d keys or more", e.Most) }

// Is makes errors.Is(err, ErrTooMany) hold.
func (e *LimitError) Is(target error) bool { return target == ErrTooMany }

func (s *Service) stateOf(k store.Key) error { return &StateError{k, k.Status(s.Now())} }

// explained says of the store's refusals of a successor what it doesn't: the state of the
// old key as it is behind them, and the limit.
func (s *Service) explained(ctx context.Context, err error, old *store.Key, most int) error {
	switch {
	case errors.Is(err, ErrTooMany):
		return &LimitError{Most: most, InGrace: true}
	case errors.Is(err, ErrNotActive):
		key, unread := s.store.Key(ctx, old.Workspace, old.ID)
		if unread != nil {
			return unread
		}
		return s.stateOf(key)
	}
	return err
}

// whyNoGrace says, where the store finds that a key is in no grace of its rotation to
// another or can't go back to it, which of the two stands in the way.
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
	// It was undone, or the successor is active no more.
	successor, unread := s.store.Key(ctx, workspace, to)
	if unread != nil {
		return unread
	}
	return s.stateOf(successor)
}
