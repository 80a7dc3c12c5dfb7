package jwks

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const scopedPayload = `{"iss":"https://auth.example.com/i","sub":"cust_1","aud":["a"],"jti":"j","iat":1,"scope":"maps:read x"}`

func testMiddleware() *Middleware {
	key := ownPair().key
	return &Middleware{
		Verifier: &Verifier{
			Keys:   KeyFunc(func(kid KID) (Key, bool) { return key, kid == key.kid }),
			Issuer: IssuerIs("https://auth.example.com/i"), Audience: []string{"a"},
		},
		Realm: "maps",
	}
}

// pass sends a request through m. It returns the response and, for a request that passed, the subject of
// its token.
func pass(m *Middleware, method string, headers ...string) (w *httptest.ResponseRecorder, subject string) {
	r := httptest.NewRequest(method, "/?access_token="+ownPair().token(scopedPayload), nil)
	for _, header := range headers {
		r.Header.Add("Authorization", header)
	}
	w = httptest.NewRecorder()
	m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if claims, ok := ClaimsFrom(r.Context()); ok {
			subject = claims.Subject
		}
	})).ServeHTTP(w, r)
	return w, subject
}

func TestMiddleware(t *testing.T) {
	m := testMiddleware()
	token := ownPair().token(scopedPayload)
	invalid := func(why string) string {
		return `Bearer realm="maps", error="invalid_token", error_description="` + why + `"`
	}
	const plain = `Bearer realm="maps"`
	const form = plain + `, error="invalid_request", ` +
		`error_description="The header Authorization must be sent once, as the word Bearer and a token."`
	for _, test := range []struct {
		name      string
		headers   []string
		status    int
		challenge string
	}{
		{"good", []string{"Bearer " + token}, 200, ""},
		{"the scheme's case", []string{"bEARER " + token}, 200, ""},
		{"more space", []string{"Bearer   " + token}, 200, ""},
		{"none", nil, 401, plain},
		{"empty", []string{""}, 401, plain},
		{"Basic", []string{"Basic " + token}, 401, plain},
		{"Bearerx", []string{"Bearerx " + token}, 401, plain},
		{"no scheme", []string{token}, 401, plain},
		{"no token", []string{"Bearer"}, 400, form},
		{"no token but a space", []string{"Bearer "}, 400, form},
		{"two headers", []string{"Bearer " + token, "Bearer " + token}, 400, form},
		{"two schemes", []string{"Bearer " + token, "Basic x"}, 400, form},
		{"a list", []string{"Bearer " + token + ", Bearer " + token}, 400, form},
		{"quotes", []string{`Bearer "` + token + `"`}, 400, form},
		{"a tab", []string{"Bearer\t" + token}, 401, plain},
		{"padding alone", []string{"Bearer ="}, 400, form},
		{"padding", []string{"Bearer " + token + "="}, 401, invalid("The token is malformed.")},
		{"opaque", []string{"Bearer ~a+b/c_d.e-f=="}, 401, invalid("The token is malformed.")},
		{
			"unknown",
			[]string{"Bearer " + otherPair().token(scopedPayload)},
			401,
			invalid("The token was revoked or suspended, or is from another issuer."),
		},
		{
			"signature",
			[]string{"Bearer " + withSignature(token, make([]byte, ModulusLen))},
			401,
			invalid("The signature of the token does not fit."),
		},
		{"claims", []string{"Bearer " + ownPair().token("{}")}, 401, invalid("The token is malformed.")},
		{
			"issuer",
			[]string{"Bearer " + ownPair().token(strings.Replace(scopedPayload, "/i", "/j", 1))},
			401,
			invalid("The token is from another issuer."),
		},
		{
			"expired",
			[]string{"Bearer " + ownPair().token(strings.Replace(scopedPayload, `"iat":1`, `"iat":1,"exp":2`, 1))},
			401, invalid("The token has expired."),
		},
	} {
		w, subject := pass(m, "GET", test.headers...)
		if w.Code != test.status || w.Header().Get("WWW-Authenticate") != test.challenge {
			t.Errorf("%s: %d %s", test.name, w.Code, w.Header().Get("WWW-Authenticate"))
		}
		if passed := test.status == 200; passed != (subject == "cust_1") {
			t.Errorf("%s: passed as %q", test.name, subject)
		}
		if test.status != 200 {
			wantProblem(t, test.name, w)
			if head, err := json.Marshal(w.Header()); err != nil || strings.Contains(string(head)+w.Body.String(), token[60:80]) {
				t.Errorf("%s: the token is quoted", test.name)
			}
		}
	}
}

func wantProblem(t *testing.T, name string, w *httptest.ResponseRecorder) {
	t.Helper()
	var problem struct {
		Type, Title, Detail string
		Status              int
	}
	err := json.Unmarshal(w.Body.Bytes(), &problem)
	if err != nil || problem.Status != w.Code || problem.Title != http.StatusText(w.Code) ||
		problem.Type != "about:blank" || problem.Detail == "" {
		t.Errorf("%s: %s, %v", name, w.Body, err)
	}
	if w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %v", name, w.Header())
	}
}

func TestMiddlewareScopes(t *testing.T) {
	m := testMiddleware().Require("maps:read")
	token := "Bearer " + ownPair().token(scopedPayload)
	write, both := m.Require("maps:write"), m.Require("x")
	if w, subject := pass(m, "GET", token); w.Code != 200 || subject == "" {
		t.Errorf("a scope that it has: %d", w.Code)
	}
	if w, subject := pass(both, "GET", token); w.Code != 200 || subject == "" {
		t.Errorf("scopes that it has: %d", w.Code)
	}
	w, subject := pass(write, "GET", token)
	const want = `Bearer realm="maps", error="insufficient_scope", ` +
		`error_description="The token lacks a scope that is required here.", scope="maps:read maps:write"`
	if got := w.Header().Get("WWW-Authenticate"); w.Code != 403 || subject != "" || got != want {
		t.Errorf("a scope that it lacks: %d %s", w.Code, got)
	}
	wantProblem(t, "scope", w)
	if w, _ := pass(m.Require("maps"), "GET", token); w.Code != 403 {
		t.Error("part of a scope passes for it")
	}
	if w, _ := pass(m, "GET", "Bearer "+ownPair().token(strings.Replace(scopedPayload, `"scope"`, `"scopes"`, 1))); w.Code != 403 {
		t.Error("no scope passes for one")
	}
}

func TestMiddlewareUnavailable(t *testing.T) {
	m := testMiddleware()
	down := ErrNotReady
	m.Unavailable = func() error { return down }
	token := "Bearer " + ownPair().token(scopedPayload)
	w, subject := pass(m, "GET", token)
	if w.Code != 503 || subject != "" || w.Header().Get("Retry-After") != "1" || w.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	wantProblem(t, "503", w)
	m.RetryAfter = 90 * time.Second
	if w, _ := pass(m, "GET", token); w.Header().Get("Retry-After") != "90" {
		t.Errorf("%v", w.Header())
	}
	if w, _ := pass(m, "GET"); w.Code != 401 {
		t.Errorf("without a token: %d", w.Code)
	}
	down = nil
	if w, _ := pass(m, "GET", token); w.Code != 200 {
		t.Errorf("available again: %d", w.Code)
	}
}

func TestMiddlewareHeadAndRealm(t *testing.T) {
	m := testMiddleware()
	m.Realm = "a \"b\" \\ c\r\nX: y\x7f"
	w, _ := pass(m, "HEAD")
	got := w.Header().Get("WWW-Authenticate")
	if got != `Bearer realm="a \"b\" \\ c  X: y "` || w.Body.Len() != 0 || w.Header().Get("Content-Length") == "0" {
		t.Errorf("%s with %d bytes", got, w.Body.Len())
	}
	if _, ok := ClaimsFrom(t.Context()); ok || errors.Is(ErrStale, ErrNotReady) {
		t.Error("claims out of nowhere")
	}
}
