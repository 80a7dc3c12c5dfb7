package portal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/burnkey/burnkey/internal/outbound"
	"github.com/burnkey/burnkey/jwks"
)

const (
	// discoveryLife is how long a provider's metadata is used. Its keys are looked up
	// anew whenever a token names one that is not known.
	discoveryLife = time.Hour
	// failureLife is how long a provider that is down is left alone.
	failureLife  = 5 * time.Second
	maxProviders = 10000 // known at once
)

// provider is one, and what of its metadata package oidc does not show (OpenID Connect
// Discovery 1.0 section 3).
type provider struct {
	*oidc.Provider
	metadata
}

type metadata struct {
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Keys          string   `json:"jwks_uri"`
	Info          string   `json:"userinfo_endpoint"`
	EndSession    string   `json:"end_session_endpoint"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	NamesItself   bool     `json:"authorization_response_iss_parameter_supported"`
}

// known is what the last look at a provider showed. Of those who ask at once, one looks.
type known struct {
	mu    sync.Mutex
	good  *provider // the last good look's, or nil
	err   error
	until time.Time
}

// provider returns an issuer's. Where it can't be reached, the last good look goes on
// to hold. Errors: a *loginError.
func (l *logins) provider(ctx context.Context, issuer string) (*provider, error) {
	k := l.of(issuer)
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := l.now(); !now.Before(k.until) {
		// Others wait for it: that this one goes away must not end it.
		found, err := l.discover(oidc.ClientContext(context.WithoutCancel(ctx), l.client), issuer)
		k.err, k.until = err, now.Add(failureLife)
		if err == nil {
			k.good, k.until = found, now.Add(discoveryLife)
		}
	}
	if k.good == nil {
		return nil, &loginError{reason: badOP, err: k.err}
	}
	return k.good, nil
}

func (l *logins) of(issuer string) *known {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.known[issuer]
	if k == nil {
		if len(l.known) >= maxProviders {
			clear(l.known)
		}
		k = new(known)
		l.known[issuer] = k
	}
	return k
}

func (l *logins) discover(ctx context.Context, issuer string) (*provider, error) {
	found, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, shorten(err)
	}
	p := &provider{Provider: found}
	if err := found.Claims(&p.metadata); err != nil {
		return nil, err
	}
	for _, endpoint := range []string{p.Authorization, p.Token, p.Keys} {
		if !l.permits(endpoint) {
			return nil, fmt.Errorf("its metadata leads to %.100q", endpoint)
		}
	}
	for _, endpoint := range []string{p.Info, p.EndSession} {
		if endpoint != "" && !l.permits(endpoint) {
			return nil, fmt.Errorf("its metadata leads to %.100q", endpoint)
		}
	}
	return p, nil
}

// shorten keeps a provider's pages out of the log.
func shorten(err error) error {
	const enough = 300 // bytes
	if text := err.Error(); len(text) > enough {
		return errors.New(text[:enough] + "…")
	}
	return err
}

// permits holds a provider's own pages to what its issuer is held to.
func (l *logins) permits(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	return u.Scheme == "https" || l.local && u.Scheme == "http" && outbound.IsLoopback(u)
}

// authStyle is how the client shows its secret: asked for by name rather than tried
// out, since a try shows the code (OpenID Connect Core 1.0 section 9).
func (p *provider) authStyle(secret string) oauth2.AuthStyle {
	if secret == "" || len(p.AuthMethods) > 0 && !slices.Contains(p.AuthMethods, "client_secret_basic") {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

// shallow refuses JSON answers that are nested too deep. The wrapped client limits their length
// and the addresses it calls.
type shallow struct{ http.RoundTripper }

// newClient returns a client for providers, which the workspaces' operators choose.
func newClient(providers *http.Client) *http.Client {
	client := *providers
	client.Transport = shallow{providers.Transport}
	return &client
}

func (s shallow) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := s.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if _, deep := jwks.TooDeep(text, jwks.MaxDepth); deep {
		return nil, fmt.Errorf("the answer is JSON nested deeper than %d levels", jwks.MaxDepth)
	}
	answer.Body = io.NopCloser(bytes.NewReader(text))
	return answer, nil
}
