package envoy_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy"
)

func TestSeveralWorkspaces(t *testing.T) {
	keys := newKeyServer(t)
	names := []string{"acme", "globex", "initech"}
	owned := map[string]*key{}
	for _, w := range append(names, "outsider") {
		owned[w] = newKey(t)
		keys.publish(w, newKey(t), owned[w])
	}
	c := envoy.Config{Server: keys.url(), Workspaces: names, AnyAudience: true, Cache: time.Second}
	g := startGateway(t, c, keys)

	for _, signer := range append(names, "outsider") {
		for _, issuer := range append(names, "outsider") {
			want := 401
			if signer == issuer && signer != "outsider" {
				want = 200
			}
			token := owned[signer].token(t, claims(c.Issuer(issuer)))
			resp := g.get(t, "/", bearer(token), "X-Burnkey-Issuer: spoofed")
			if resp.StatusCode != want {
				t.Errorf("%s's key, issuer %s: %d, want %d", signer, issuer, resp.StatusCode, want)
			}
			if got := g.api.requests(); want == 200 && g.api.last().Header.Get("X-Burnkey-Issuer") != c.Issuer(issuer) {
				t.Errorf("after %d requests the API sees issuer %s", got, g.api.last().Header.Get("X-Burnkey-Issuer"))
			}
			// Another's kid under one's own signature.
			if signer != issuer {
				forged := owned[signer].sign(t, header(owned[issuer].kid), claims(c.Issuer(issuer)))
				if code := g.code(t, forged); code != 401 {
					t.Errorf("%s signs with the kid and issuer of %s: %d", signer, issuer, code)
				}
			}
		}
	}

	// The workspace globex also publishes the key of acme.
	keys.publish("globex", owned["globex"], owned["acme"])
	fresh := newKey(t)
	keys.publish("initech", fresh)
	g.until(t, 200, fresh.token(t, claims(c.Issuer("initech"))))
	g.until(t, 401, owned["initech"].token(t, claims(c.Issuer("initech"))))
	if g.Log() != "" {
		t.Errorf("envoy warns:\n%s", g.Log())
	}
}

// With several workspaces, jwt_authn itself lets a request without a token pass. The filters around it must
// refuse the request.
func TestSeveralWorkspacesRefusals(t *testing.T) {
	keys := newKeyServer(t)
	k := newKey(t)
	keys.publish("acme", k)
	keys.publish("globex", newKey(t))
	c := envoy.Config{Server: keys.url(), Workspaces: []string{"acme", "globex"}, AnyAudience: true, Cache: time.Second}
	for name, edit := range map[string]func(string) string{
		"as rendered":             func(s string) string { return s },
		"without filter by shape": replaceOnce(t, shapeDenies, strings.Replace(shapeDenies, "DENY", "ALLOW", 1)),
	} {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, c, keys, edit)
			for _, tt := range refusals(t, k, c.Issuer("acme")) {
				resp := g.get(t, "/", tt.headers...)
				// Without the filter by shape, jwt_authn is more lenient about the header and the place of a
				// token. The signature must still be valid.
				lax := name != "as rendered" && laxButGood[tt.name]
				if resp.StatusCode < 400 && !lax {
					t.Errorf("%s: %d", tt.name, resp.StatusCode)
				}
			}
			if code := g.code(t, k.token(t, claims(c.Issuer("acme")))); code != 200 {
				t.Errorf("a good token gets %d", code)
			}
		})
	}
}

// shapeDenies is the rule by which the filter by shape refuses tokens of another shape.
const shapeDenies = "name: burnkey-no-token\n                      action: DENY"

// laxButGood names the tokens with a valid signature that only the filter by shape refuses.
var laxButGood = map[string]bool{
	"no kid": true, "empty kid": true, "empty kid within the length of a real one": true,
	"reordered": true, "spaced": true, "more members": true, "other type": true,
	"two spaces": true, "other signature ending": true,
	"access token without a kid": true, "access token with an empty kid": true, "type in another case": true, "type in full": true,
}

// It is not enough if the filter by shape checks the constant start of tokens. A header with an empty kid has
// the same start, and makes Envoy try every key.
func TestBeginningIsNotEnough(t *testing.T) {
	keys := newKeyServer(t)
	k := newKey(t)
	keys.publish("acme", newKey(t), k)
	c := oneSecond
	c.Server = keys.url()
	g := startGateway(t, c, keys, func(s string) string {
		shape := regexp.MustCompile(`regex: ".*"`)
		return shape.ReplaceAllLiteralString(s, `regex: "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6I.*"`)
	})
	empty := k.sign(t, header(""), claims(c.Issuer("acme")))
	if code := g.code(t, empty); code != 200 {
		t.Errorf("%d: Envoy no longer tries every key; the filter by shape may be simpler now", code)
	}
}
