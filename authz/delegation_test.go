package authz_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

func TestChildGetsNoMoreThanItsParent(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	parent := s.issue("acme", authz.IssueRequest{
		Owner: "cust_1", Scopes: []string{"a", "b"}, Audience: []string{"web"}, ExpiresIn: seconds(3600), AllowedIPs: []string{"10.0.0.0/8"},
	})
	s.clock.Advance(time.Minute)
	child := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Parent: parent.ID, Scopes: []string{"a"}})
	if child.Parent != parent.ID || !slices.Equal(child.Audience, parent.Audience) || !slices.Equal(child.AllowedIPs, parent.AllowedIPs) {
		t.Errorf("%+v", child.Key)
	}
	if child.ExpiresAt.After(parent.ExpiresAt) || parent.ExpiresAt.Sub(child.ExpiresAt) > time.Second {
		t.Errorf("it expires at %s, the parent at %s", child.ExpiresAt, parent.ExpiresAt)
	}
	for field, r := range map[string]authz.IssueRequest{
		"scopes":      {Scopes: []string{"c"}},
		"audience":    {Audience: []string{"batch"}},
		"allowed_ips": {AllowedIPs: []string{"192.0.2.1"}},
	} {
		r.Owner, r.Parent = "cust_1", parent.ID
		_, err := s.Issue(t.Context(), "acme", r)
		wantRule(t, err, field, authz.RuleBeyondParent)
	}
	for _, r := range []authz.IssueRequest{
		{Owner: "cust_2", Parent: parent.ID}, {Owner: "cust_1", Parent: child.ID}, {Owner: "cust_1", Parent: uuid.Must(uuid.NewV7())},
	} {
		_, err := s.Issue(t.Context(), "acme", r)
		wantRule(t, err, "parent", authz.RuleNoParent)
	}
	_, err := s.Rotate(t.Context(), "acme", child.ID, grace(time.Hour))
	wantRule(t, err, "id", authz.RuleChildRotation)
	wider := []string{"a", "b", "c"}
	_, err = s.UpdateKey(t.Context(), "acme", child.ID, authz.KeyPatch{Scopes: &wider})
	wantRule(t, err, "scopes", authz.RuleBeyondParent)
}

func TestChildrenEndWithTheirParent(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	parent := s.issue("acme", authz.IssueRequest{Owner: "cust_1"})
	child := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Parent: parent.ID})
	no, yes := false, true
	if _, err := s.UpdateKey(t.Context(), "acme", parent.ID, authz.KeyPatch{Enabled: &no}); err != nil {
		t.Fatal(err)
	}
	if s.publishes("acme", child.KID) {
		t.Error("the parent is suspended, and the child is published")
	}
	_, err := s.UpdateKey(t.Context(), "acme", child.ID, authz.KeyPatch{Enabled: &yes})
	wantRule(t, err, "enabled", authz.RuleSuspendedByParent)
	changed, _, err := s.UpdateMany(t.Context(), "acme", authz.Selection{Owner: "cust_1"}, authz.KeyPatch{Enabled: &yes}, false)
	if err != nil || len(changed) != 1 || !s.publishes("acme", child.KID) {
		t.Errorf("both resumed: %v, %v", changed, err)
	}
	if _, err := s.Revoke(t.Context(), "acme", parent.ID); err != nil {
		t.Fatal(err)
	}
	if s.publishes("acme", child.KID) || s.status(child.ID) != store.Revoked {
		t.Error("the parent is revoked, and the child is not")
	}
}

// A key under an imported key is an ordinary key, and ends with it.
func TestKeysUnderAnImportedKey(t *testing.T) {
	const secret = "IL1deIyHyQA40WpeLeA1bIUXuvTwlGjo"
	s := newServer(t)
	s.workspace("acme")
	got, err := s.Import(t.Context(), "acme", []authz.ImportEntry{
		{Digest: jwks.SHA256Digest(secret).String(), Owner: "cust_1", Scopes: []string{"a", "b"}, AllowedIPs: []string{"10.0.0.0/8"}},
	})
	testkit.Check(t, err)
	parent := got[0].Key
	s.clock.Advance(time.Minute)
	child := s.issue("acme", authz.IssueRequest{Parent: parent.ID, Scopes: []string{"a"}})
	if child.Parent != parent.ID || child.Digest != nil || !slices.Equal(child.AllowedIPs, parent.AllowedIPs) ||
		child.ExpiresAt.After(parent.ExpiresAt) || !s.publishes("acme", child.KID) {
		t.Errorf("%+v", child.Key)
	}
	_, err = s.Issue(t.Context(), "acme", authz.IssueRequest{Owner: "cust_1", Parent: parent.ID, Scopes: []string{"c"}})
	wantRule(t, err, "scopes", authz.RuleBeyondParent)
	enable := func(yes bool) {
		t.Helper()
		_, err := s.UpdateKey(t.Context(), "acme", parent.ID, authz.KeyPatch{Enabled: &yes})
		testkit.Check(t, err)
		if s.publishes("acme", child.KID) != yes {
			t.Errorf("the parent is enabled: %t, and the child is published: %t", yes, !yes)
		}
	}
	enable(false)
	enable(true)

	next := s.rotate(parent.ID, grace(time.Hour))
	of := func(parent store.Key) {
		t.Helper()
		if k, err := s.Key(t.Context(), "acme", child.ID); err != nil || k.Parent != parent.ID || !s.publishes("acme", k.KID) {
			t.Errorf("the parent is %s, want %s; %v", k.Parent, parent.ID, err)
		}
	}
	of(next.Key)
	_, err = s.UndoRotation(t.Context(), "acme", parent.ID)
	testkit.Check(t, err)
	of(parent)

	if revoked, err := s.RevokeToken(t.Context(), "acme", secret); err != nil || !revoked {
		t.Fatal(revoked, err)
	}
	if s.publishes("acme", child.KID) || s.status(child.ID) != store.Revoked {
		t.Error("the parent is revoked, and the child is not")
	}
}

func TestExchangeOfAKeyWithAParent(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	parent := s.issue("acme", authz.IssueRequest{Scopes: []string{"read", "write"}})
	child := s.issue("acme", authz.IssueRequest{Parent: parent.ID, Scopes: []string{"read", "write"}})
	s.exchanging(store.Exchange{})
	s.usable(child)
	if got := s.claims(s.exchange(authz.ExchangeRequest{Key: child.Token})); got.Scope != "read write" || got.KeyKID != child.KID {
		t.Errorf("claims: %+v", got)
	}
	less := []string{"read"}
	if _, err := s.UpdateKey(t.Context(), "acme", parent.ID, authz.KeyPatch{Scopes: &less}); err != nil {
		t.Fatal(err)
	}
	if got := s.claims(s.exchange(authz.ExchangeRequest{Key: child.Token})); got.Scope != "read" {
		t.Errorf("after the parent is narrowed: %q", got.Scope)
	}
	if _, err := s.Revoke(t.Context(), "acme", parent.ID); err != nil {
		t.Fatal(err)
	}
	s.refused(authz.ExchangeRequest{Key: child.Token}, authz.PartKey)
}
