// Package oidc logs people in through OpenID providers: the authorization code flow with PKCE, state and
// nonce (OpenID Connect Core 1.0 section 3.1, RFC 7636). Pages, cookies and sessions are the caller's.
package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Client is a workspace's registration at its provider. Without an OwnerClaim, only operators can log in.
type Client struct {
	store.OIDC
	Workspace   string // its ID
	Secret      ClientSecret
	CallbackURL string
	LogoutURL   string // the page to which the provider sends the browser after its logout
}

// ClientSecret is sent only to the provider with this issuer: a person who doesn't know the secret may be
// able to change the issuer in the workspace's settings.
type ClientSecret struct {
	Issuer string
	Secret jwks.Token
}

// Providers performs logins at OpenID providers. It is safe for concurrent use.
type Providers struct {
	client *http.Client
	local  bool
	now    func() time.Time

	mu    sync.Mutex
	known map[string]*known // by issuer
}

// New returns a Providers that uses the HTTP client, which must not follow redirects. If local is true,
// endpoints on this machine can have http URLs.
func New(client *http.Client, local bool, now func() time.Time) *Providers {
	return &Providers{client: newClient(client), local: local, now: now, known: make(map[string]*known)}
}

// Begin returns a new login, to be stored in the browser's cookie, and the provider's URL for it. The
// provider is asked to use the language on its pages. If again is true, the provider must ask for
// credentials even if the person is logged in there. Errors: *Error.
func (p *Providers) Begin(ctx context.Context, c *Client, language string, again bool) (l Login, to string, err error) {
	_, config, err := p.configOf(ctx, c)
	if err != nil {
		return Login{}, "", err
	}
	l = newLogin(p.now())
	options := []oauth2.AuthCodeOption{
		oauth2.SetAuthURLParam("ui_locales", language),
		oidc.Nonce(l.derive("nonce", c)), oauth2.S256ChallengeOption(l.derive("verifier", c)),
	}
	if again {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"))
	}
	return l, config.AuthCodeURL(l.State(c), options...), nil
}

// configOf returns a client's provider and its OAuth configuration. A secret for another issuer is an
// error: omitting the secret would make the client look like a public client. Errors: *Error.
func (p *Providers) configOf(ctx context.Context, c *Client) (*provider, *oauth2.Config, error) {
	if c.Secret.Secret != "" && c.Secret.Issuer != c.Issuer {
		return nil, nil, &Error{
			Reason: BadProvider,
			Err:    fmt.Errorf("the client secret is for the issuer %.100q, and the workspace's is %.100q", c.Secret.Issuer, c.Issuer),
		}
	}
	found, err := p.provider(ctx, c.Issuer)
	if err != nil {
		return nil, nil, err
	}
	secret := c.Secret.Secret.Reveal()
	endpoint := found.Endpoint()
	endpoint.AuthStyle = found.authStyle(secret)
	return found, &oauth2.Config{
		ClientID: c.ClientID, ClientSecret: secret, Endpoint: endpoint, RedirectURL: c.CallbackURL,
		Scopes: []string{oidc.ScopeOpenID, "profile", "email"},
	}, nil
}

// Finish handles the provider's answer: the query with which the browser returns. It calls admit before
// it sends the code to the provider; an error of admit is returned unchanged. Errors: *Error, with the
// part of the identity that is already proved.
func (p *Providers) Finish(ctx context.Context, c *Client, l Login, answer url.Values, admit func() error) (Identity, error) {
	if err := judge(c, answer); err != nil {
		return Identity{}, err
	}
	found, config, err := p.configOf(ctx, c)
	if err != nil {
		return Identity{}, err
	}
	if found.NamesItself && !answer.Has("iss") { // RFC 9207 section 2.4
		return Identity{}, &Error{Reason: "iss"}
	}
	if err := admit(); err != nil {
		return Identity{}, err
	}
	ctx = oidc.ClientContext(ctx, p.client)
	token, err := config.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(l.derive("verifier", c)))
	if err != nil {
		return Identity{}, exchangeError(err)
	}
	idToken, claims, err := p.verify(ctx, found, c, token)
	if err != nil {
		return Identity{}, err
	}
	if !equal(idToken.Nonce, l.derive("nonce", c)) {
		return Identity{}, &Error{Reason: "nonce"}
	}
	if err := more(ctx, found, c, token, idToken.Subject, claims); err != nil {
		return Identity{Subject: idToken.Subject}, err
	}
	return read(c, idToken.Subject, claims)
}

// judge refuses an invalid answer. It does not call the provider.
func judge(c *Client, answer url.Values) error {
	for _, name := range []string{"code", "iss", "error"} {
		if len(answer[name]) > 1 { // RFC 6749 section 3.1
			return &Error{Reason: BadState}
		}
	}
	switch {
	case answer.Has("iss") && answer.Get("iss") != c.Issuer: // another provider's answer
		return &Error{Reason: "iss"}
	case answer.Get("error") == "temporarily_unavailable", answer.Get("error") == "server_error":
		return &Error{Reason: BadProvider, Err: errors.New("the provider reports an outage")}
	case answer.Has("error"):
		return &Error{Reason: Denied}
	case answer.Get("code") == "":
		return &Error{Reason: "code"}
	}
	return nil
}

// exchangeError returns an error that says whether the provider or the code is at fault. It omits the
// provider's message, which may contain the code.
func exchangeError(err error) error {
	var answer *oauth2.RetrieveError
	switch {
	case !errors.As(err, &answer):
		return &Error{Reason: BadProvider, Err: shorten(err)}
	case answer.ErrorCode == "invalid_grant":
		return &Error{Reason: "code"}
	}
	return &Error{Reason: BadProvider, Err: fmt.Errorf("the token endpoint answers %d, %.40q", answer.Response.StatusCode, answer.ErrorCode)}
}

// verify checks the ID token according to OpenID Connect Core 1.0 section 3.1.3.7, except for its nonce.
func (p *Providers) verify(
	ctx context.Context, from *provider, c *Client, token *oauth2.Token,
) (*oidc.IDToken, map[string]any, error) {
	raw, _ := token.Extra("id_token").(string)
	idToken, err := from.Verifier(&oidc.Config{ClientID: c.ClientID, Now: p.now}).Verify(ctx, raw)
	if err != nil {
		return nil, nil, tokenError(err)
	}
	claims, err := claimsOf(idToken.Claims)
	if err != nil {
		return nil, nil, &Error{Reason: "token", Err: err}
	}
	party, named := claims["azp"]
	switch {
	case idToken.Subject == "":
		return nil, nil, &Error{Reason: "token", Err: errors.New("missing sub")}
	case named && party != c.ClientID, !named && slices.ContainsFunc(idToken.Audience, func(aud string) bool { return aud != c.ClientID }):
		return nil, nil, &Error{Reason: "token", Err: errors.New("also issued to another client")}
	case idToken.AccessTokenHash != "" && idToken.VerifyAccessToken(token.AccessToken) != nil:
		return nil, nil, &Error{Reason: "token", Err: errors.New("at_hash does not match the access token")}
	}
	return idToken, claims, nil
}

// tokenError returns an error that says whether the provider or the ID token is at fault. Package go-oidc
// reports unavailable keys only by this message; a test checks it.
func tokenError(err error) error {
	if strings.Contains(err.Error(), "fetching keys") {
		return &Error{Reason: BadProvider, Err: shorten(err)}
	}
	return &Error{Reason: "token", Err: shorten(err)}
}

// EndSessionURL returns the URL at which the provider ends its own session. It is empty if the provider
// has none or can't be reached (OpenID Connect RP-Initiated Logout 1.0 section 2).
func (p *Providers) EndSessionURL(ctx context.Context, c *Client) string {
	found, err := p.provider(ctx, c.Issuer)
	if err != nil || found.EndSession == "" {
		return ""
	}
	u, err := url.Parse(found.EndSession)
	if err != nil {
		return ""
	}
	query := u.Query()
	query.Set("client_id", c.ClientID)
	query.Set("post_logout_redirect_uri", c.LogoutURL)
	u.RawQuery = query.Encode()
	return u.String()
}
