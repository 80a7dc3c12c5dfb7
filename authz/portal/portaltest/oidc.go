package portaltest

import (
	_ "embed"
	"testing"
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
