package authz_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// newHome starts on a database after Bootstrap.
func newHome(t *testing.T) *server {
	t.Helper()
	s := newServer(t)
	if made, err := s.Bootstrap(t.Context(), func(jwks.Token) error { return nil }); err != nil || !made {
		t.Fatal(made, err)
	}
	return s
}

// publish publishes a key with exactly these claims in a workspace, even if Issue would refuse them, and
// returns its token.
func (s *server) publish(workspace, claims string) string {
	s.t.Helper()
	minted := sign([]byte(claims))
	key := store.Key{Workspace: workspace, ID: uuid.Must(uuid.NewV7()), Owner: "a", CreatedAt: s.Now(), UpdatedAt: s.Now()}
	if _, err := s.store.Issue(s.t.Context(), key, minted.Key, nil); err != nil {
		s.t.Fatal(err)
	}
	if err := s.publisher.Load(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return minted.Token.Reveal()
}

func TestAuthenticate(t *testing.T) {
	s := newHome(t)
	s.workspace("acme")
	home := func(r authz.IssueRequest) string { return s.issue(authz.Home, r).Token.Reveal() }
	const claims = `{"iss":"%s","sub":"ops","aud":["burnkey"],"jti":"01a217ea-99e6-70d0-97d4-a0b1f7b68ce1","iat":1%s}`
	issued := func(iss, more string) string { return s.publish(authz.Home, fmt.Sprintf(claims, iss, more)) }
	iss := s.Issuer(authz.Home)
	good := home(authz.IssueRequest{Owner: "ops", Scopes: []string{"admin", "keys:read"}})
	scopes := []string{"keys:read"}
	revoked := s.issue(authz.Home, authz.IssueRequest{Scopes: scopes})
	if _, err := s.Revoke(t.Context(), authz.Home, revoked.ID); err != nil {
		t.Fatal(err)
	}
	unpublished := sign(fmt.Appendf(nil, claims, iss, "")).Token.Reveal()
	for _, test := range []struct {
		name, token string
		accepted    bool
		tie         string
	}{
		{"good", good, true, ""},
		{"tied", home(authz.IssueRequest{Scopes: scopes, Claims: []byte(`{"workspace":"acme"}`)}), true, "acme"},
		{
			"tied to a workspace that does not exist",
			home(authz.IssueRequest{Scopes: scopes, Claims: []byte(`{"workspace":"later"}`)}), true, "later",
		},
		{"with claims of its own", issued(iss, `,"team":"a","nested":{"workspace":1}`), true, ""},
		{"of another public URL", issued("http://old.example.net:8080/v1/auth/oauth/burnkey", ""), true, ""},
		{"without end", issued(iss, ""), true, ""},

		{"empty", "", false, ""},
		{"junk", "admin", false, ""},
		{"altered payload", alter(good, 1), false, ""},
		{"altered signature", alter(good, 2), false, ""},
		{"altered kid", alter(good, 0), false, ""},
		{"revoked", revoked.Token.Reveal(), false, ""},
		{"of a key that was never published", unpublished, false, ""},
		{"of another workspace", s.issue("acme", authz.IssueRequest{Scopes: []string{"admin"}}).Token.Reveal(), false, ""},
		{"of another workspace that says burnkey", s.publish("acme", fmt.Sprintf(claims, iss, "")), false, ""},
		{"of another workspace's path", issued(s.Issuer("acme"), ""), false, ""},
		{"of a longer path", issued(iss+"/x", ""), false, ""},
		{"of a path that ends alike", issued("https://keys.example.com/burnkey", ""), false, ""},
		{"expired", issued(iss, `,"exp":1772597167`), false, ""},
		{"good for a second", issued(iss, `,"exp":1772597168`), true, ""},
		{"exp as text", issued(iss, `,"exp":"9999999999"`), false, ""},
		{"scope as a list", issued(iss, `,"scope":["admin"]`), false, ""},
		{"a member twice", issued(iss, `,"sub":"root"`), false, ""},
		{"tied by a number", issued(iss, `,"workspace":1`), false, ""},
		{"tied by a list", issued(iss, `,"workspace":["acme"]`), false, ""},
		{"tied by null", issued(iss, `,"workspace":null`), false, ""},
		{"tied by nothing", issued(iss, `,"workspace":""`), false, ""},
		{"tied to what is no id", issued(iss, `,"workspace":"*"`), false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := s.Authenticate(test.token)
			if !test.accepted {
				if !errors.Is(err, authz.ErrUnauthenticated) || p != nil {
					t.Fatalf("got %v, %v, want ErrUnauthenticated", p, err)
				}
				if len(test.token) > 9 && strings.Contains(err.Error(), test.token[:9]) {
					t.Errorf("the error quotes the token: %v", err)
				}
				return
			}
			if err == nil && p.Moved != (test.name == "of another public URL") {
				t.Errorf("Moved is %v", p.Moved)
			}
			if err != nil || p.Workspace != test.tie || p.Owner == "" || p.KeyID == uuid.Nil {
				t.Errorf("got %+v, %v", p, err)
			}
		})
	}
	s.clock.Advance(91 * 24 * time.Hour)
	if _, err := s.Authenticate(good); !errors.Is(err, authz.ErrUnauthenticated) || !errors.Is(err, jwks.ErrExpired) {
		t.Errorf("after 91 days: %v", err)
	}
}

func TestAuthenticateWithoutHome(t *testing.T) {
	s := newServer(t)
	if _, err := s.Authenticate("x"); !errors.Is(err, authz.ErrUnauthenticated) {
		t.Errorf("got %v", err)
	}
}

// The rights of a management key are checked by the kid that signed its token, which is not the key's in an access token.
func TestAuthenticateRefusesAccessTokens(t *testing.T) {
	s := newHome(t)
	parent := s.issue(authz.Home, authz.IssueRequest{Owner: "ops", Scopes: []string{"admin"}})
	token := s.exchanged(authz.Home, parent.Key)
	set, _ := s.publisher.Set(authz.Home)
	verifier := jwks.Verifier{Keys: set, Issuer: jwks.IssuerIs(s.Issuer(authz.Home)), AnyAudience: true, Now: s.Now}
	if _, err := verifier.Verify(token); err != nil {
		t.Fatal(err)
	}
	if p, err := s.Authenticate(token); !errors.Is(err, authz.ErrUnauthenticated) {
		t.Errorf("got %v, %v", p, err)
	}
}

// An access token is as good as its key at most, and not after its own end.
func TestIntrospectAccessTokens(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	key := s.issue("acme", authz.IssueRequest{Scopes: []string{"maps:read", "maps:write"}}).Key
	token := jwks.Token(s.exchanged("acme", key))
	check := func(when, scope string) {
		t.Helper()
		found, err := s.Introspect(t.Context(), "acme", token)
		if err != nil || (found == nil) != (scope == "") || found != nil &&
			(found.Scope() != scope || found.Key.ID != key.ID || found.ExpiresAt().Unix() != found.Claims.Expiry) {
			t.Errorf("%s: %+v, %v", when, found, err)
		}
	}
	check("at first", "maps:read maps:write")
	if l, err := s.LimitsOfToken(t.Context(), "acme", token, netip.Addr{}); err != nil || l.Key.ID != key.ID {
		t.Errorf("limits: %v, %v", l.Key.ID, err)
	}
	scopes := []string{"maps:read", "admin"}
	if _, err := s.UpdateKey(t.Context(), "acme", key.ID, authz.KeyPatch{Scopes: &scopes}); err != nil {
		t.Fatal(err)
	}
	check("other scopes", "maps:read")
	s.clock.Advance(10 * time.Minute)
	check("after its end", "")
	if _, err := s.LimitsOfToken(t.Context(), "acme", token, netip.Addr{}); !errors.Is(err, authz.ErrUnauthenticated) {
		t.Errorf("limits after its end: %v", err)
	}
	token = jwks.Token(s.exchanged("acme", key))
	check("another", "maps:read")
	if revoked, err := s.RevokeToken(t.Context(), "acme", token); !errors.Is(err, authz.ErrAccessToken) || revoked {
		t.Errorf("its access token is to revoke the key: %v, %v", revoked, err)
	}
	if _, err := s.Revoke(t.Context(), "acme", key.ID); err != nil {
		t.Fatal(err)
	}
	check("revoked", "")
}

// exchanged returns an access token for a key, signed by another published key.
func (s *server) exchanged(workspace string, k store.Key) string {
	s.t.Helper()
	private := testkit.PrivateKey()
	signer := must(jwks.FromPublicKey(&private.PublicKey))
	record := store.Key{Workspace: workspace, ID: uuid.Must(uuid.NewV7()), Owner: "signer", CreatedAt: s.Now(), UpdatedAt: s.Now()}
	if _, err := s.store.Issue(s.t.Context(), record, signer, nil); err != nil {
		s.t.Fatal(err)
	}
	if err := s.publisher.Load(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	payload := must(json.Marshal(&jwks.Claims{
		Issuer: s.Issuer(workspace), Subject: k.Owner, Audience: []string{"web"}, ID: uuid.NewString(), IssuedAt: s.Now().Unix(),
		Expiry: s.Now().Unix() + 600, Scope: strings.Join(k.Scopes, " "), ClientID: k.Owner, KeyID: k.ID.String(), KeyKID: k.KID,
	}))
	return testkit.Sign(private, testkit.AccessHeader(signer.KID().String()), string(payload))
}

// With a misspelt tie, a key would not be tied.
func TestManagementKeysHaveNoOtherClaim(t *testing.T) {
	s := newHome(t)
	for _, name := range []string{"Workspace", "workspaces", "ws"} {
		_, err := s.Issue(t.Context(), authz.Home, authz.IssueRequest{
			Owner: "a", Scopes: []string{"admin"},
			Claims: []byte(`{"` + name + `":"acme"}`),
		})
		expectFaults(t, err, "claims")
	}
}

// Claims that Authenticate would refuse are not issued. In other workspaces than Home, the claim has no
// meaning.
func TestTieOfWrongTypeIsNotIssued(t *testing.T) {
	s := newHome(t)
	s.workspace("acme")
	for _, tie := range []string{`1`, `null`, `true`, `[]`, `{}`, `""`, `"*"`, `"ACME"`, `"acme "`} {
		request := authz.IssueRequest{Owner: "a", Scopes: []string{"admin"}, Claims: []byte(`{"workspace":` + tie + `}`)}
		_, err := s.Issue(t.Context(), authz.Home, request)
		expectFaults(t, err, "claims.workspace")
		_, err = s.IssueManagement(t.Context(), request)
		expectFaults(t, err, "claims.workspace")
		if _, err = s.Issue(t.Context(), "acme", request); err != nil {
			t.Error(err)
		}
	}
}

// A key without rights is not issued, but a key without rights from an earlier release can be rotated.
func TestManagementKeysHaveKnownScopes(t *testing.T) {
	s := newHome(t)
	s.workspace("acme")
	for _, scopes := range [][]string{nil, {}, {"nope"}, {"admin", "key:read"}, {"Admin"}} {
		request := authz.IssueRequest{Owner: "a", Scopes: scopes}
		_, err := s.Issue(t.Context(), authz.Home, request)
		expectFaults(t, err, "scopes")
		_, err = s.IssueManagement(t.Context(), request)
		if expectFaults(t, err, "scopes"); err == nil || !strings.Contains(err.Error(), strings.Join(authz.ManagementScopes(), ", ")) {
			t.Errorf("says %v", err)
		}
		s.issue("acme", request)
	}
	s.issue(authz.Home, authz.IssueRequest{Scopes: authz.ManagementScopes()})
	s.publish(authz.Home, fmt.Sprintf(`{"iss":%q,"sub":"old","aud":["burnkey"],`+
		`"jti":"01a217ea-99e6-70d0-97d4-a0b1f7b68ce1","iat":1}`, s.Issuer(authz.Home)))
	keys, _, err := s.Keys(t.Context(), authz.Home, store.Filter{Limit: 1})
	if err != nil || len(keys) != 1 || len(keys[0].Scopes) > 0 {
		t.Fatal(keys, err)
	}
	if _, err := s.Rotate(t.Context(), authz.Home, keys[0].ID, authz.RotateRequest{}); err != nil {
		t.Errorf("one from before is not rotated: %v", err)
	}
}

func TestMay(t *testing.T) {
	s := newHome(t)
	const home, all = authz.Home, ""
	for _, test := range []struct {
		scopes, tie string
		needs       string
		may, mayNot []string
	}{
		{"admin", "", "keys:write", []string{"acme", "other", home, all}, nil},
		{"admin", "", "", []string{"acme", home, all}, nil},
		{"admin", "acme", "keys:write", []string{"acme"}, []string{"other", home, all}},
		// With rights in Home, a key that is tied to it could issue an untied key.
		{"admin", home, "keys:write", nil, []string{home, "acme", all}},
		{"keys:read", "", "keys:read", []string{"acme", "other", all}, []string{home}},
		{"keys:read", "", "keys:write", nil, []string{"acme", home, all}},
		{"keys:read", "", "", nil, []string{"acme", home, all}},
		{"keys:read keys:write", "acme", "keys:write", []string{"acme"}, []string{"other", home, all}},
		{"keys:write", home, "keys:write", nil, []string{home, "acme", all}},
		{"workspaces:read", "", "workspaces:read keys:read", []string{"acme", all}, []string{home}},
		{"workspaces:write", "", "keys:write", nil, []string{"acme", all}},
		{"gateway", "", "workspaces:read keys:read gateway", []string{"acme", all}, []string{home}},
		{"gateway", "", "workspaces:read keys:read keys:write", nil, []string{"acme", all}},
		{"Admin administrator keys:*", "", "keys:read", nil, []string{"acme", home, all}},
		{"", "", "keys:read", nil, []string{"acme", home, all}},
	} {
		// These keys are published directly, as Issue would refuse some: earlier releases issued keys without a
		// scope or with unknown ones.
		claims := fmt.Sprintf(`{"iss":%q,"sub":"a","aud":["burnkey"],"jti":"01a217ea-99e6-70d0-97d4-a0b1f7b68ce1","iat":1`, s.Issuer(home))
		if test.scopes != "" {
			claims += fmt.Sprintf(`,"scope":%q`, test.scopes)
		}
		if test.tie != "" {
			claims += fmt.Sprintf(`,"workspace":%q`, test.tie)
		}
		p, err := s.Authenticate(s.publish(home, claims+"}"))
		if err != nil {
			t.Fatal(err)
		}
		for _, workspace := range slices.Concat(test.may, test.mayNot) {
			err := p.May(workspace, strings.Fields(test.needs)...)
			if may := slices.Contains(test.may, workspace); may != (err == nil) || err != nil && !errors.Is(err, authz.ErrForbidden) {
				t.Errorf("%q tied to %q, which needs %q in %q: %v", test.scopes, test.tie, test.needs, workspace, err)
			}
		}
	}
}

// The error names each required scope once, and May does not change the caller's list.
func TestMaySaysWhatItNeeds(t *testing.T) {
	s := newHome(t)
	p, err := s.Authenticate(s.issue(authz.Home, authz.IssueRequest{Scopes: []string{"gateway"}}).Token.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	list := []string{"keys:read", "admin", "kept"}
	err = p.May("acme", list[:2]...)
	if err == nil || !strings.HasSuffix(err.Error(), "needs the scope keys:read or admin") {
		t.Errorf("says %v", err)
	}
	_ = p.May("acme", list[:1]...)
	if !slices.Equal(list, []string{"keys:read", "admin", "kept"}) {
		t.Errorf("the caller's list is now %q", list)
	}
}
