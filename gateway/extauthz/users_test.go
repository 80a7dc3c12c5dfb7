package extauthz

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz/portal/portaltest"
	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/jwks"
)

// userRoutes have each requirement. The expectations of TestUsers are in this order.
const userRoutes = `routes:
- {path: /key, require: key}
- {path: /user, require: user}
- {path: /both, require: both, methods: POST}
- {path: /either, require: either}
- {path: /scopes, require: both, scopes: "maps:read"}
- {path: /open, open: true}
`

var userTargets = []string{"GET /key", "GET /user", "POST /both", "GET /either", "GET /scopes", "GET /open", "GET /other", "GET /USER/"}

// TestUsers sends keys and tokens of users of a real OpenID provider to an Envoy that verifies keys by itself, and to one that asks a
// gateway.
func TestUsers(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	o := gatewaytest.NewOrigin(t, "acme")
	o.Publish("acme", own())
	places, err := jwks.ParsePlaces("header:X-API-Key")
	check(t, err)
	routes, err := envoy.ReadRoutes(strings.NewReader(userRoutes), "")
	check(t, err)
	issuer, set, user := logIn(t)
	edge := envoy.Edge{Routes: routes, UserIssuer: issuer, UserJWKS: set, UserAudiences: []string{portaltest.PublicClient}}
	pull := envoy.Config{
		Server: o.URL, PublicURL: gatewaytest.PublicURL, Workspaces: []string{"acme"}, AnyAudience: true,
		Places: places, StripAuthorization: true, Edge: edge,
	}
	gateway := envoy.Config{
		Gateways: []string{placesGateway(t, o, places, false)}, PublicURL: gatewaytest.PublicURL, Places: places, Edge: edge,
	}
	for mode, c := range map[string]envoy.Config{"pull": pull, "gateway": gateway} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := envoyWith(t, c)
			goodKey, goodUser := "X-API-Key: "+own().Token(payload("acme")), "Authorization: Bearer "+user
			for _, tt := range userCases(goodKey, goodUser, user) {
				for i, target := range userTargets {
					f.wantUser(t, target, tt.name, tt.lines, strings.Fields(tt.want)[i])
				}
			}
			if log := f.Log(); log != "" {
				t.Errorf("envoy warns:\n%s", log)
			}
		})
		// The provider also issues tokens for other clients.
		stranger := c
		stranger.UserAudiences = []string{"another"}
		t.Run(mode+", another audience", func(t *testing.T) {
			t.Parallel()
			f := envoyWith(t, stranger)
			f.wantUser(t, "GET /user", "another audience", []string{"Authorization: Bearer " + user}, "user_invalid")
		})
	}
}

type userCase struct {
	name  string
	lines []string
	// want has a word for each of userTargets: the identities that the API receives (k, u, ku, or - for none), or the code of
	// the refusal.
	want string
}

func userCases(key, user, token string) []userCase {
	badKey := "X-API-Key: " + other().Token(payload("acme"))
	badUser := "Authorization: Bearer " + token[:len(token)-20] + strings.Repeat("A", 20)
	const noKey, noUser, notKey, notUser = "missing", "user_missing", "unknown", "user_invalid"
	row := func(words ...string) string { return strings.Join(words, " ") }
	return []userCase{
		{"nothing", nil, row(noKey, noUser, noKey, noUser, noKey, "-", noKey, noUser)},
		{"a key", []string{key}, row("k", noUser, noUser, "k", noUser, "-", "k", noUser)},
		{"a user", []string{user}, row(noKey, "u", noKey, "u", noKey, "-", noKey, "u")},
		{"both", []string{key, user}, row("ku", "ku", "ku", "ku", "ku", "-", "ku", "ku")},
		{"a bad key", []string{badKey}, row(notKey, notKey, notKey, notKey, notKey, "-", notKey, notKey)},
		{"a bad user", []string{badUser}, row(noKey, notUser, noKey, notUser, noKey, "-", noKey, notUser)},
		{"a key, a bad user", []string{key, badUser}, row(notUser, notUser, notUser, notUser, notUser, "-", notUser, notUser)},
		{"a bad key, a user", []string{badKey, user}, row(notKey, notKey, notKey, notKey, notKey, "-", notKey, notKey)},
		{"both bad", []string{badKey, badUser}, row(notKey, notKey, notKey, notKey, notKey, "-", notKey, notKey)},
		{
			"each in the place of the other",
			[]string{"X-API-Key: " + token, "Authorization: Bearer " + own().Token(payload("acme"))},
			row("malformed", "malformed", "malformed", "malformed", "malformed", "-", "malformed", "malformed"),
		},
		{
			"a key, and a scheme that nothing verifies",
			[]string{key, "Authorization: bearer " + token + "x"},
			row(notUser, notUser, notUser, notUser, notUser, "-", notUser, notUser),
		},
		{
			"a key, and two users",
			[]string{key, user, badUser},
			row(notUser, notUser, notUser, notUser, notUser, "-", notUser, notUser),
		},
	}
}

// wantUser sends a request with forged identities.
func (f *front) wantUser(t *testing.T, target, name string, lines []string, want string) {
	t.Helper()
	method, path, _ := strings.Cut(target, " ")
	forged := []string{"X-Burnkey-User-Sub: root", "X-Burnkey-User-Issuer: root", "x-burnkey-user-scopes: root", "X-BURNKEY-OWNER: root"}
	passed := f.reached()
	resp := f.send(t, method, path, append(slices.Clone(lines), forged...)...)
	got := "-"
	if f.reached() == passed {
		got = "status " + resp.Status
		if _, after, ok := strings.Cut(resp.body, `"code":"`); ok && resp.StatusCode == 401 {
			got, _, _ = strings.Cut(after, `"`)
		}
	} else if h := f.last(); strings.Contains(fmt.Sprint(h), "root") {
		got = "forged identities"
	} else if got = identities(h); got == "" {
		got = "-"
	}
	if got != want {
		t.Errorf("%s, %s: %s, want %s: %d %s", target, name, got, want, resp.StatusCode, resp.body)
	}
}

// identities returns k for the key, u for the user.
func identities(h http.Header) (all string) {
	if h.Get("X-Burnkey-Owner") == "cust_1" && h.Get("X-Burnkey-Key-Id") == "key-1" {
		all = "k"
	}
	if h.Get("X-Burnkey-User-Sub") == "ada" && strings.HasPrefix(h.Get("X-Burnkey-User-Issuer"), "http://") {
		all += "u"
	}
	return all
}

// logIn starts an OpenID provider, and returns its issuer, the URL of its keys, and the ID token of a user who logged in.
func logIn(t *testing.T) (issuer, set, token string) {
	t.Helper()
	const client = "http://127.0.0.1:1/callback"
	op := portaltest.NewOIDCProvider(t, portaltest.OIDCConfig{
		RedirectURIs: []string{client}, LogoutURIs: []string{client}, Users: map[string]map[string]any{"ada": {"email": "ada@acme.test"}},
	})
	return op.Issuer, op.KeysURL(), op.IDToken(t, client, "ada")
}
