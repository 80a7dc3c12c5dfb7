package authz_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// With the type at+jwt, keys are RFC 9068 tokens, which always have exp. A key keeps its type, and its successor has that of
// the policy.
func TestTokenTypeOfThePolicy(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	must(s.UpdateWorkspace(t.Context(), "acme", func(w *store.Workspace) error { w.AllowNeverExpires = true; return nil }))
	typeOf := func(token jwks.Token) jwks.TokenType { return must(jwks.Parse(token.Reveal())).Type }
	jwt := s.issue("acme", authz.IssueRequest{NeverExpires: true})
	if claims := claimsOf(t, jwt.Token); typeOf(jwt.Token) != jwks.TypeJWT || claims.ClientID != "" {
		t.Errorf("%+v", claims)
	}
	s.policy(store.Policy{TokenType: "at+jwt"})
	next := s.rotate(jwt.ID, authz.RotateRequest{})
	if claims := claimsOf(t, next.Token); typeOf(next.Token) != jwks.TypeAccessToken || claims.ClientID != claims.Subject ||
		claims.HasParent() || claims.Expiry == 0 || claims.ID != next.ID.String() {
		t.Errorf("%+v", claims)
	}
	_, err := s.Issue(t.Context(), "acme", authz.IssueRequest{Owner: "o", NeverExpires: true})
	if faults(t, err) != "never_expires" {
		t.Errorf("without exp: %v", err)
	}
	for _, k := range []authz.Issued{jwt, next} {
		if revoked, err := s.RevokeToken(t.Context(), "acme", k.Token); err != nil || !revoked {
			t.Errorf("revoked %v, %v", revoked, err)
		}
	}
	s.policy(store.Policy{TokenType: "JWT"})
	if k := s.issue("acme", authz.IssueRequest{}); typeOf(k.Token) != jwks.TypeJWT {
		t.Error("the type is not reset")
	}
	if w := must(s.store.Workspace(t.Context(), "acme")); w.Policy.TokenType != "" {
		t.Errorf("stored as %q", w.Policy.TokenType)
	}
}

func TestTokenTypeIsChecked(t *testing.T) {
	s := newHome(t)
	s.workspace("acme")
	for _, test := range []struct {
		workspace string
		policy    store.Policy
	}{
		{"acme", store.Policy{TokenType: "at+JWT"}},
		{"acme", store.Policy{TokenType: "at+jwt", Expiry: store.ExpiryByPublication}},
		{authz.Home, store.Policy{TokenType: "at+jwt"}},
	} {
		_, err := s.UpdateWorkspace(t.Context(), test.workspace, func(w *store.Workspace) error { w.Policy = test.policy; return nil })
		if faults(t, err) != "policy.token_type" {
			t.Errorf("%s %+v: %v", test.workspace, test.policy, err)
		}
	}
}

// The type is that of the policy when the key is stored.
func TestTokenTypeChangesWhileMinting(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.minter.minted = func() { s.policy(store.Policy{TokenType: "at+jwt"}) }
	if _, err := s.Issue(t.Context(), "acme", authz.IssueRequest{Owner: "o"}); faults(t, err) != "claims" {
		t.Errorf("got %v", err)
	}
}

// An older key can have custom claims that would name another key in an access token. Its successor is a JWT, or refused.
func TestClaimsOfOlderKeysMeanNothing(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	old := s.issue("acme", authz.IssueRequest{})
	claims := `{"key_id":"` + old.ID.String() + `","key_kid":"` + old.KID.String() + `"}`
	record := store.Key{
		Workspace: "acme", ID: uuid.Must(uuid.NewV7()), Owner: "cust_1", Audience: []string{"web"}, Claims: []byte(claims),
		CreatedAt: s.Now(), UpdatedAt: s.Now(), ExpiresAt: s.Now().Add(time.Hour),
	}
	must(s.store.Issue(t.Context(), record, blankKey(), nil))
	if err := s.publisher.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	next := s.rotate(record.ID, authz.RotateRequest{})
	if c := claimsOf(t, next.Token); c.HasParent() || string(c.Extra) != claims {
		t.Errorf("%+v", c)
	}
	s.policy(store.Policy{TokenType: "at+jwt"})
	if _, err := s.Rotate(t.Context(), "acme", next.ID, authz.RotateRequest{}); faults(t, err) != "claims.key_id claims.key_kid" {
		t.Errorf("got %v", err)
	}
}
