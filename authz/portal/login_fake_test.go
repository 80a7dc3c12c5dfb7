package portal_test

import (
	"crypto/rsa"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/portal"
	"github.com/burnkey/burnkey/authz/portal/portaltest"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/store"
)

// bent is an OpenID provider that misbehaves as tests choose. Its token endpoint accepts every code.
type bent struct {
	*httptest.Server
	t        *testing.T
	mu       sync.Mutex
	metadata map[string]any // added to the metadata
	claims   map[string]any // added to the ID token's claims; nil removes one
	info     map[string]any // added to UserInfo
	handlers map[string]http.HandlerFunc
	key      *rsa.PrivateKey // signs the ID token
	seen     map[string]int  // requests by path
	auth     []string        // credentials that the token endpoint received
}

var providerKey = sync.OnceValue(testkit.PrivateKey)

func newBent(t *testing.T) *bent {
	b := &bent{
		t: t, key: providerKey(), claims: map[string]any{"customer_id": "cust_1"},
		handlers: map[string]http.HandlerFunc{}, seen: map[string]int{},
	}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *bent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen[r.URL.Path]++
	if h := b.handlers[r.URL.Path]; h != nil {
		h(w, r)
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		b.answer(w, map[string]any{
			"issuer": b.URL, "authorization_endpoint": b.URL + "/auth", "token_endpoint": b.URL + "/token", "jwks_uri": b.URL + "/keys",
			"userinfo_endpoint": b.URL + "/info", "id_token_signing_alg_values_supported": []string{"RS256"},
		}, b.metadata)
	case "/keys":
		public, err := jwk.FromRaw(providerKey().Public())
		b.check(err)
		set := jwk.NewSet()
		b.check(set.AddKey(public))
		b.check(json.NewEncoder(w).Encode(set))
	case "/token":
		user, password, _ := r.BasicAuth()
		b.auth = append(b.auth, user+":"+password+":"+r.PostFormValue("client_id")+":"+r.PostFormValue("client_secret"))
		b.answer(w, map[string]any{"access_token": "opaque", "token_type": "Bearer", "id_token": b.idToken(r.PostFormValue("code"))}, nil)
	case "/info":
		b.answer(w, map[string]any{"sub": "ada"}, b.info)
	default:
		http.NotFound(w, r)
	}
}

func (b *bent) answer(w http.ResponseWriter, members, more map[string]any) {
	maps.Copy(members, more)
	maps.DeleteFunc(members, func(_ string, value any) bool { return value == nil })
	w.Header().Set("Content-Type", "application/json")
	b.check(json.NewEncoder(w).Encode(members))
}

// idToken returns an ID token with this nonce and the test's claims.
func (b *bent) idToken(nonce string) string {
	now := time.Now()
	claims := map[string]any{
		"iss": b.URL, "sub": "ada", "aud": "burnkey", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "nonce": nonce,
	}
	maps.Copy(claims, b.claims)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	payload, err := json.Marshal(claims)
	b.check(err)
	text, err := jws.Sign(payload, jws.WithKey(jwa.RS256, b.key))
	b.check(err)
	return string(text)
}

func (b *bent) check(err error) {
	if err != nil {
		b.t.Error(err)
	}
}

// site returns a site with this provider.
func (b *bent) site(secrets map[string]authz.Secret) *site {
	s := newSiteWith(b.t, portal.Options{PublicURL: localURL, ClientSecrets: secretsFor(b.URL, secrets)})
	for _, ws := range []string{"acme", "other"} {
		s.provide(ws, b.URL, "burnkey")
	}
	return s
}

// code returns the callback's path with a code that makes the fake provider issue the right nonce.
func (l *login) code() string {
	answer := url.Values{"state": {l.to.Query().Get("state")}, "code": {l.to.Query().Get("nonce")}}
	return "/portal/acme/callback?" + answer.Encode()
}

func TestTokensThatAreRefused(t *testing.T) {
	t.Parallel()
	another := testkit.PrivateKey()
	type claims = map[string]any
	for name, c := range map[string]struct {
		claims claims
		key    *rsa.PrivateKey
		reason string // of the refusal; empty: accepted
	}{
		"all is right":                {},
		"another audience":            {claims: claims{"aud": "another"}, reason: "token"},
		"no audience":                 {claims: claims{"aud": nil}, reason: "token"},
		"another issuer":              {claims: claims{"iss": "https://another.example"}, reason: "token"},
		"no issuer":                   {claims: claims{"iss": nil}, reason: "token"},
		"it has expired":              {claims: claims{"exp": 1}, reason: "token"},
		"it never expires":            {claims: claims{"exp": nil}, reason: "token"},
		"it is not good yet":          {claims: claims{"nbf": time.Now().Add(1e6 * time.Second).Unix()}, reason: "token"},
		"another key":                 {key: another, reason: "token"},
		"no nonce":                    {claims: claims{"nonce": nil}, reason: "nonce"},
		"another nonce":               {claims: claims{"nonce": "x"}, reason: "nonce"},
		"nobody":                      {claims: claims{"sub": nil}, reason: "token"},
		"another client's, too":       {claims: claims{"aud": []string{"burnkey", "another"}}, reason: "token"},
		"many audiences, and for us":  {claims: claims{"aud": []string{"burnkey", "another"}, "azp": "burnkey"}},
		"for another client":          {claims: claims{"azp": "another"}, reason: "token"},
		"for an access token not had": {claims: claims{"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, reason: "token"},
		"no owner":                    {claims: claims{"customer_id": nil}, reason: "owner"},
		"an empty owner":              {claims: claims{"customer_id": ""}, reason: "owner"},
		"owners":                      {claims: claims{"customer_id": []string{"cust_1"}}, reason: "owner"},
		"a long owner":                {claims: claims{"customer_id": strings.Repeat("a", 256)}, reason: "claims"},
		"an owner of two lines":       {claims: claims{"customer_id": "a\nb"}, reason: "claims"},
		"a long subject":              {claims: claims{"sub": strings.Repeat("a", 256), "groups": "none"}, reason: "claims"},
		"an operator's groups":        {claims: claims{"groups": []any{1, nil, "operators"}, "customer_id": nil}},
		"like an operator's groups":   {claims: claims{"groups": "operators2", "customer_id": nil}, reason: "owner"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBent(t)
			maps.Copy(b.claims, c.claims)
			if c.key != nil {
				b.key = c.key
			}
			s := b.site(nil)
			// nbf matters only if the clock is close to the token's time.
			s.advance(time.Since(s.clock()).Truncate(time.Second))
			l := s.stranger().begin("acme")
			s.advance(-time.Minute)
			p := l.back(l.code())
			if c.reason == "" {
				p.want(http.StatusSeeOther)
				return
			}
			s.refused(p, http.StatusForbidden, c.reason)
			if strings.Contains(s.log.String(), "eyJ") || strings.Contains(s.log.String(), l.to.Query().Get("nonce")) {
				t.Errorf("the log has a token or a code: %s", s.log.String())
			}
		})
	}
}

// UserInfo adds missing claims, but overrides no signed ones.
func TestUserInfo(t *testing.T) {
	t.Parallel()
	type claims = map[string]any
	for name, c := range map[string]struct {
		claims, info claims
		owner        string // or ! and the reason of the refusal
	}{
		"it says the owner":           {claims{"customer_id": nil}, claims{"customer_id": "cust_7"}, "cust_7"},
		"it says another owner":       {nil, claims{"customer_id": "cust_7"}, "cust_1"},
		"its sub is another one":      {claims{"customer_id": nil}, claims{"sub": "eve", "customer_id": "cust_7"}, "!userinfo"},
		"missing sub":                 {claims{"customer_id": nil}, claims{"sub": nil, "customer_id": "cust_7"}, "!userinfo"},
		"it says nothing":             {claims{"customer_id": nil}, nil, "!owner"},
		"it makes operators of those": {nil, claims{"groups": []string{"operators"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBent(t)
			maps.Copy(b.claims, c.claims)
			b.info = c.info
			s := b.site(nil)
			l := s.stranger().begin("acme")
			p := l.back(l.code())
			if reason, refused := strings.CutPrefix(c.owner, "!"); refused {
				s.refused(p, http.StatusForbidden, reason)
				return
			}
			p.want(http.StatusSeeOther)
			if got, err := l.session(); err != nil || got.Owner != c.owner {
				t.Errorf("the session is %+v, %v", got, err)
			}
		})
	}
}

// An email address identifies a person only if it is verified.
func TestOwnersByAddress(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		verified any
		ok       bool
	}{
		"verified": {true, true}, "in text": {"true", true}, "not verified": {false, false},
		"unknown": {nil, false}, "odd": {[]any{true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBent(t)
			b.claims = map[string]any{"email": "ada@acme.test", "email_verified": c.verified}
			s := b.site(nil)
			s.update("acme", func(set *store.Workspace) {
				set.Portal = store.Portal{OIDC: &store.OIDC{
					Issuer: b.URL, ClientID: "burnkey", OwnerClaim: "email", OperatorClaim: "email", OperatorValue: "root@burnkey.test",
				}}
			})
			l := s.stranger().begin("acme")
			p := l.back(l.code())
			if !c.ok {
				s.refused(p, http.StatusForbidden, "owner")
				return
			}
			p.want(http.StatusSeeOther)
			if got, err := l.session(); err != nil || got.Owner != "ada@acme.test" {
				t.Errorf("the session is %+v, %v", got, err)
			}
		})
	}
}

// The metadata decides how a client sends its secret. The client makes no second attempt.
func TestClientsAtTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		secret  authz.Secret
		methods any
		want    string
	}{
		"public":              {"", nil, "::burnkey:"},
		"public, if basic":    {"", []string{"client_secret_basic"}, "::burnkey:"},
		"by default":          {"a b", nil, "burnkey:a+b::"},
		"basic of two":        {"x", []string{"client_secret_post", "client_secret_basic"}, "burnkey:x::"},
		"post":                {"x", []string{"client_secret_post"}, "::burnkey:x"},
		"another workspace's": {"", []string{"client_secret_post"}, "::burnkey:"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBent(t)
			b.metadata = map[string]any{"token_endpoint_auth_methods_supported": c.methods}
			s := b.site(map[string]authz.Secret{"acme": c.secret, "other": "of others"})
			l := s.stranger().begin("acme")
			l.back(l.code()).want(http.StatusSeeOther)
			if len(b.auth) != 1 || b.auth[0] != c.want {
				t.Errorf("the client shows %q", b.auth)
			}
		})
	}
}

func TestProvidersThatAreDown(t *testing.T) {
	t.Parallel()
	down := func(s *site, p *page) {
		t.Helper()
		p.has("Login is currently unavailable", "Try again")
		s.refused(p, http.StatusServiceUnavailable, "")
		if p.Header().Get("Retry-After") != "5" || !strings.Contains(s.log.String(), "provider") {
			t.Errorf("Retry-After %q, log %s", p.Header().Get("Retry-After"), s.log.String())
		}
	}
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		}
	}
	t.Run("nothing listens", func(t *testing.T) {
		b := newBent(t)
		s := b.site(nil)
		b.Close()
		down(s, s.stranger().get("/portal/acme/login"))
	})
	t.Run("and comes back", func(t *testing.T) {
		b := newBent(t)
		s := b.site(nil)
		b.handlers["/.well-known/openid-configuration"] = status(500, "")
		for range 3 {
			down(s, s.stranger().get("/portal/acme/login"))
		}
		if n := b.seen["/.well-known/openid-configuration"]; n != 1 {
			t.Errorf("it was asked %d times at once", n)
		}
		delete(b.handlers, "/.well-known/openid-configuration")
		s.advance(5 * time.Second)
		l := s.stranger().begin("acme")
		l.back(l.code()).want(http.StatusSeeOther)
		// While the provider fails, the metadata fetched earlier stays in use.
		b.handlers["/.well-known/openid-configuration"] = status(500, "")
		s.advance(3 * time.Hour)
		l = s.stranger().begin("acme")
		l.back(l.code()).want(http.StatusSeeOther)
	})
	for name, h := range map[string]http.HandlerFunc{
		"500": status(500, ""), "no JSON": status(200, "<html>"), "no token": status(200, "{}"),
		"another secret": status(401, `{"error":"invalid_client","error_description":"of a-secret"}`),
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
		"an endless answer": func(w http.ResponseWriter, _ *http.Request) {
			for range 64 {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		},
	} {
		t.Run("its token endpoint: "+name, func(t *testing.T) {
			b := newBent(t)
			s := b.site(map[string]authz.Secret{"acme": "a-secret"})
			b.handlers["/token"] = h
			l := s.stranger().begin("acme")
			down(s, l.back(l.code()))
			if b.seen["/elsewhere"] > 0 {
				t.Error("a redirect is followed")
			}
			if strings.Contains(s.log.String(), "a-secret") || strings.Contains(s.log.String(), l.to.Query().Get("nonce")) {
				t.Errorf("the log has a secret: %s", s.log.String())
			}
		})
	}
	for name, h := range map[string]http.HandlerFunc{
		"500": status(500, strings.Repeat("long ", 1000)), "no JSON": status(200, strings.Repeat("<html>", 1000)),
	} {
		t.Run("its keys: "+name, func(t *testing.T) {
			b := newBent(t)
			s := b.site(nil)
			b.handlers["/keys"] = h
			l := s.stranger().begin("acme")
			down(s, l.back(l.code()).hasNot("Deutsch"))
			if s.log.Len() > 2000 {
				t.Errorf("the log has the whole answer: %d bytes", s.log.Len())
			}
		})
	}
	t.Run("it says so", func(t *testing.T) {
		s := newBent(t).site(nil)
		l := s.stranger().begin("acme")
		down(s, l.back("/portal/acme/callback?error=temporarily_unavailable&state="+l.to.Query().Get("state")))
	})
	t.Run("logout does not need it", func(t *testing.T) {
		b := newBent(t)
		s := b.site(nil)
		l := s.stranger().begin("acme")
		l.back(l.code()).want(http.StatusSeeOther)
		b.Close()
		s.advance(2 * time.Hour)
		l.header = http.Header{"Origin": {localURL}}
		p := l.post("/portal/acme/keys", "/portal/logout", nil).want(http.StatusOK).has("You are logged out", "You can close this page")
		if p.Header().Get("Refresh") != "" {
			t.Error("it leads on to nowhere")
		}
	})
}

// Endpoints in a provider's metadata must satisfy the same rules as issuer URLs.
func TestMetadataIsHeldToTheSame(t *testing.T) {
	t.Parallel()
	for name, members := range map[string]map[string]any{
		"another issuer": {"issuer": "https://another.example"}, "http elsewhere": {"token_endpoint": "http://10.0.0.1/token"},
		"a file": {"jwks_uri": "file:///etc/passwd"}, "a script": {"authorization_endpoint": "javascript:alert(1)"},
		"no token endpoint": {"token_endpoint": nil}, "a user": {"userinfo_endpoint": "https://a:b@login.example"},
		"a script to log out": {"end_session_endpoint": "javascript:alert(1)//x"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBent(t)
			b.metadata = members
			b.site(nil).stranger().get("/portal/acme/login").want(http.StatusServiceUnavailable)
		})
	}
	t.Run("a server that others reach", func(t *testing.T) {
		b := newBent(t)
		s := newSite(t)
		s.provide("acme", strings.Replace(b.URL, "http:", "https:", 1), "burnkey") // any host name may resolve to this machine
		s.stranger().get("/portal/acme/login").want(http.StatusServiceUnavailable)
		if !strings.Contains(s.log.String(), "the address is not public") || len(b.seen) > 0 {
			t.Errorf("the log says %s", s.log.String())
		}
	})
}

// If the public URL has a path, the callback URL is below that path.
func TestLoginsBelowAPath(t *testing.T) {
	t.Parallel()
	b := newBent(t)
	s := newSiteWith(t, portal.Options{PublicURL: localURL + "/burnkey/"})
	s.provide("acme", b.URL, "burnkey")
	l := s.stranger().begin("acme")
	if got := l.to.Query().Get("redirect_uri"); got != localURL+"/burnkey/portal/acme/callback" {
		t.Errorf("it leads back to %s", got)
	}
	l.back(l.code()).want(http.StatusSeeOther).leadsTo("/burnkey/portal/acme/keys")
}

// A code is accepted only from the provider that issued it, and a login only from the provider where it
// began.
func TestAProviderThatChangesMeanwhile(t *testing.T) {
	t.Parallel()
	b, c := newBent(t), newBent(t)
	s := b.site(nil)
	l := s.stranger().begin("acme")
	s.provide("acme", c.URL, "burnkey")
	s.refused(l.stay(l.code()), http.StatusForbidden, "")
	if c.seen["/token"] > 0 {
		t.Error("the other provider is shown the code")
	}
}

// A client secret is sent only to its own issuer, even if the workspace's issuer changes. The client does
// not act as a public client instead.
func TestAClientSecretIsForOneIssuer(t *testing.T) {
	t.Parallel()
	const secret = "the secret at b"
	b, c := newBent(t), newBent(t)
	s := b.site(map[string]authz.Secret{"acme": secret})
	under := s.stranger().begin("acme")
	s.provide("acme", c.URL, "burnkey")
	v := s.stranger()
	v.get("/portal/acme/login").want(http.StatusServiceUnavailable)
	under.stay(under.code()) // its state was made for another issuer
	if len(c.seen) > 0 {
		t.Errorf("the other issuer was asked: %v", c.seen)
	}
	if !strings.Contains(s.log.String(), "the client secret is for the issuer") || strings.Contains(s.log.String(), secret) {
		t.Errorf("the log says %s", s.log.String())
	}
	s.provide("other", c.URL, "burnkey") // a workspace without a client secret
	l := s.stranger().begin("other")
	l.back(strings.Replace(l.code(), "/acme/", "/other/", 1)).want(http.StatusSeeOther)
}

func TestAWrongClientSecretAtARealProvider(t *testing.T) {
	t.Parallel()
	s := newLoginSite(t, portaltest.OIDCConfig{}, portaltest.ConfidentialClient, map[string]authz.Secret{"acme": "a wrong secret"})
	l := s.stranger().begin("acme")
	s.refused(l.back(l.as("ada")), http.StatusServiceUnavailable, "")
	if !strings.Contains(s.log.String(), "invalid_client") || strings.Contains(s.log.String(), "a wrong secret") {
		t.Errorf("the log says %s", s.log.String())
	}
}
