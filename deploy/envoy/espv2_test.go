package envoy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/internal/testkit"
)

func startESPv2(t *testing.T, c envoy.Config, keys *keyServer, edit func(string) string) *gateway {
	t.Helper()
	g := &gateway{addr: envoytest.FreeAddr(t), keys: keys, api: newAPI(t)}
	c.Server, c.Upstream = keys.url(), g.api.addr
	g.Envoy = envoytest.Start(t, envoytest.ESPv2(t, edit(render(t, envoy.ESPv2, c)), g.addr, keys.addr))
	return g
}

func asRendered(s string) string { return s }

func TestESPv2Revocation(t *testing.T) {
	keys := newKeyServer(t)
	tombstone, k := newKey(t), newKey(t)
	keys.publish("acme", tombstone, k)
	g := startESPv2(t, oneSecond, keys, asRendered)
	issuer := envoy.Config{Server: keys.url()}.Issuer("acme")
	token := k.token(t, claims(issuer))

	resp := g.get(t, "/v1/tiles", bearer(token), "X-Endpoint-API-UserInfo: spoofed")
	if resp.StatusCode != 200 {
		t.Fatalf("not accepted: %d %s", resp.StatusCode, resp.body)
	}
	if got := g.api.last().Header.Values("X-Endpoint-API-UserInfo"); len(got) != 1 || got[0] != strings.Split(token, ".")[1] {
		t.Errorf("the API sees X-Endpoint-API-UserInfo %q", got)
	}
	for name, headers := range map[string][]string{
		"no token":        nil,
		"another header":  {"X-Goog-Iap-Jwt-Assertion: " + token},
		"other issuer":    {bearer(k.token(t, claims(issuer+"x")))},
		"expired":         {bearer(k.token(t, claims(issuer, "exp", time.Now().Add(-2*time.Minute).Unix())))},
		"someone else's":  {bearer(newKey(t).sign(t, header(k.kid), claims(issuer)))},
		"signed with MAC": {bearer(hs256(t, []byte(k.jwk["n"]), strings.Replace(header(k.kid), "RS", "HS", 1), claims(issuer)))},
	} {
		if code := g.get(t, "/", headers...).StatusCode; code != 401 && code != 403 {
			t.Errorf("%s: %d", name, code)
		}
	}
	if code := g.get(t, "/?access_token="+token).StatusCode; code != 401 {
		t.Errorf("token in the query: %d", code)
	}
	for _, method := range []string{"TRACE", "PROPFIND"} {
		if code := g.send(t, method, "/", bearer(token)).StatusCode; code != 404 {
			t.Errorf("%s, which is not listed: %d", method, code)
		}
	}
	keys.publish("acme", tombstone)
	t.Logf("refused after %s", g.until(t, 401, token))
}

// This test shows why --jwt_cache_size=0 is required. With the default, a token that was accepted once remains
// accepted long after every worker has the new set.
func TestESPv2DefaultCacheKeepsAccepting(t *testing.T) {
	keys := newKeyServer(t)
	tombstone, cached, fresh := newKey(t), newKey(t), newKey(t)
	keys.publish("acme", tombstone, cached, fresh)
	g := startESPv2(t, oneSecond, keys, replaceOnce(t, "--jwt_cache_size=0", ""))
	issuer := envoy.Config{Server: keys.url()}.Issuer("acme")
	token := cached.token(t, claims(issuer))
	if code := g.code(t, token); code != 200 {
		t.Fatal(code)
	}
	keys.publish("acme", tombstone)
	// A token that was never sent is not cached, so its refusal shows that the new set is in use.
	testkit.Eventually(t, "the new set is in use", func() bool {
		return g.code(t, fresh.token(t, claims(issuer, "n", time.Now().UnixNano()))) == 401
	})
	if code := g.code(t, token); code != 200 {
		t.Errorf("%d: the cache now heeds the set, and the flag may go", code)
	}
}

func TestESPv2SeveralWorkspaces(t *testing.T) {
	keys := newKeyServer(t)
	c := envoy.Config{Workspaces: []string{"acme", "globex"}, Cache: time.Second, Audiences: []string{"acme-company", "x"}}
	owned := map[string]*key{"acme": newKey(t), "globex": newKey(t)}
	for w, k := range owned {
		keys.publish(w, k)
	}
	g := startESPv2(t, c, keys, asRendered)
	c.Server = keys.url()
	for signer, k := range owned {
		for issuer := range owned {
			want := 401
			if signer == issuer {
				want = 200
			}
			if code := g.code(t, k.token(t, claims(c.Issuer(issuer)))); code != want {
				t.Errorf("%s's key, issuer %s: %d, want %d", signer, issuer, code, want)
			}
		}
		if code := g.code(t, k.token(t, claims(c.Issuer(signer), "aud", "other"))); code < 400 {
			t.Errorf("other audience: %d", code)
		}
	}
}
