package portaltest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/burnkey/burnkey/authz/portal/portaltest"
)

var users = map[string]map[string]any{
	"ada":  {"email": "ada@acme.test", "customer_id": "cust_1", "groups": []string{"developers"}},
	"root": {"email": "root@burnkey.test", "groups": []string{"operators"}},
}

// relyingParty is a minimal client of a provider. It starts a login at / and records the queries of its
// callback.
type relyingParty struct {
	*httptest.Server
	provider  *oidc.Provider
	config    oauth2.Config
	pkce      string
	callbacks []url.Values
}

func newRelyingParty(t *testing.T, client string, c portaltest.OIDCConfig) (*relyingParty, *portaltest.OIDCProvider) {
	t.Helper()
	rp := &relyingParty{pkce: oauth2.GenerateVerifier()}
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, rp.config.AuthCodeURL("a state", oidc.Nonce("a nonce"), oauth2.S256ChallengeOption(rp.pkce)), http.StatusSeeOther)
	})
	mux.HandleFunc("/callback", func(_ http.ResponseWriter, r *http.Request) { rp.callbacks = append(rp.callbacks, r.URL.Query()) })
	mux.HandleFunc("/bye", func(http.ResponseWriter, *http.Request) {})
	rp.Server = httptest.NewServer(mux)
	t.Cleanup(rp.Close)

	c.RedirectURIs, c.LogoutURIs, c.Users = []string{rp.URL + "/callback"}, []string{rp.URL + "/bye"}, users
	op := portaltest.NewOIDCProvider(t, c)
	var err error
	if rp.provider, err = oidc.NewProvider(t.Context(), op.Issuer); err != nil {
		t.Fatal(err)
	}
	rp.config = oauth2.Config{
		ClientID: client, Endpoint: rp.provider.Endpoint(), RedirectURL: rp.URL + "/callback",
		Scopes: []string{oidc.ScopeOpenID, "profile", "email"},
	}
	if client == portaltest.ConfidentialClient {
		rp.config.ClientSecret = portaltest.ClientSecret
	}
	return rp, op
}

// claims are the result of a login.
type claims struct {
	Subject    string `json:"sub"`
	Email      string
	CustomerID string `json:"customer_id"`
	Groups     []string
}

// redeem exchanges the last callback's code.
func (rp *relyingParty) redeem(ctx context.Context) (idToken string, got claims, err error) {
	if len(rp.callbacks) == 0 {
		return "", got, errors.New("nobody came back")
	}
	last := rp.callbacks[len(rp.callbacks)-1]
	if last.Get("state") != "a state" || last.Get("code") == "" {
		return "", got, errors.New("came back with " + last.Encode())
	}
	token, err := rp.config.Exchange(ctx, last.Get("code"), oauth2.VerifierOption(rp.pkce))
	if err != nil {
		return "", got, err
	}
	idToken, _ = token.Extra("id_token").(string)
	verified, err := rp.provider.Verifier(&oidc.Config{ClientID: rp.config.ClientID}).Verify(ctx, idToken)
	if err != nil {
		return "", got, err
	}
	if verified.Nonce != "a nonce" {
		return "", got, errors.New("nonce " + verified.Nonce)
	}
	return idToken, got, verified.Claims(&got)
}

var action = regexp.MustCompile(`<form method="post">`)

// walk logs in as sub with an HTTP client that supports only forms and cookies.
func walk(t *testing.T, rp *relyingParty, sub string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	response, err := client.Get(rp.URL)
	for _, form := range []url.Values{{"login": {sub}}, {"allow": {"yes"}}} {
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if !action.Match(body) {
			return // back at the client, with an error
		}
		response, err = client.PostForm(response.Request.URL.String(), form)
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
}

func TestOIDCProviderWithHTTPClient(t *testing.T) {
	for _, client := range []string{portaltest.PublicClient, portaltest.ConfidentialClient} {
		t.Run(client, func(t *testing.T) {
			rp, _ := newRelyingParty(t, client, portaltest.OIDCConfig{})
			walk(t, rp, "ada")
			_, got, err := rp.redeem(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if want := (claims{"ada", "ada@acme.test", "cust_1", []string{"developers"}}); !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
			var refused *oauth2.RetrieveError
			if _, _, err := rp.redeem(t.Context()); !errors.As(err, &refused) || refused.ErrorCode != "invalid_grant" {
				t.Errorf("the code a second time: %v", err)
			}
		})
	}
}

func TestOIDCProviderRefuses(t *testing.T) {
	rp, _ := newRelyingParty(t, portaltest.PublicClient, portaltest.OIDCConfig{})
	walk(t, rp, "nobody")
	if got := rp.callbacks[0].Get("error"); got != "access_denied" {
		t.Errorf("an unknown user: %q", got)
	}
	walk(t, rp, "ada")
	rp.pkce = oauth2.GenerateVerifier()
	var refused *oauth2.RetrieveError
	if _, _, err := rp.redeem(t.Context()); !errors.As(err, &refused) || refused.ErrorCode != "invalid_grant" {
		t.Errorf("another PKCE verifier: %v", err)
	}
}

func TestOIDCProviderTimesAndUserinfo(t *testing.T) {
	rp, _ := newRelyingParty(t, portaltest.PublicClient, portaltest.OIDCConfig{
		UserinfoOnly: true, TTL: map[string]int{"IdToken": 7},
	})
	walk(t, rp, "ada")
	code := rp.callbacks[0].Get("code")
	token, err := rp.config.Exchange(t.Context(), code, oauth2.VerifierOption(rp.pkce))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := token.Extra("id_token").(string)
	id, err := rp.provider.Verifier(&oidc.Config{ClientID: rp.config.ClientID}).Verify(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	if lives := id.Expiry.Sub(id.IssuedAt).Seconds(); lives != 7 {
		t.Errorf("the ID token lives %v s", lives)
	}
	var inToken, inUserinfo claims
	info, err := rp.provider.UserInfo(t.Context(), oauth2.StaticTokenSource(token))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(id.Claims(&inToken), info.Claims(&inUserinfo)); err != nil {
		t.Fatal(err)
	}
	if inToken.CustomerID != "" || inUserinfo.CustomerID != "cust_1" {
		t.Errorf("ID token %+v, userinfo %+v", inToken, inUserinfo)
	}
}

// With the host localhost, the provider is a different site from the client, as in production.
func TestOIDCProviderWithBrowser(t *testing.T) {
	rp, op := newRelyingParty(t, portaltest.ConfidentialClient, portaltest.OIDCConfig{Host: "localhost"})
	p := portaltest.NewPage(t, portaltest.PageOptions{})
	p.Open(rp.URL)
	if violations := p.Axe(); len(violations) > 0 {
		t.Errorf("axe, of the provider's form: %v", violations)
	}
	op.LogIn(p, "root")
	idToken, got, err := rp.redeem(t.Context())
	if err != nil || got.Subject != "root" || got.CustomerID != "" {
		t.Fatalf("got %+v, %v", got, err)
	}

	p.Open(rp.URL) // the provider still knows the person and does not ask again
	if len(rp.callbacks) != 2 || !strings.HasPrefix(p.URL(), rp.URL+"/callback") {
		t.Errorf("%d callbacks, at %s", len(rp.callbacks), p.URL())
	}

	var metadata struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := rp.provider.Claims(&metadata); err != nil {
		t.Fatal(err)
	}
	p.Open(metadata.EndSession + "?" + url.Values{
		"id_token_hint": {idToken}, "post_logout_redirect_uri": {rp.URL + "/bye"}, "state": {"s"},
	}.Encode())
	op.LogOut(p)
	if got := p.URL(); got != rp.URL+"/bye?state=s" {
		t.Errorf("logged out to %s", got)
	}
	p.Open(rp.URL)
	p.Wait(portaltest.Label("User"))
}
