package e2e_test

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

// parts are those of a token.
type parts struct{ head, body, sig string }

func cut(token string) parts {
	p := strings.Split(token, ".")
	return parts{p[0], p[1], p[2]}
}

func (p parts) join() string { return p.head + "." + p.body + "." + p.sig }

func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func header(alg, kid string) string { return `{"alg":"` + alg + `","kid":"` + kid + `","typ":"JWT"}` }

// hs256 signs a token's claims with a shared secret.
func hs256(head, body string, secret []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(head + "." + body))
	return parts{head, body, b64(string(mac.Sum(nil)))}.join()
}

// forgery is a request that must be refused, either by the filter for the token's shape or by the verification.
type forgery struct {
	name, target, authorization string
	byShape                     bool
}

// forgeries returns requests forged from valid tokens of two workspaces and from their published keys.
func forgeries(t *testing.T, s *server, acme, beta key) []forgery {
	t.Helper()
	public := &rsa.PublicKey{N: s.mustPublished("acme").moduli[acme.KID], E: 65537}
	der, err := x509.MarshalPKIXPublicKey(public)
	check(t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	code, jwk := s.get("/v1/auth/oauth/acme/.well-known/jwks.json?kid=" + acme.KID)
	if code != http.StatusOK {
		t.Fatalf("?kid= gets %d", code)
	}
	jwk = strings.TrimSuffix(strings.TrimPrefix(jwk, `{"keys":[`), `]}`)

	a, b := cut(acme.Token), cut(beta.Token)
	hs := b64(header("HS256", acme.KID))
	shape := func(name, token string) forgery { return forgery{name, "/", "Bearer " + token, true} }
	claim := func(name, token string) forgery { return forgery{name, "/", "Bearer " + token, false} }
	return []forgery{
		shape("no kid", parts{b64(`{"alg":"RS256","typ":"JWT"}`), a.body, a.sig}.join()),
		shape("empty kid", parts{b64(header("RS256", "")), a.body, a.sig}.join()),
		shape("alg none, unsigned", parts{b64(header("none", acme.KID)), a.body, ""}.join()),
		shape("alg none, signed", parts{b64(header("none", acme.KID)), a.body, a.sig}.join()),
		shape("HS256 keyed with the public key's PEM", hs256(hs, a.body, text)),
		shape("HS256 keyed with the public key's DER", hs256(hs, a.body, der)),
		shape("HS256 keyed with the JWK", hs256(hs, a.body, []byte(jwk))),
		shape("HS256 keyed with the modulus", hs256(hs, a.body, public.N.Bytes())),
		shape("HS256 said to be RS256", hs256(a.head, a.body, text)),
		{"no token", "/", "", true},
		{"in the query", "/?access_token=" + acme.Token, "", true},
		{"in the query under another name", "/?token=" + acme.Token, "", true},
		claim("this kid, claims of the other", parts{a.head, b.body, a.sig}.join()),
		claim("other kid, claims of this", parts{b.head, a.body, b.sig}.join()),
		claim("other kid, claims and signature of this", parts{b.head, a.body, a.sig}.join()),
		claim("this kid, claims and signature of the other", parts{a.head, b.body, b.sig}.join()),
		claim("this kid and claims, signature of the other", parts{a.head, a.body, b.sig}.join()),
		claim("altered claims", parts{a.head, b64(strings.Replace(plain(t, a.body), "cust_1", "cust_2", 1)), a.sig}.join()),
		claim("a kid of nobody's", parts{b64(header("RS256", strings.Repeat("A", 43))), a.body, a.sig}.join()),
	}
}

func plain(t *testing.T, text string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(text)
	check(t, err)
	return string(b)
}

func TestE2EGatewayRefusesForgeries(t *testing.T) {
	envoytest.Binary(t)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	admin.mustCreate(t, "beta")
	acme, beta := admin.mustIssue(t, "acme"), admin.mustIssue(t, "beta")
	forged := forgeries(t, s, acme, beta)

	t.Run("one workspace", func(t *testing.T) {
		g := startGateway(t, s, "acme")
		g.accepts(t, acme)
		refuse(t, g, append(forged,
			forgery{"another workspace's token", "/", "Bearer " + beta.Token, false},
			forgery{"a management key", "/", "Bearer " + s.key(), false}))
		if code := g.get(t, acme.Token); code != http.StatusOK {
			t.Errorf("a good token gets %d afterwards", code)
		}
	})
	t.Run("two workspaces", func(t *testing.T) {
		g := startGateway(t, s, "acme", "beta")
		g.accepts(t, acme)
		g.accepts(t, beta)
		refuse(t, g, append(forged, forgery{"a management key", "/", "Bearer " + s.key(), false}))
		for _, k := range []key{acme, beta} {
			if code := g.get(t, k.Token); code != http.StatusOK || g.issuer.Load() != s.issuer(k.Workspace) {
				t.Errorf("%s: a good token gets %d afterwards, and the API is told %s", k.Workspace, code, g.issuer.Load())
			}
		}
	})
	t.Run("management", func(t *testing.T) {
		for _, k := range []key{acme, beta} {
			err := (&client{s.url, k.Token}).call(http.MethodGet, "/v1/workspaces", nil, nil)
			if status(err) != http.StatusUnauthorized {
				t.Errorf("a key of %s gets %v from the management API", k.Workspace, err)
			}
		}
	})
}

// refuse sends each forgery, and checks which filter refused it. A token without a kid must not reach the JWT
// filter, which would try every key.
func refuse(t *testing.T, g *gateway, all []forgery) {
	t.Helper()
	const rbac, denied, allowed = "http.burnkey.rbac.denied", "http.burnkey.jwt_authn.denied", "http.burnkey.jwt_authn.allowed"
	for _, f := range all {
		reached, shape, jwt := g.requests.Load(), g.Stats(t, rbac), g.Stats(t, denied)+g.Stats(t, allowed)
		code := g.send(t, f.target, f.authorization)
		shape, jwt = g.Stats(t, rbac)-shape, g.Stats(t, denied)+g.Stats(t, allowed)-jwt
		if code != http.StatusUnauthorized || g.requests.Load() != reached {
			t.Errorf("%s: %d", f.name, code)
		}
		if f.byShape && (shape != 1 || jwt != 0) || !f.byShape && (shape != 0 || jwt != 1) {
			t.Errorf("%s: refused by shape %d, by verification %d", f.name, shape, jwt)
		}
	}
	t.Logf("%d refused", len(all))
}

func TestE2EGatewayRefusesExpired(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	g := startGateway(t, s, "acme")
	brief := admin.mustIssue(t, "acme", "expires_in", 25) // a busy machine needs a while until Envoy has it
	accepted := g.accepts(t, brief)
	s.kill() // or its JWK would leave the set: that Envoy has is kept
	eventually(t, "an expired token is refused", func() bool { return g.get(t, brief.Token) == http.StatusUnauthorized })
	late := time.Since(*brief.ExpiresAt)
	t.Logf("accepted after %s; refused %s after it expired", accepted, late.Round(time.Millisecond))
	if late < 0 || late > patience {
		t.Errorf("refused %s after it expired", late)
	}
	// This token expires before the gateway first sees it.
	s.start()
	gone := admin.mustIssue(t, "acme", "expires_in", 2)
	eventually(t, "its time passes", func() bool { return time.Since(*gone.ExpiresAt) > 2*time.Second })
	if code := g.get(t, gone.Token); code != http.StatusUnauthorized {
		t.Errorf("a token that expired long ago gets %d", code)
	}
}
