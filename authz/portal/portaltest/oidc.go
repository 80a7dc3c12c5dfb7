package portaltest

import (
	_ "embed"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

//go:embed oidc.mjs
var oidc string

var provider = &script{text: oidc}

// The provider's two clients. Both must use PKCE, and both have the same redirect URIs.
const (
	PublicClient       = "burnkey-public"       // without a secret
	ConfidentialClient = "burnkey-confidential" // with ClientSecret, by client_secret_basic
	ClientSecret       = "a secret of the tests"
)

// OIDCConfig configures an OpenID provider.
type OIDCConfig struct {
	// Host is 127.0.0.1 (the default) or localhost. A browser at 127.0.0.1 regards localhost as a
	// different site. The provider listens on 127.0.0.1 in either case.
	Host string
	// RedirectURIs and LogoutURIs are where the provider may send a browser after login and logout.
	RedirectURIs, LogoutURIs []string
	// Users maps each sub to its claims. A user logs in by entering the sub. The scope email grants the
	// claims email and email_verified, the scope profile all others.
	Users map[string]map[string]any
	// UserinfoOnly omits the claims from the ID token, as OpenID Connect Core section 5.4 requires if an
	// access token is also issued.
	UserinfoOnly bool
	// TTL overrides lifetimes in seconds. Its keys are AccessToken, AuthorizationCode, Grant, IdToken,
	// Interaction and Session.
	TTL map[string]int
}

// OIDCProvider is a running provider.
type OIDCProvider struct{ Issuer string }

// NewOIDCProvider starts an OpenID provider (npm's oidc-provider), and stops it when the test ends.
func NewOIDCProvider(t testing.TB, c OIDCConfig) *OIDCProvider {
	t.Helper()
	host := c.Host
	if host == "" {
		host = "127.0.0.1"
	}
	p := new(OIDCProvider)
	if err := provider.do(t, request{
		"do": "start", "host": host, "redirects": c.RedirectURIs, "logouts": c.LogoutURIs, "users": c.Users,
		"userinfoOnly": c.UserinfoOnly, "ttl": c.TTL,
		"publicID": PublicClient, "confidentialID": ConfidentialClient, "secret": ClientSecret,
	}, &p.Issuer); err != nil {
		t.Fatalf("start the OpenID provider: %v", err)
	}
	t.Cleanup(func() {
		if err := provider.do(t, request{"do": "stop", "issuer": p.Issuer}, nil); err != nil {
			t.Errorf("stop the OpenID provider: %v", err)
		}
		provider.explain(t)
	})
	return p
}

// KeysURL is the address of the provider's keys (jwks_uri).
func (p *OIDCProvider) KeysURL() string { return p.Issuer + "/jwks" }

// IDToken returns an ID token, for PublicClient, of a user who logs in without a browser. The provider needs a redirect URI,
// at which nothing has to answer.
func (p *OIDCProvider) IDToken(t testing.TB, redirect, sub string) string {
	t.Helper()
	config := oauth2.Config{
		ClientID: PublicClient, RedirectURL: redirect, Scopes: []string{"openid"},
		Endpoint: oauth2.Endpoint{AuthURL: p.Issuer + "/auth", TokenURL: p.Issuer + "/token"},
	}
	verifier := oauth2.GenerateVerifier()
	code, err := p.code(config.AuthCodeURL("a state", oauth2.S256ChallengeOption(verifier)), redirect, sub)
	if err != nil {
		t.Fatalf("log in: %v", err)
	}
	answer, err := config.Exchange(t.Context(), code, oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatalf("redeem the code: %v", err)
	}
	token, _ := answer.Extra("id_token").(string)
	return token
}

// code fills in the provider's forms, and returns the code with which it redirects to the client.
func (p *OIDCProvider) code(start, redirect, sub string) (code string, err error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), redirect) {
			code = r.URL.Query().Get("code")
			return http.ErrUseLastResponse
		}
		return nil
	}}
	page, err := browser.Get(start)
	for _, form := range []url.Values{{"login": {sub}}, {"allow": {"yes"}}} {
		if err != nil {
			return "", err
		}
		_ = page.Body.Close()
		page, err = browser.PostForm(page.Request.URL.String(), form)
	}
	if err != nil {
		return "", err
	}
	return code, page.Body.Close()
}

// LogIn completes the provider's pages in a browser that a client has redirected there: it logs in as
// sub, consents, and waits for the client's page.
func (p *OIDCProvider) LogIn(page *Page, sub string) {
	page.WaitURL(p.Issuer + "/interaction/*")
	page.Fill(Label("User"), sub)
	page.Follow(Role("button", "Log in"))
	page.Follow(Role("button", "Allow"))
}

// LogOut confirms, on the provider's page, a logout that a client requested.
func (p *OIDCProvider) LogOut(page *Page) {
	page.WaitURL(p.Issuer + "/session/end*")
	page.Follow(Role("button", "Log out"))
}
