package authz_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// A customer's changes are limited over all of their sessions, each customer has a separate budget, and
// revoking a key is always possible.
func TestOwnersMayChangeSoMuch(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	by := func(owner string) context.Context {
		return authz.BySession(t.Context(), &store.Session{Workspace: "acme", Owner: owner, Role: store.RoleOwner})
	}
	mine, theirs := s.issue("acme", authz.IssueRequest{Owner: "one"}), s.issue("acme", authz.IssueRequest{Owner: "two"})
	renames := 0
	rename := func(owner string, k authz.Issued) error {
		renames++
		name := fmt.Sprint("name ", renames)
		_, err := s.UpdateKey(by(owner), "acme", k.ID, authz.KeyPatch{Name: &name})
		return err
	}
	for range 60 {
		if err := rename("one", mine); err != nil {
			t.Fatal(err)
		}
	}
	var spent *authz.BudgetError
	if err := rename("one", mine); !errors.As(err, &spent) || spent.After <= 0 || spent.After > 2*time.Second {
		t.Fatalf("the 61st change in a moment: %v", err)
	}
	before := s.version("acme")
	_, err := s.Issue(by("one"), "acme", authz.IssueRequest{Owner: "one"})
	if !errors.As(err, &spent) || s.version("acme") != before {
		t.Errorf("a key at that moment: %v", err)
	}
	if _, err := s.Rotate(by("one"), "acme", mine.ID, authz.RotateRequest{}); !errors.As(err, &spent) {
		t.Errorf("a successor at that moment: %v", err)
	}
	if err := rename("two", theirs); err != nil {
		t.Errorf("another owner's: %v", err)
	}
	s.clock.Advance(2 * time.Second)
	if err := errors.Join(rename("one", mine)); err != nil {
		t.Errorf("two seconds later: %v", err)
	}
	if err := rename("one", mine); !errors.As(err, &spent) {
		t.Errorf("and one more: %v", err)
	}
	if _, err := s.Revoke(by("one"), "acme", mine.ID); err != nil {
		t.Errorf("a revocation: %v", err)
	}
}

// Logins without an identified person, of which there can be any number, share one limit of audit entries, so
// that refusals of identified callers are still recorded.
func TestStrangersBlotOutNobody(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	refuse := func(subject string) {
		ctx := store.By(t.Context(), store.Actor{Kind: store.ActorOIDC, ID: subject, From: "192.0.2.1"})
		if err := s.LoginRefused(ctx, "acme", "denied"); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		refuse("")
	}
	refuse("eve")
	entries, _, err := s.Audit(t.Context(), "acme", store.AuditFilter{Result: store.ResultRefused, Limit: 100})
	if err != nil || len(entries) != 11 || entries[0].Actor.ID != "eve" {
		t.Errorf("%d refusals are noted, the last of them %+v, %v", len(entries), entries[0], err)
	}
}
