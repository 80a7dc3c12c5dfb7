package authz_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/storetest"
)

// A server knows a key, a workspace and an access token of another server before it has read their change.
func TestIntrospectAtAnotherServer(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	key := s.issue("acme", authz.IssueRequest{})
	s.exchanging(store.Exchange{})
	s.usable(key)
	other := serverOn(t, s.path)
	from := netip.MustParseAddr("192.0.2.1")
	active := func(what, workspace string, token jwks.Token) {
		t.Helper()
		if found, err := other.Introspect(t.Context(), workspace, token); err != nil || found == nil {
			t.Errorf("%s: %v, %v", what, found, err)
		}
	}
	active("a key", "acme", s.issue("acme", authz.IssueRequest{}).Token)
	fresh := s.issue("acme", authz.IssueRequest{})
	active("an access token of a new key", "acme", s.exchange(authz.ExchangeRequest{Key: fresh.Token}).Token)
	s.workspace("beta")
	active("a key of a new workspace", "beta", s.issue("beta", authz.IssueRequest{}).Token)
	fresh = s.issue("acme", authz.IssueRequest{})
	if _, err := other.LimitsOfToken(t.Context(), "acme", fresh.Token, from); err != nil {
		t.Errorf("limits: %v", err)
	}

	// Revoked, unknown and forged tokens are inactive. Without the store, this is not known.
	revoked := s.issue("acme", authz.IssueRequest{})
	_, err := s.Revoke(t.Context(), "acme", revoked.ID)
	testkit.Check(t, err)
	forged := s.issue("acme", authz.IssueRequest{}).Token.Reveal()
	forged = forged[:len(forged)-8] + "AAAAAAAA"
	for what, token := range map[string]string{"revoked": revoked.Token.Reveal(), "forged": forged, "unknown": alter(forged, 0)} {
		if found, err := other.Introspect(t.Context(), "acme", jwks.Token(token)); err != nil || found != nil {
			t.Errorf("%s: %v, %v", what, found, err)
		}
		if _, err := other.LimitsOfToken(t.Context(), "acme", jwks.Token(token), from); !errors.Is(err, authz.ErrUnauthenticated) {
			t.Errorf("%s: limits: %v", what, err)
		}
	}
	if _, err := other.Introspect(t.Context(), "nothing", revoked.Token); !errors.Is(err, authz.ErrNotFound) {
		t.Errorf("in a workspace that does not exist: %v", err)
	}
	other.store.Fail("KeyByKID")
	if _, err := other.Introspect(t.Context(), "acme", revoked.Token); !errors.Is(err, storetest.ErrBroken) {
		t.Errorf("without the store: %v", err)
	}
}

// A forged token costs at most one read of the store: kids of imported keys, which no set has, are no secrets.
func TestForgedTokensOfImportedKeys(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	got, err := s.Import(t.Context(), "acme", []authz.ImportEntry{{Digest: jwks.SHA256Digest("x").String(), Owner: "cust_1"}})
	testkit.Check(t, err)
	forged := testkit.Sign(testkit.PrivateKey(), testkit.Header(got[0].Key.KID.String()),
		`{"iss":"i","sub":"a","aud":["x"],"jti":"j","iat":1}`)
	reads := func() int { return s.store.Called("KeyByKID") + s.store.Called("Workspace") }
	before := reads()
	if found, err := s.Introspect(t.Context(), "acme", jwks.Token(forged)); err != nil || found != nil {
		t.Errorf("%v, %v", found, err)
	}
	if n := reads() - before; n != 1 {
		t.Errorf("%d reads", n)
	}
}
