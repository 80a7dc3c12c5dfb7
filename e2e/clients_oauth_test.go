package e2e_test

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// oauthClients get an access token by their ordinary API. The programs are in tools/clients.
var oauthClients = []struct {
	name, language, program string
	ci                      bool
}{
	{"x/oauth2", "go", "oauth2", true},
	{"openid-client", "node", "openid-client", true},
	{"oauth4webapi", "node", "oauth4webapi", true},
	{"Authlib", "python", "oauth_authlib", false},
	{"requests-oauthlib", "python", "oauth_requests", false},
	{"Spring Security", "spring", "OAuthSpring", false},
}

// validators are programs that check access tokens by RFC 9068 section 4.
var validators = []struct {
	name, language, program string
	ci                      bool
}{
	{"oauth4webapi", "node", "oauth4webapi-validate", true},
	{"Authlib", "python", "rfc9068_authlib", false},
}

// An exchange is the address of a token endpoint, which judges keys.
type exchange string

func (e exchange) judge(token string) string {
	resp, err := plainHTTP.PostForm(string(e), url.Values{"grant_type": {"client_credentials"}, "client_secret": {token}})
	if err != nil {
		return err.Error()
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return resp.Status
	}
	return ""
}

// TestE2EOAuthClients has clients that nobody here wrote exchange a key for an access token, with one of the key's scopes. Without
// `make clients`, these are only the clients that are installed for other tests.
func TestE2EOAuthClients(t *testing.T) {
	t.Parallel()
	m := newMatrix(t, 0)
	m.create(t, "acme")
	on := map[string]any{"policy": map[string]any{"exchange": map[string]any{"enabled": true, "max_cache_age": 5}}}
	check(t, m.admin.call(http.MethodPatch, "/v1/workspaces/acme", on, nil))
	k := m.admin.mustIssue(t, "acme", "scopes", []string{"maps:read", "maps:write"})
	issuer := m.front.secure.URL + "/v1/auth/oauth/acme"
	f, err := jwks.NewFollower(jwks.FollowerOptions{URL: m.server.issuer("acme")})
	check(t, err)
	go func() { _ = f.Run(t.Context()) }()
	verifier := &jwks.Verifier{Keys: f, Issuer: jwks.IssuerIs(issuer), Audience: []string{clientsAudience}}
	env := append(m.front.environ("acme", "default"),
		"TOKEN_URI="+m.front.plain.URL+"/v1/auth/oauth/acme/token", "CLIENT_ID="+k.Owner, "KEY="+k.Token, "SCOPE=maps:read",
		"REQUESTS_CA_BUNDLE="+m.front.caFile, "OAUTHLIB_INSECURE_TRANSPORT=1")
	if s := until(exchange(m.front.plain.URL+"/v1/auth/oauth/acme/token"), k.Token, true, time.Minute); s.Over {
		t.Fatal("no signing key is in use") // the first is used once all caches have it
	}
	access := m.admin.exchanged(t, k)
	eventually(t, "the follower has the signing key", func() bool {
		_, err := verifier.Verify(access)
		return err == nil
	})
	for _, c := range oauthClients {
		if !c.ci && os.Getenv("BURNKEY_E2E_CLIENTS") == "" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			argv, err := m.workshop.argv(t, c.language, c.program)
			if errors.Is(err, errMissing) {
				absent(t, err.Error())
			}
			check(t, err)
			cmd := exec.Command(argv[0], argv[1:]...)
			cmd.Env = env
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			claims, err := verifier.Verify(strings.TrimSpace(string(out)))
			check(t, err)
			if claims.Subject != k.Owner || claims.Scope != "maps:read" || claims.KeyID != k.ID {
				t.Errorf("the access token's claims: %+v", claims)
			}
		})
	}
	m.validate(t, k, m.admin.exchanged(t, k))
}

// validate has strict validators check access tokens of the exchange, and tokens of a workspace whose keys have the type of access
// tokens. They refuse tokens of another type.
func (m *matrix) validate(t *testing.T, k key, access string) {
	m.create(t, "typed")
	typed := map[string]any{"policy": map[string]any{"token_type": "at+jwt"}}
	check(t, m.admin.call(http.MethodPatch, "/v1/workspaces/typed", typed, nil))
	for _, v := range validators {
		if !v.ci && os.Getenv("BURNKEY_E2E_CLIENTS") == "" {
			continue
		}
		t.Run(v.name+", validating", func(t *testing.T) {
			for workspace, token := range map[string]string{"acme": access, "typed": m.admin.mustIssue(t, "typed").Token} {
				j, stop, err := by(v.language, v.program)(t, m, workspace, "page")
				if errors.Is(err, errMissing) {
					absent(t, err.Error())
				}
				check(t, err)
				if reason := j.judge(token); reason != "" {
					t.Errorf("%s: an access token is refused: %s", workspace, reason)
				}
				if j.judge(token[:len(token)-8]+"AAAAAAAA") == "" {
					t.Errorf("%s: a token with another signature is accepted", workspace)
				}
				if workspace == "acme" && j.judge(k.Token) == "" {
					t.Error("a token that is not an access token is accepted, so this test shows nothing")
				}
				stop()
			}
		})
	}
}
