package authz_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
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
