package envoy_test

import (
	"strings"
	"testing"
)

// A listener accepts keys only with the prefix that it was rendered for, and access tokens of the exchange, which have none.
func TestTokenPrefix(t *testing.T) {
	t.Parallel()
	keys, k := newKeyServer(t), newKey(t)
	keys.publish("acme", k)
	c := oneSecond
	c.Server, c.TokenPrefix = keys.url(), "acme-live-"
	token := k.token(t, claims(c.Issuer("acme")))
	typed := k.sign(t, accessHeader(k.kid), claims(c.Issuer("acme"), "client_id", "cust_1"))
	ofExchange := []any{"client_id", "cust_1", "key_id", "0190-key", "key_kid", k.kid}
	access := k.sign(t, accessHeader(k.kid), claims(c.Issuer("acme"), ofExchange...))
	custom := k.token(t, claims(c.Issuer("acme"), ofExchange...)) // a key with custom claims like those of an access token
	several, scripted := c, c
	several.Workspaces = []string{"beta", "acme"}
	keys.publish("beta", newKey(t))
	scripted.Places = places(t, "bearer", "header:X-API-Key")
	gateways := map[string]*gateway{
		"pull": startGateway(t, c, keys), "pull, several workspaces": startGateway(t, several, keys),
		"pull, every place": startGateway(t, scripted, keys),
		"ESPv2":             startESPv2(t, c, keys, asRendered),
	}
	for name, g := range gateways {
		t.Run(name, func(t *testing.T) {
			for value, want := range map[string]int{
				"Bearer acme-live-" + token:                 200,
				"Bearer " + token:                           401,
				"Bearer " + typed:                           401,
				"Bearer " + custom:                          401,
				"Bearer acme-live-" + typed:                 200,
				"Bearer acme-" + token:                      401,
				"Bearer acme-test-" + token:                 401,
				"Bearer acme-live-acme-live-" + token:       401,
				"Bearer ACME-live-" + token:                 401,
				"Bearer acme-live-" + token + "x":           401,
				"Bearer acme-live-" + token[1:]:             401,
				"acme-live-" + token:                        401,
				"Bearer x Bearer acme-live-" + token[:9]:    401,
				"Bearer acme-live-," + "acme-live-" + token: 401,
			} {
				if resp := g.get(t, "/", "Authorization: "+value); resp.StatusCode != want {
					t.Errorf("%.40q: %d, want %d", value, resp.StatusCode, want)
				}
			}
			// ESPv2 accepts only one form.
			if got, want := g.get(t, "/", bearer(access)).StatusCode, map[bool]int{true: 401, false: 200}[name == "ESPv2"]; got != want {
				t.Errorf("an access token without the prefix: %d, want %d", got, want)
			}
			if got := g.get(t, "/", "X-API-Key: acme-live-"+token).StatusCode; got == 200 != strings.Contains(name, "every") {
				t.Errorf("X-API-Key: %d", got)
			}
			if got := g.get(t, "/", "X-API-Key: "+token).StatusCode; got != 401 {
				t.Errorf("X-API-Key without the prefix: %d", got)
			}
		})
	}
	keys.publish("acme", newKey(t)) // revoked
	for name, g := range gateways {
		t.Logf("%s: refused after %s", name, g.until(t, 401, "acme-live-"+token))
	}
}

// A route without a key passes Authorization on, whatever it contains. Other routes pass it on as configured.
func TestPrefixOfOpenRoutes(t *testing.T) {
	t.Parallel()
	keys, k := newKeyServer(t), newKey(t)
	keys.publish("acme", k)
	c := oneSecond
	c.Server, c.TokenPrefix, c.Open, c.StripAuthorization = keys.url(), "acme-live-", []string{"/hooks/*"}, true
	g := startGateway(t, c, keys)
	key := "Bearer acme-live-" + k.token(t, claims(c.Issuer("acme")))
	for _, sent := range []string{"Bearer of-another-system", key} {
		code := g.get(t, "/hooks/1", "Authorization: "+sent).StatusCode
		got := g.api.last().Header
		if code != 200 || got.Get("Authorization") != sent || got.Get("X-Burnkey-Credential") != "" {
			t.Errorf("an open route: %d, and the API receives %d of %d bytes", code, len(got.Get("Authorization")), len(sent))
		}
	}
	if code := g.get(t, "/", "Authorization: "+key).StatusCode; code != 200 || g.api.last().Header.Get("Authorization") != "" {
		t.Errorf("another route: %d", code)
	}
}
