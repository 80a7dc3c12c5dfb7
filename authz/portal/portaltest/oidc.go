package portaltest

import (
	_ "embed"
	"testing"
)

//go:embed oidc.mjs
var oidc string

var provider = &script{text: oidc}

// The provider's clients. Both must use PKCE and have the same redirect URIs.
const (
	PublicClient       = "burnkey-public"       // without a secret
	ConfidentialClient = "burnkey-confidential" // with ClientSecret, by client_secret_basic
	ClientSecret       = "a secret of the tests"
)

// OIDCConfig configures an OpenID provider.
type OIDCConfig struct {
	// Host is 127.0.0.1 (the default) or localhost: to a browser at 127.0.0.1 that is another
	// site. The provider listens on 127.0.0.1 in either case.
	Host string
	// RedirectURIs and LogoutURIs are where it may send a browser after login and logout.
	RedirectURIs, LogoutURIs []string
	// Users are the claims by sub; a user logs in by entering it. Scope email has email and
	// email_verified, profile all others.
	Users map[string]map[string]any
	// UserinfoOnly leaves the claims out of the ID token, as OpenID Connect Core section 5.4
	// demands if there is an access token, too.
	UserinfoOnly bool
	// TTL are lifetimes in seconds: AccessToken, AuthorizationCode, Grant, IdToken, Interaction,
	// Session.
	TTL map[string]int
}

// OIDCProvider is a running provider.
type OIDCProvider struct{ Issuer string }

// NewOIDCProvider starts an OpenID provider, npm's oidc-provider, and stops it when the test ends.
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

// LogIn goes through the provider's pages with a browser that a client has sent there: it logs
// sub in, consents, and waits for the client's page.
func (p *OIDCProvider) LogIn(page *Page, sub string) {
	page.WaitURL(p.Issuer + "/interaction/*")
	page.Fill(Label("User"), sub)
	page.Follow(Role("button", "Log in"))
	page.Follow(Role("button", "Allow"))
}

// LogOut confirms, on the provider's page, a logout that a client asked for.
func (p *OIDCProvider) LogOut(page *Page) {
	page.WaitURL(p.Issuer + "/session/end*")
	page.Follow(Role("button", "Log out"))
}
