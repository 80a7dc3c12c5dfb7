package oidc

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
	// discoveryLife is how long a provider's metadata is cached. The provider's keys are also fetched
	// when a token names an unknown key.
	discoveryLife = time.Hour
	// FailureLife is how long a provider is not called after a failed discovery.
	FailureLife  = 5 * time.Second
	maxProviders = 10000 // remembered at once
)

// provider adds the metadata that package go-oidc does not expose (OpenID Connect Discovery 1.0 section
// 3).
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

// known is the result of a provider's last discovery. Concurrent callers share one discovery.
type known struct {
	mu    sync.Mutex
	good  *provider // of the last discovery that succeeded, or nil
	err   error
	until time.Time
}

// provider returns the provider of an issuer. If the provider can't be reached, the result of the last
// successful discovery is returned. Errors: *Error.
func (p *Providers) provider(ctx context.Context, issuer string) (*provider, error) {
	k := p.of(issuer)
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := p.now(); !now.Before(k.until) {
		// Other callers wait for the same discovery, so this caller's cancellation must not end it.
		found, err := p.discover(oidc.ClientContext(context.WithoutCancel(ctx), p.client), issuer)
		k.err, k.until = err, now.Add(FailureLife)
		if err == nil {
			k.good, k.until = found, now.Add(discoveryLife)
		}
	}
	if k.good == nil {
		return nil, &Error{Reason: BadProvider, Err: k.err}
	}
	return k.good, nil
}

func (p *Providers) of(issuer string) *known {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.known[issuer]
	if k == nil {
		if len(p.known) >= maxProviders {
			clear(p.known)
		}
		k = new(known)
		p.known[issuer] = k
	}
	return k
}

func (p *Providers) discover(ctx context.Context, issuer string) (*provider, error) {
	found, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, shorten(err)
	}
	one := &provider{Provider: found}
	if err := found.Claims(&one.metadata); err != nil {
		return nil, err
	}
	for _, endpoint := range []string{one.Authorization, one.Token, one.Keys} {
		if !p.permits(endpoint) {
			return nil, fmt.Errorf("its metadata leads to %.100q", endpoint)
		}
	}
	for _, endpoint := range []string{one.Info, one.EndSession} {
		if endpoint != "" && !p.permits(endpoint) {
			return nil, fmt.Errorf("its metadata leads to %.100q", endpoint)
		}
	}
	return one, nil
}

// shorten truncates an error, which may quote a whole page, for the log.
func shorten(err error) error {
	const enough = 300 // bytes
	if text := err.Error(); len(text) > enough {
		return errors.New(text[:enough] + "…")
	}
	return err
}

// permits reports whether an endpoint satisfies the rules for issuer URLs.
func (p *Providers) permits(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	return u.Scheme == "https" || p.local && u.Scheme == "http" && outbound.IsLoopback(u)
}

// authStyle returns how the client sends its secret, according to the provider's metadata. By default,
// package oauth2 would try both ways, but each attempt reveals the code (OpenID Connect Core 1.0 section
// 9).
func (p *provider) authStyle(secret string) oauth2.AuthStyle {
	if secret == "" || len(p.AuthMethods) > 0 && !slices.Contains(p.AuthMethods, "client_secret_basic") {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

// shallow refuses JSON answers that are nested too deep. The wrapped transport limits their length and
// the addresses called.
type shallow struct{ http.RoundTripper }

// newClient returns the HTTP client for providers, which operators of workspaces choose.
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
