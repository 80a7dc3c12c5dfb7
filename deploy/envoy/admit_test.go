package envoy_test

import (
	"cmp"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/jwks"
)

var oneSecond = envoy.Config{Workspaces: []string{"acme"}, AnyAudience: true, Cache: time.Second}

func TestGoodTokenIsAdmitted(t *testing.T) {
	keys := newKeyServer(t)
	k := newKey(t)
	keys.publish("acme", newKey(t), k)
	c := oneSecond
	c.Server = keys.url()
	g := startGateway(t, c, keys)
	issuer := c.Issuer("acme")

	spoofed := []string{
		"X-Burnkey-Owner: root", "X-Burnkey-Scopes: admin", "X-Burnkey-Key-Id: 1", "X-Burnkey-Issuer: me",
		"X-Burnkey-Workspace: burnkey", "x-BURNKEY-anything: 1", "X-Envoy-Original-Path: /admin",
		"X-Envoy-Original-Host: other", "X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE",
		"X-Method-Override: DELETE", "X-Original-URL: /admin", "X-Rewrite-URL: /admin",
	}
	tests := []struct {
		name   string
		claims map[string]any
		want   []string
	}{
		{"all claims", claims(issuer), []string{
			"X-Burnkey-Issuer: " + issuer, "X-Burnkey-Key-Id: 0190-key", "X-Burnkey-Owner: cust_1",
			"X-Burnkey-Scopes: maps:read maps:write",
		}},
		{"access token", claims(issuer, "client_id", "cust_1"), []string{
			"X-Burnkey-Issuer: " + issuer, "X-Burnkey-Key-Id: 0190-key", "X-Burnkey-Owner: cust_1",
			"X-Burnkey-Scopes: maps:read maps:write",
		}},
		{"no scope", claims(issuer, "scope", nil), []string{
			"X-Burnkey-Issuer: " + issuer, "X-Burnkey-Key-Id: 0190-key", "X-Burnkey-Owner: cust_1",
		}},
		{"never expires", claims(issuer, "exp", nil, "scope", nil, "sub", "Zoë, 東京"), []string{
			"X-Burnkey-Issuer: " + issuer, "X-Burnkey-Key-Id: 0190-key", "X-Burnkey-Owner: Zoë, 東京",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token := k.token(t, tt.claims)
			if tt.name == "access token" {
				token = k.sign(t, accessHeader(k.kid), tt.claims)
			}
			resp := g.get(t, "/v1/tiles?z=1", append(spoofed, bearer(token))...)
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("status %d: %s", resp.StatusCode, resp.body)
			}
			got := g.api.last()
			if h := burnkeyHeaders(got.Header); !slices.Equal(h, tt.want) {
				t.Errorf("the API sees %q, want %q", h, tt.want)
			}
			for _, line := range spoofed[6:] {
				name, _, _ := strings.Cut(line, ":")
				if v := got.Header.Values(name); len(v) != 0 {
					t.Errorf("the API sees %s: %q", name, v)
				}
			}
			if got.Method != http.MethodGet || got.URL.String() != "/v1/tiles?z=1" {
				t.Errorf("the API sees %s %s", got.Method, got.URL)
			}
			if got.Header.Get("Authorization") != "Bearer "+token {
				t.Error("the token is not forwarded as it came")
			}
		})
	}
	if log := g.Log(); log != "" {
		t.Errorf("envoy warns:\n%s", log)
	}
}

// The tests check which filter refuses. A token refused before jwt_authn causes no search for a key.
const (
	byShape = "rbac"
	byJWT   = "jwt_authn"
	byHTTP  = "http"
)

type refusal struct {
	name    string
	by      string
	headers []string
}

func refusals(t *testing.T, k *key, issuer string) []refusal {
	good := k.token(t, claims(issuer))
	head, rest, _ := strings.Cut(good, ".")
	body, sig, _ := strings.Cut(rest, ".")
	public, err := x509.MarshalPKIXPublicKey(&k.private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	asJWK, err := json.Marshal(k.jwk)
	if err != nil {
		t.Fatal(err)
	}
	hs := strings.Replace(header(k.kid), "RS256", "HS256", 1)
	none := strings.Replace(header(k.kid), "RS256", "none", 1)
	other := newKey(t)
	one := func(name, by, value string) refusal { return refusal{name, by, []string{"Authorization: " + value}} }
	odd := func(name, head string) refusal { return one(name, byShape, "Bearer "+k.sign(t, head, claims(issuer))) }
	filler := strings.Repeat("A", 43-len(`","x":"`))

	return []refusal{
		{"no token", byShape, nil},
		one("empty header", byShape, ""),
		one("Bearer alone", byShape, "Bearer "),
		one("Basic", byShape, "Basic dXNlcjpwYXNz"),
		odd("no kid", `{"alg":"RS256","typ":"JWT"}`),
		odd("empty kid", header("")),
		odd("empty kid within the length of a real one", header(`","x":"`+filler)),
		odd("short kid", header(k.kid[:42])),
		odd("long kid", header(k.kid+"A")),
		odd("two kids", header(`A","kid":"`+strings.Repeat("B", 33))),
		odd("reordered", `{"kid":"`+k.kid+`","alg":"RS256","typ":"JWT"}`),
		odd("spaced", `{"alg": "RS256", "kid": "`+k.kid+`", "typ": "JWT"}`),
		odd("more members", `{"alg":"RS256","kid":"`+k.kid+`","typ":"JWT","crit":["x"],"x":1}`),
		odd("other type", `{"alg":"RS256","kid":"`+k.kid+`","typ":"JWS"}`),
		odd("access token without a kid", `{"alg":"RS256","typ":"at+jwt"}`),
		odd("access token with an empty kid", accessHeader("")),
		odd("access token with a short kid", accessHeader(k.kid[:42])),
		odd("access token with two kids", accessHeader(`A","kid":"`+strings.Repeat("B", 33))),
		odd("type in another case", strings.Replace(accessHeader(k.kid), "at+jwt", "AT+JWT", 1)),
		odd("type in full", strings.Replace(accessHeader(k.kid), "at+jwt", "application/at+jwt", 1)),
		one("access token with HS256 over the PEM", byShape,
			"Bearer "+hs256(t, asPEM, strings.Replace(accessHeader(k.kid), "RS256", "HS256", 1), claims(issuer))),
		one("access token by someone else", byJWT, "Bearer "+other.sign(t, accessHeader(k.kid), claims(issuer))),
		one("alg none", byShape, "Bearer "+b64([]byte(none))+"."+body+"."),
		one("alg none, signed", byShape, "Bearer "+b64([]byte(none))+"."+body+"."+sig),
		one("HS256 over the PEM", byShape, "Bearer "+hs256(t, asPEM, hs, claims(issuer))),
		one("HS256 over the DER", byShape, "Bearer "+hs256(t, public, hs, claims(issuer))),
		one("HS256 over the JWK", byShape, "Bearer "+hs256(t, asJWK, hs, claims(issuer))),
		one("HS256 said to be RS256", byShape, "Bearer "+hs256(t, asPEM, header(k.kid), claims(issuer))),
		one("lower case", byShape, "bearer "+good),
		one("two spaces", byShape, "Bearer  "+good),
		one("a tab", byShape, "Bearer\t"+good),
		one("no space", byShape, "Bearer"+good),
		one("trailing junk", byShape, "Bearer "+good+" x"),
		one("trailing comma", byShape, "Bearer "+good+","),
		one("a fourth part", byShape, "Bearer "+good+".x"),
		one("quoted", byShape, `Bearer "`+good+`"`),
		one("padded header", byShape, "Bearer "+head+"==."+rest),
		one("standard alphabet", byShape, "Bearer "+head+"."+body+"."+base64.RawStdEncoding.EncodeToString(bytesWithSlash)),
		one("other signature ending", byShape, "Bearer "+good[:len(good)-1]+nonCanonical(t, good)),
		one("shorter signature", byShape, "Bearer "+good[:len(good)-1]),
		one("no signature", byShape, "Bearer "+head+"."+body+"."),
		{"two headers, good first", byShape, []string{bearer(good), bearer(k.sign(t, `{"alg":"RS256"}`, claims(issuer)))}},
		{"two headers, good last", byShape, []string{bearer("x"), bearer(good)}},
		{"two good headers", byShape, []string{bearer(good), bearer(good)}},
		{"another header", byShape, []string{"X-Authorization: Bearer " + good, "Cookie: access_token=" + good}},

		{"header with an underscore", byHTTP, []string{bearer(good), "X_Burnkey_Owner: root"}},
		{"space before the colon", byHTTP, []string{"Authorization : Bearer " + good}},

		one("unknown kid", byJWT, "Bearer "+other.token(t, claims(issuer))),
		one("someone else's signature", byJWT, "Bearer "+other.sign(t, header(k.kid), claims(issuer))),
		one("changed claims", byJWT, "Bearer "+head+"."+payload(t, claims(issuer, "sub", "root"))+"."+sig),
		one("other issuer", byJWT, "Bearer "+k.token(t, claims(issuer+"x"))),
		one("no issuer", byJWT, "Bearer "+k.token(t, claims(issuer, "iss", nil))),
		one("expired 5 s ago", byJWT, "Bearer "+k.token(t, claims(issuer, "exp", time.Now().Add(-5*time.Second).Unix()))),
		one("not yet valid", byJWT, "Bearer "+k.token(t, claims(issuer, "nbf", time.Now().Add(time.Minute).Unix()))),
		one("claims that are no object", byJWT, "Bearer "+head+"."+b64([]byte(`[]`))+"."+sig),
	}
}

// bytesWithSlash has the length of a signature, and its standard base64 contains slashes.
var bytesWithSlash = func() []byte {
	b := make([]byte, 256)
	for i := range b {
		b[i] = 0xff
	}
	return b
}()

// nonCanonical returns a different last character for the token, with which the signature still decodes to the
// same bytes.
func nonCanonical(t testing.TB, token string) string {
	t.Helper()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(alphabet, token[len(token)-1])
	return string(alphabet[i+1])
}

// bearerScheme matches headers with credentials of the scheme Bearer. Without any, a refusal has no error code (RFC 6750
// section 3.1).
var bearerScheme = regexp.MustCompile(`(?i)^Authorization: bearer( |$)`)

func TestBadTokensAreRefused(t *testing.T) {
	keys := newKeyServer(t)
	k := newKey(t)
	keys.publish("acme", newKey(t), k)
	c := oneSecond
	c.Server, c.AnyAudience, c.Audiences = keys.url(), false, []string{"acme-company"}
	g := startGateway(t, c, keys)

	elsewhere := refusal{"another audience", byJWT, []string{bearer(k.token(t, claims(c.Issuer("acme"), "aud", []string{"other"})))}}
	for _, tt := range append(refusals(t, k, c.Issuer("acme")), elsewhere) {
		t.Run(tt.name, func(t *testing.T) {
			shape := g.Stats(t, "http.burnkey.rbac.denied")
			jwt := g.Stats(t, "http.burnkey.jwt_authn.denied") + g.Stats(t, "http.burnkey.jwt_authn.allowed")
			reached := g.api.requests()
			resp := g.get(t, "/v1/tiles", tt.headers...)
			shape = g.Stats(t, "http.burnkey.rbac.denied") - shape
			jwt = g.Stats(t, "http.burnkey.jwt_authn.denied") + g.Stats(t, "http.burnkey.jwt_authn.allowed") - jwt

			if tt.by == byHTTP {
				if resp.StatusCode != http.StatusBadRequest || shape+jwt != 0 {
					t.Errorf("status %d, rbac %d, jwt_authn %d", resp.StatusCode, shape, jwt)
				}
			} else {
				has := bearerScheme.MatchString(strings.Join(tt.headers, ""))
				checkRefusal(t, resp, has)
				checkCode(t, resp, c.Server, tt, has)
				if wantShape := tt.by == byShape; (shape == 1) != wantShape || (jwt == 1) == wantShape {
					t.Errorf("refused by rbac %d, jwt_authn %d; want %s", shape, jwt, tt.by)
				}
			}
			if g.api.requests() != reached {
				t.Error("it reached the API")
			}
		})
	}
	if code := g.code(t, k.token(t, claims(c.Issuer("acme")))); code != http.StatusOK {
		t.Errorf("a good token gets %d afterwards", code)
	}
	if g.Log() != "" {
		t.Errorf("envoy warns:\n%s", g.Log())
	}
}

// jwtCodes are the codes of refusals by jwt_authn. For all others, the token is malformed.
var jwtCodes = map[string]string{
	"unknown kid": "unknown", "someone else's signature": "signature", "access token by someone else": "signature",
	"changed claims": "signature",
	"other issuer":   "issuer", "no issuer": "issuer",
	"expired 5 s ago": "expired", "another audience": "audience",
}

// checkCode checks that a refusal has the right code, and the title and the page of this code.
func checkCode(t *testing.T, resp response, server string, r refusal, credentials bool) {
	t.Helper()
	want := cmp.Or(jwtCodes[r.name], "malformed")
	if !credentials {
		want = "missing"
	}
	var got struct{ Type, Title, Code string }
	if err := json.Unmarshal([]byte(resp.body), &got); err != nil || got.Code != want || got.Type != server+jwks.RefusalsPath+"#"+want ||
		!slices.Contains(jwks.RefusalCodes(), jwks.RefusalCode{Code: want, Status: http.StatusUnauthorized, Title: got.Title}) {
		t.Errorf("%s, %v; want the code %s", resp.body, err, want)
	}
}

// checkRefusal checks a refusal against RFC 6750 and RFC 9457.
func checkRefusal(t *testing.T, resp response, credentials bool) {
	t.Helper()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Fatalf("status %d, want 401: %s", resp.StatusCode, resp.body)
	}
	challenge := resp.Header.Values("WWW-Authenticate")
	want := `Bearer error="invalid_token"`
	if !credentials {
		want = "Bearer"
	}
	if len(challenge) != 1 || (challenge[0] != want) {
		t.Errorf("WWW-Authenticate %q, want %q", challenge, want)
	}
	var problem struct {
		Type, Detail string
		Status       int
	}
	if err := json.Unmarshal([]byte(resp.body), &problem); err != nil || problem.Status != 401 || problem.Detail == "" {
		t.Errorf("body %s: %v", resp.body, err)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
}

func TestPathsAndMethods(t *testing.T) {
	keys := newKeyServer(t)
	k := newKey(t)
	keys.publish("acme", k)
	c := oneSecond
	c.Server = keys.url()
	g := startGateway(t, c, keys)
	good := k.token(t, claims(c.Issuer("acme")))

	for _, target := range []string{
		"/?access_token=" + good, "/?token=" + good, "//", "/public/..%2fadmin", "/%2e%2e/admin", "/;x", "/healthz",
		"*", "http://api.example.com/", "/.well-known/x", "/v1/auth/oauth/acme/.well-known/jwks.json",
	} {
		if resp := g.get(t, target); resp.StatusCode < 400 || g.api.requests() != 0 {
			t.Errorf("GET %s without a token: %d", target, resp.StatusCode)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "CONNECT", "PROPFIND"} {
		lines := []string{"Origin: https://x.example", "Access-Control-Request-Method: GET", "Content-Length: 0"}
		if resp := g.send(t, method, "/", lines...); resp.StatusCode < 400 || g.api.requests() != 0 {
			t.Errorf("%s without a token: %d", method, resp.StatusCode)
		}
	}
	if resp := g.send(t, "OPTIONS", "*", bearer(good)); resp.StatusCode < 400 {
		t.Errorf("OPTIONS *: %d", resp.StatusCode)
	}
	for target, want := range map[string]string{
		"/a//b///c": "/a/b/c", "/a/./b/../c": "/a/c", "/a/%2e%2e/c": "/c", "//c": "/c",
	} {
		if resp := g.get(t, target, bearer(good)); resp.StatusCode != 200 || g.api.last().RequestURI != want {
			t.Errorf("%s: %d, the API sees %s, want %s", target, resp.StatusCode, g.api.last().RequestURI, want)
		}
	}
	reached := g.api.requests()
	for _, target := range []string{"/a/..%2fadmin", "/a/..%2Fadmin", "/a/..%5cadmin"} {
		if resp := g.get(t, target, bearer(good)); resp.StatusCode != http.StatusBadRequest || g.api.requests() != reached {
			t.Errorf("%s: %d, want 400", target, resp.StatusCode)
		}
	}
}

func TestOptionalChecks(t *testing.T) {
	keys := newKeyServer(t)
	k := newKey(t)
	keys.publish("acme", k)
	c := oneSecond
	c.Server, c.RequireExpiration = keys.url(), true
	c.Audiences, c.AnyAudience = []string{"acme-company", "other"}, false
	g := startGateway(t, c, keys)
	issuer := c.Issuer("acme")
	for name, tt := range map[string]struct {
		claims map[string]any
		want   int
	}{
		"good":           {claims(issuer), 200},
		"never expires":  {claims(issuer, "exp", nil), 401},
		"other audience": {claims(issuer, "aud", []string{"x"}), 401},
		"no audience":    {claims(issuer, "aud", nil), 401},
	} {
		if code := g.code(t, k.token(t, tt.claims)); code != tt.want {
			t.Errorf("%s: %d, want %d", name, code, tt.want)
		}
	}
}

// The last filter refuses unverified requests even if an earlier filter was lost in a merge.
func TestUnverifiedIsRefusedWhateverElse(t *testing.T) {
	keys := newKeyServer(t)
	k := newKey(t)
	keys.publish("acme", k)
	c := oneSecond
	c.Server = keys.url()
	g := startGateway(t, c, keys, replaceOnce(t,
		"- match: {prefix: /}\n                requires", "- match: {prefix: /never}\n                requires"))
	resp := g.get(t, "/", bearer(k.token(t, claims(c.Issuer("acme")))))
	checkRefusal(t, resp, true)
	if n := g.Stats(t, "http.burnkey.rbac.verified.denied"); n != 1 || g.api.requests() != 0 {
		t.Errorf("the last filter refused %d, %d reached the API", n, g.api.requests())
	}
}

// Some builds of Envoy do not join two Authorization headers. The filter by shape must check both. The test
// uses another header, which this Envoy does not join.
func TestShapeSeesEveryValue(t *testing.T) {
	keys := newKeyServer(t)
	k := newKey(t)
	keys.publish("acme", k)
	c := oneSecond
	c.Server = keys.url()
	g := startGateway(t, c, keys, replaceOnce(t, "header_name: authorization", "header_name: x-probe"))
	good := bearer(k.token(t, claims(c.Issuer("acme"))))
	probe := "X-Probe: " + strings.TrimPrefix(good, "Authorization: ")
	for _, tt := range []struct {
		headers []string
		want    int
	}{
		{[]string{good, probe}, 200},
		{[]string{good, probe, "X-Probe: x"}, 401},
		{[]string{good, "X-Probe: x", probe}, 401},
		{[]string{good, probe, probe}, 401},
	} {
		if resp := g.get(t, "/", tt.headers...); resp.StatusCode != tt.want {
			t.Errorf("%d headers: %d, want %d", len(tt.headers), resp.StatusCode, tt.want)
		}
	}
}

// An Envoy that has never reached the server says that clients may try again.
func TestWithoutKeys(t *testing.T) {
	keys := newKeyServer(t)
	keys.stop()
	c := oneSecond
	c.Server = keys.url()
	g := startGateway(t, c, keys)
	resp := g.get(t, "/", bearer(newKey(t).token(t, claims(c.Issuer("acme")))))
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "1" ||
		!strings.Contains(resp.body, `"code":"unavailable"`) {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, resp.body)
	}
}
