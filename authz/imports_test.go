package authz_test

import (
	"errors"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// The holder of an imported key can exchange it, until it is suspended, and revoke it. Its digest does neither.
func TestImportedKeyOfItsHolder(t *testing.T) {
	const secret = "IL1deIyHyQA40WpeLeA1bIUXuvTwlGjo"
	s := newServer(t)
	s.workspace("acme")
	s.workspace("other")
	digest := jwks.SHA256Digest(secret).String()
	got, err := s.Import(t.Context(), "acme", []authz.ImportEntry{{Digest: digest, Owner: "cust_1", Scopes: []string{"read", "write"}}})
	if err != nil || len(got) != 1 || got[0].Faults != nil {
		t.Fatal(err, got)
	}
	key := authz.Issued{Key: got[0].Key, Token: secret}
	s.exchanging(store.Exchange{})
	s.usable(key)
	s.refused(authz.ExchangeRequest{Key: jwks.Token(digest)}, authz.PartKey)
	s.refused(authz.ExchangeRequest{Key: secret, Scopes: []string{"admin"}}, authz.PartScope)
	claims := s.claims(s.exchange(authz.ExchangeRequest{Key: secret, Scopes: []string{"read"}}))
	if !claims.KeyImported || claims.KeyKID != key.KID || claims.KeyID != key.ID.String() || claims.Scope != "read" ||
		claims.Subject != "cust_1" {
		t.Errorf("%+v", claims)
	}
	enabled := false
	if _, err := s.UpdateKey(t.Context(), "acme", key.ID, authz.KeyPatch{Enabled: &enabled}); err != nil {
		t.Fatal(err)
	}
	s.refused(authz.ExchangeRequest{Key: secret}, authz.PartKey)
	for token, want := range map[jwks.Token]bool{jwks.Token(digest): false, "unknown": false, secret: true} {
		if revoked, err := s.RevokeToken(t.Context(), "acme", token); err != nil || revoked != want {
			t.Errorf("%v, %v; want %v", revoked, err, want)
		}
		if revoked, err := s.RevokeToken(t.Context(), "other", token); revoked || err != nil && !errors.Is(err, authz.ErrNotFound) {
			t.Errorf("in another workspace: %v, %v", revoked, err)
		}
	}
	if k, err := s.Key(t.Context(), "acme", key.ID); err != nil || k.Status(s.Now()) != store.Revoked {
		t.Errorf("%v %v", k.Status(s.Now()), err)
	}
}

// A key that was imported both with a pepper and without has two records. If its holder revokes it, both end, so that no gateway
// accepts it any more. Other calls need one record only. A record of another workspace hides neither.
func TestImportedKeyWithTwoDigests(t *testing.T) {
	const secret = "IL1deIyHyQA40WpeLeA1bIUXuvTwlGjo"
	s := newServer(t)
	s.workspace("acme")
	s.workspace("other")
	s.exchanging(store.Exchange{})
	imported := func(workspace string, digest jwks.Digest) store.Key {
		t.Helper()
		got, err := s.Import(t.Context(), workspace, []authz.ImportEntry{{Digest: digest.String(), Owner: "cust_1"}})
		if err != nil || got[0].Faults != nil {
			t.Fatal(err, got)
		}
		return got[0].Key
	}
	plain := imported("acme", jwks.SHA256Digest(secret))
	peppered := imported("acme", jwks.HMACDigest([]byte(pepper), secret))
	s.usable(authz.Issued{Key: plain, Token: secret})
	if _, err := s.Revoke(t.Context(), "acme", plain.ID); err != nil {
		t.Fatal(err)
	}
	if claims := s.claims(s.exchange(authz.ExchangeRequest{Key: secret})); claims.KeyID != peppered.ID.String() {
		t.Errorf("exchanged as %s", claims.KeyID)
	}
	const third = "another key of the other system"
	imported("other", jwks.SHA256Digest(third))
	both := []store.Key{imported("acme", jwks.HMACDigest([]byte(pepper), third)), peppered, plain}
	for _, token := range []jwks.Token{"Authorization: Bearer " + secret + "\n", third} {
		if revoked, err := s.RevokeToken(t.Context(), "acme", token); err != nil || !revoked {
			t.Errorf("%v, %v", revoked, err)
		}
	}
	for _, k := range both {
		if k, err := s.Key(t.Context(), "acme", k.ID); err != nil || k.Status(s.Now()) != store.Revoked {
			t.Errorf("%s: %v %v", k.ID, k.Status(s.Now()), err)
		}
	}
}
