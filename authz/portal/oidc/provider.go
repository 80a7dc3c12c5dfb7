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
	// discoveryLife is how long a provider's metadata is used. Its keys are fetched again
	// whenever a token names an unknown one.
	discoveryLife = time.Hour
	// FailureLife is how long an unreachable provider is not called again.
	FailureLife  = 5 * time.Second
	maxProviders = 10000 // remembered at once
)

// provider is a provider with the metadata that package go-oidc does not expose (OpenID Connect
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

// known is the result of the last discovery of a provider. Concurrent callers share one.
type known struct {
	mu    sync.Mutex
	good  *provider // of the last discovery that succeeded, or nil
	err   error
	until time.Time
}

// provider returns the provider of an issuer: while it is unreachable, as it was at the last
// discovery that succeeded. Errors: *Error.
func (p *Providers) provider(ctx context.Context, issuer string) (*provider, error) {
	k := p.of(issuer)
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := p.now(); !now.Before(k.until) {
		// Others wait for the result, so it must not end with this caller.
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

// shorten keeps a provider's pages out of the log.
func shorten(err error) error {
	const enough = 300 // bytes
	if text := err.Error(); len(text) > enough {
		return errors.New(text[:enough] + "…")
	}
	return err
}

// permits reports whether an endpoint keeps the rules for issuers.
func (p *Providers) permits(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	return u.Scheme == "https" || p.local && u.Scheme == "http" && outbound.IsLoopback(u)
}

// authStyle returns how the client sends its secret, according to the metadata. Package oauth2
// would try both, but each try reveals the code (OpenID Connect Core 1.0 section 9).
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
