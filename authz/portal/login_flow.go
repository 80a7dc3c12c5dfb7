package portal

import (
	"context"
	"crypto/subtle"
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

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/outbound"
	"github.com/burnkey/burnkey/store"
)

// logins logs people in by their workspace's OpenID provider: the authorization code
// flow with PKCE, state and nonce (OpenID Connect Core 1.0 section 3.1, RFC 7636). It is
// safe for concurrent use.
type logins struct {
	publicURL string
	secrets   map[string]ClientSecret // by workspace
	now       func() time.Time
	local     bool // the server is reached on this machine alone
	client    *http.Client
	budget    *budget
	service   *authz.Service

	mu    sync.Mutex
	known map[string]*known // by issuer
}

func newLogins(publicURL *url.URL, o Options) *logins {
	return &logins{
		publicURL: strings.TrimRight(publicURL.String(), "/"), secrets: o.ClientSecrets, now: o.Now,
		local: outbound.IsLoopback(publicURL), client: newClient(o.Providers), budget: newBudget(o.Metrics, o.Log), service: o.Service,
		known: make(map[string]*known),
	}
}

// begin returns a new login for the browser's cookie, and the URL to send the browser to.
// Errors: *loginError.
func (l *logins) begin(ctx context.Context, w *store.Workspace, more ...oauth2.AuthCodeOption) (one login, to string, err error) {
	_, config, err := l.clientOf(ctx, w)
	if err != nil {
		return login{}, "", err
	}
	one = newLogin(l.now())
	more = append(more, oidc.Nonce(one.derive("nonce", w)), oauth2.S256ChallengeOption(one.derive("verifier", w)))
	return one, config.AuthCodeURL(one.state(w), more...), nil
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// clientOf returns a workspace's provider, and what the workspace is to it. A secret that is
// for another issuer is not shown to this one, whoever has set it; nor does the workspace
// become a public client by that. Errors: a *loginError.
func (l *logins) clientOf(ctx context.Context, w *store.Workspace) (*provider, *oauth2.Config, error) {
	o, known := w.Portal.OIDC, l.secrets[w.ID]
	if known.Secret != "" && known.Issuer != o.Issuer {
		return nil, nil, &loginError{
			reason: badOP,
			err:    fmt.Errorf("the client secret is for the issuer %.100q, and the workspace's is %.100q", known.Issuer, o.Issuer),
		}
	}
	p, err := l.provider(ctx, o.Issuer)
	if err != nil {
		return nil, nil, err
	}
	endpoint := p.Endpoint()
	endpoint.AuthStyle = p.authStyle(known.Secret.Reveal())
	return p, &oauth2.Config{
		ClientID: o.ClientID, ClientSecret: known.Secret.Reveal(), Endpoint: endpoint,
		RedirectURL: l.publicURL + authz.PortalPath + "/" + w.ID + "/callback",
		Scopes:      []string{oidc.ScopeOpenID, "profile", "email"},
	}, nil
}

// finish handles the provider's answer, brought by a browser at an address. Errors: a
// *loginError, with as much of the identity as is proved.
func (l *logins) finish(ctx context.Context, w *store.Workspace, one login, from string, answer url.Values) (identity, error) {
	if err := judge(w, answer); err != nil {
		return identity{}, err
	}
	p, config, err := l.clientOf(ctx, w)
	if err != nil {
		return identity{}, err
	}
	if p.NamesItself && !answer.Has("iss") { // RFC 9207 section 2.4
		return identity{}, &loginError{reason: "iss"}
	}
	if wait := l.budget.take(w.ID, from, l.now()); wait > 0 {
		return identity{}, &loginError{reason: tooMany, retry: wait}
	}
	if err := l.spend(ctx, w, one); err != nil {
		return identity{}, err
	}
	ctx = oidc.ClientContext(ctx, l.client)
	token, err := config.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(one.derive("verifier", w)))
	if err != nil {
		return identity{}, exchangeError(err)
	}
	idToken, claims, err := l.verify(ctx, p, w, token)
	if err != nil {
		return identity{}, err
	}
	if !equal(idToken.Nonce, one.derive("nonce", w)) {
		return identity{}, &loginError{reason: "nonce"}
	}
	if err := more(ctx, p, w.Portal.OIDC, token, idToken.Subject, claims); err != nil {
		return identity{Subject: idToken.Subject}, err
	}
	return read(w, idToken.Subject, claims)
}

// spend uses a login up before the provider is called: it works once, over all servers.
func (l *logins) spend(ctx context.Context, w *store.Workspace, one login) error {
	err := l.service.SpendLogin(ctx, w.ID, one.state(w), one.begun.Add(loginLife+2*clockSkew))
	if errors.Is(err, authz.ErrExists) {
		return &loginError{reason: badState, err: errors.New("used before")}
	}
	return err
}

// judge refuses an answer without asking the provider.
func judge(w *store.Workspace, answer url.Values) error {
	for _, name := range []string{"code", "iss", "error"} {
		if len(answer[name]) > 1 { // RFC 6749 section 3.1
			return &loginError{reason: badState}
		}
	}
	switch {
	case answer.Has("iss") && answer.Get("iss") != w.Portal.OIDC.Issuer: // another provider's answer
		return &loginError{reason: "iss"}
	case answer.Get("error") == "temporarily_unavailable", answer.Get("error") == "server_error":
		return &loginError{reason: badOP, err: errors.New("the provider reports an outage")}
	case answer.Has("error"):
		return &loginError{reason: denied}
	case answer.Get("code") == "":
		return &loginError{reason: "code"}
	}
	return nil
}

// exchangeError says whose fault it is that a code brought no token. The provider's own
// words may have the code in them.
func exchangeError(err error) error {
	var answer *oauth2.RetrieveError
	switch {
	case !errors.As(err, &answer):
		return &loginError{reason: badOP, err: shorten(err)}
	case answer.ErrorCode == "invalid_grant":
		return &loginError{reason: "code"}
	}
	return &loginError{reason: badOP, err: fmt.Errorf("the token endpoint answers %d, %.40q", answer.Response.StatusCode, answer.ErrorCode)}
}

// verify holds the ID token to OpenID Connect Core 1.0 section 3.1.3.7, but for the
// nonce.
func (l *logins) verify(ctx context.Context, p *provider, w *store.Workspace, token *oauth2.Token) (*oidc.IDToken, map[string]any, error) {
	clientID := w.Portal.OIDC.ClientID
	raw, _ := token.Extra("id_token").(string)
	idToken, err := p.Verifier(&oidc.Config{ClientID: clientID, Now: l.now}).Verify(ctx, raw)
	if err != nil {
		return nil, nil, tokenError(err)
	}
	claims, err := claimsOf(idToken.Claims)
	if err != nil {
		return nil, nil, &loginError{reason: "token", err: err}
	}
	party, named := claims["azp"]
	switch {
	case idToken.Subject == "":
		return nil, nil, &loginError{reason: "token", err: errors.New("missing sub")}
	case named && party != clientID, !named && slices.ContainsFunc(idToken.Audience, func(aud string) bool { return aud != clientID }):
		return nil, nil, &loginError{reason: "token", err: errors.New("also issued to another client")}
	case idToken.AccessTokenHash != "" && idToken.VerifyAccessToken(token.AccessToken) != nil:
		return nil, nil, &loginError{reason: "token", err: errors.New("at_hash does not match the access token")}
	}
	return idToken, claims, nil
}

// tokenError says whose fault it is that an ID token is not good. Package oidc has no
// other word for keys that it could not get; a test holds it to this one.
func tokenError(err error) error {
	if strings.Contains(err.Error(), "fetching keys") {
		return &loginError{reason: badOP, err: shorten(err)}
	}
	return &loginError{reason: "token", err: shorten(err)}
}

// end is where the provider ends its own session, or empty where it has no such page or
// can't be asked (OpenID Connect RP-Initiated Logout 1.0 section 2).
func (l *logins) end(ctx context.Context, w *store.Workspace) string {
	if w.Portal.OIDC == nil {
		return ""
	}
	p, err := l.provider(ctx, w.Portal.OIDC.Issuer)
	if err != nil || p.EndSession == "" {
		return ""
	}
	u, err := url.Parse(p.EndSession)
	if err != nil {
		return ""
	}
	query := u.Query()
	query.Set("client_id", w.Portal.OIDC.ClientID)
	query.Set("post_logout_redirect_uri", l.publicURL+authz.PortalPath+"/"+w.ID+"/loggedout")
	u.RawQuery = query.Encode()
	return u.String()
}
