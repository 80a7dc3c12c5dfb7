package authz_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// After a rotation was undone, its successor can't be used to end or undo a later rotation of the same key.
func TestASuccessorThatWasUndoneEndsNoOtherRotation(t *testing.T) {
	for name, call := range map[string]func(*server, uuid.UUID) error{
		"undo": func(s *server, id uuid.UUID) error { _, err := s.UndoRotation(s.t.Context(), "acme", id); return err },
		"end":  func(s *server, id uuid.UUID) error { _, err := s.EndGrace(s.t.Context(), "acme", id); return err },
	} {
		s := newServer(t)
		s.workspace("acme")
		old := s.issue("acme", authz.IssueRequest{})
		undone := s.rotate(old.ID, grace(time.Hour))
		if _, err := s.UndoRotation(t.Context(), "acme", undone.ID); err != nil {
			t.Fatal(err)
		}
		current := s.rotate(old.ID, grace(time.Hour))
		if err := call(s, undone.ID); !errors.Is(err, authz.ErrNotActive) {
			t.Errorf("%s by the successor that was undone: %v", name, err)
		}
		if s.status(old.ID) != store.Deprecated || s.status(current.ID) != store.Active {
			t.Errorf("%s: the old key is %s, its successor %s", name, s.status(old.ID), s.status(current.ID))
		}
	}
}

// If a rotation is undone while a call ends its grace, the old key is active again and must not be revoked.
func TestEndGraceLosesToAnUndo(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	old := s.issue("acme", authz.IssueRequest{})
	s.rotate(old.ID, grace(time.Hour))
	undo := func(context.Context) error {
		_, _, err := s.store.Store.UndoRotation(t.Context(), "acme", old.ID, uuid.Nil, s.Now())
		return err
	}
	s.store.Hook("EndGrace", undo)
	if _, err := s.EndGrace(t.Context(), "acme", old.ID); !errors.Is(err, authz.ErrNotActive) {
		t.Errorf("got %v", err)
	}
	if s.status(old.ID) != store.Active {
		t.Errorf("the key is %s", s.status(old.ID))
	}
}
