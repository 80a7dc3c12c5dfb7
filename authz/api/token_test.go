package api_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

const (
	tokenPath     = issuer + "/token"
	grantBearer   = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeJWT       = "urn:ietf:params:oauth:token-type:jwt"
	typeAccess    = "urn:ietf:params:oauth:token-type:access_token"
)

// exchanging turns the exchange of acme on and returns when keys can be exchanged.
func (s *server) exchanging(key issued) {
	s.t.Helper()
	s.do("PATCH", "/v1/workspaces/acme", `{"policy":{"exchange":{"enabled":true,"max_cache_age":5}}}`,
		header("Content-Type", "application/merge-patch+json")).want(200)
	ctx, cancel := context.WithCancel(s.t.Context())
	var work sync.WaitGroup
	work.Go(func() { s.service.RunExchange(ctx, authz.ShiftOptions{Every: 5 * time.Millisecond}) })
	s.t.Cleanup(func() { cancel(); work.Wait() })
	testkit.Eventually(s.t, "a JWK is published", func() bool {
		a := s.token(url.Values{"grant_type": {"client_credentials"}, "client_secret": {key.token}})
		if a.status == 200 {
			return true // it was published long ago
		}
		return a.want(503).text("code") == "no_signing_key" && a.header.Get("Retry-After") > "1" // 1: no JWK is known
	})
	s.sleep(8 * time.Second)
}

func (s *server) token(values url.Values, options ...func(*http.Request)) answer {
	s.t.Helper()
	return s.do("POST", tokenPath, values.Encode(), append([]func(*http.Request){form}, options...)...)
}

func basic(id, secret string) func(*http.Request) {
	return header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(id+":"+secret)))
}

func TestGrants(t *testing.T) {
	s := newServer(t)
	key := s.issue("acme", map[string]any{"owner": "cust 1+x", "scopes": []string{"maps:read", "maps:write"}})
	client := url.Values{"grant_type": {"client_credentials"}}
	s.token(client, as(key.token)).want(404) // it is off
	s.exchanging(key)
	with := func(pairs ...string) url.Values {
		values := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			values.Add(pairs[i], pairs[i+1])
		}
		return values
	}
	encoded := strings.NewReplacer("-", "%2D", "_", "%5F", ".", "%2E").Replace(key.token)
	for name, a := range map[string]answer{
		"form":            s.token(with("grant_type", "client_credentials", "client_secret", key.token)),
		"form with id":    s.token(with("grant_type", "client_credentials", "client_secret", key.token, "client_id", key.id)),
		"basic":           s.token(client, basic("cust 1+x", key.token)),
		"basic, encoded":  s.token(client, basic(url.QueryEscape("cust 1+x"), encoded)),
		"basic, no id":    s.token(client, basic("", key.token)),
		"basic, two ids":  s.token(with("grant_type", "client_credentials", "client_id", "cust 1+x"), basic("cust 1+x", key.token)),
		"bearer":          s.token(client, as(key.token)),
		"empty parameter": s.token(with("grant_type", "client_credentials", "scope", "", "client_id", "", "resource", ""), as(key.token)),
		"assertion":       s.token(with("grant_type", grantBearer, "assertion", key.token)),
		"assertion, id":   s.token(with("grant_type", grantBearer, "assertion", key.token, "client_id", "cust 1+x")),
		"exchange":        s.token(with("grant_type", grantExchange, "subject_token", key.token, "subject_token_type", typeJWT)),
		"exchange, actor": s.token(with("grant_type", grantExchange, "subject_token", key.token, "subject_token_type", typeAccess,
			"requested_token_type", typeAccess, "actor_token", s.issue("acme", map[string]any{"owner": "agent"}).token,
			"actor_token_type", typeJWT)),
	} {
		got := a.want(200).object()
		if got["token_type"] != "Bearer" || got["expires_in"] != 600.0 || got["scope"] != "maps:read maps:write" ||
			(got["issued_token_type"] == typeAccess) != strings.HasPrefix(name, "exchange") || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v %v", name, a.header, got["token_type"])
		}
		parsed, err := jwks.Parse(got["access_token"].(string))
		must(t, err)
		if strings.Contains(string(parsed.Payload), `"act":{`) != (name == "exchange, actor") || parsed.Type != jwks.TypeAccessToken {
			t.Errorf("%s: %s", name, parsed.Payload)
		}
		act, _ := s.introspect(got["access_token"].(string))["act"].(map[string]any)
		if acts := name == "exchange, actor"; acts && act["sub"] != "agent" || acts != (act["key_id"] != nil) {
			t.Errorf("%s: introspection has the actor %v", name, act)
		}
	}
	less := s.token(with("grant_type", "client_credentials", "scope", "maps:read", "audience", "acme", "resource", "acme", "expires_in", "60"),
		as(key.token)).want(200).object()
	if less["scope"] != "maps:read" || less["expires_in"] != 60.0 {
		t.Errorf("narrowed: %v", less)
	}
	access := less["access_token"].(string)
	if got := s.introspect(access); got["active"] != true || got["scope"] != "maps:read" || got["key_id"] != key.id || got["jti"] == key.id {
		t.Errorf("introspected: %v", got)
	}
	if p := s.do("POST", issuer+"/revoke", "token="+access, form).want(400).problem(); p.OAuth != "unsupported_token_type" {
		t.Errorf("revoking an access token: %q", p.OAuth)
	}
	s.do("DELETE", keysPath+"/"+key.id, nil).want(200)
	s.wantInactive("of a revoked key", access)
}

func TestOAuthErrors(t *testing.T) {
	s := newServer(t)
	key, other := s.issue("acme", map[string]any{"scopes": []string{"maps:read"}}), s.issue("other", map[string]any{})
	s.exchanging(key)
	refuse := func(code string, status int, body string, options ...func(*http.Request)) {
		t.Helper()
		a := s.do("POST", tokenPath, body, append([]func(*http.Request){form}, options...)...).want(status)
		if got := a.text("error"); got != code || a.header.Get("Content-Type") != "application/json" ||
			(a.header.Get("WWW-Authenticate") != "") != (status == 401) {
			t.Errorf("%.60s: %s, %v", redact(body), got, a.header)
		}
	}
	const client = "grant_type=client_credentials"
	refuse("invalid_request", 400, "client_secret="+key.token)
	refuse("invalid_request", 400, "grant_type=&client_secret="+key.token)
	refuse("unsupported_grant_type", 400, "grant_type=password&client_secret="+key.token)
	refuse("invalid_client", 401, client)
	refuse("invalid_client", 401, client+"&client_secret=x")
	refuse("invalid_client", 401, client+"&client_secret="+other.token)
	refuse("invalid_client", 401, client, basic("cust_2", key.token))
	refuse("invalid_client", 401, client+"&client_id=cust_2&client_secret="+key.token)
	refuse("invalid_client", 401, client, header("Authorization", "Negotiate x"))
	refuse("invalid_request", 400, client+"&client_id=cust_2", basic("cust_1", key.token))
	refuse("invalid_request", 400, client+"&client_secret="+key.token, as(key.token))
	refuse("invalid_request", 400, client+"&client_secret="+key.token, basic("cust_1", key.token))
	refuse("invalid_request", 400, client+"&scope=a&scope=b", as(key.token))
	refuse("invalid_request", 400, client+"&expires_in=1e3", as(key.token))
	for text, want := range map[string]string{
		client + "&expires_in=59": "60 to 3600", client + "&expires_in=0": "60 to 3600", client + "&expires_in=-60": "60 to 3600",
		client + "&expires_in=1e3": "a number of seconds, at least 60", client + "&resource=x": "resource",
		"grant_type=implicit": "client_credentials, " + grantBearer + " or " + grantExchange,
	} {
		if got := s.do("POST", tokenPath, text, form, as(key.token)).want(400).text("error_description"); !strings.Contains(got, want) {
			t.Errorf("%s: %s", text, got)
		}
	}
	refuse("invalid_request", 400, client+"&x=%zz", as(key.token))
	refuse("invalid_scope", 400, client+"&scope=maps:read+maps:write", as(key.token))
	refuse("invalid_scope", 400, client+"&scope=maps:read++maps:read", as(key.token))
	refuse("invalid_target", 400, client+"&audience=other", as(key.token))
	refuse("invalid_target", 400, client+"&resource=https://other.example", as(key.token))
	refuse("invalid_request", 400, "grant_type="+grantBearer)
	refuse("invalid_grant", 400, "grant_type="+grantBearer+"&assertion=x")
	refuse("invalid_request", 400, "grant_type="+grantBearer+"&assertion="+key.token, basic("cust_1", key.token))
	refuse("invalid_request", 400, "grant_type="+grantExchange+"&subject_token="+key.token)
	refuse("invalid_request", 400, "grant_type="+grantExchange+"&subject_token=x&subject_token_type="+typeJWT)
	refuse("invalid_request", 400, "grant_type="+grantExchange+"&subject_token_type="+typeJWT+"&actor_token=x&subject_token="+key.token)
	refuse("invalid_request", 400,
		"grant_type="+grantExchange+"&requested_token_type=urn:x&subject_token_type="+typeJWT+"&subject_token="+key.token)
	s.do("POST", tokenPath+"?client_secret=x", client, form).want(400)
	s.do("POST", tokenPath, `{}`, header("Content-Type", "application/json")).want(415)
	s.do("POST", tokenPath, client+"&x="+strings.Repeat("x", 64<<10), form, as(key.token)).want(413)
	s.do("POST", "/v1/auth/oauth/nobody/token", client, form, as(key.token)).want(404)
	s.do("POST", "/v1/auth/oauth/other/token", client, form, as(other.token)).want(404)

	s.do("DELETE", keysPath+"/"+key.id, nil).want(200)
	refuse("invalid_client", 401, client, as(key.token))
}

func TestExchangeInMetadata(t *testing.T) {
	s := newServer(t)
	key := s.issue("acme", map[string]any{})
	const path = issuer + "/.well-known/oauth-authorization-server"
	off := s.do("GET", path, nil).want(200).object()
	s.exchanging(key)
	on := s.do("GET", path, nil).want(200).object()
	if off["token_endpoint"] != nil || off["token_endpoint_auth_methods_supported"] != nil || len(off["grant_types_supported"].([]any)) > 0 {
		t.Errorf("while it is off: %v", off)
	}
	if on["token_endpoint"] != publicURL+tokenPath || len(on["grant_types_supported"].([]any)) != 3 ||
		len(on["token_endpoint_auth_methods_supported"].([]any)) != 2 {
		t.Errorf("while it is on: %v", on)
	}
}

func TestExchangeLimit(t *testing.T) {
	s := newServer(t)
	key := s.issue("acme", map[string]any{})
	s.exchanging(key)
	s.do("PATCH", "/v1/workspaces/acme", `{"policy":{"exchange":{"per_minute":1}}}`,
		header("Content-Type", "application/merge-patch+json")).want(200)
	body := url.Values{"grant_type": {"client_credentials"}}
	s.token(body, as(key.token)).want(200)
	if a := s.token(body, as(key.token)).want(429); a.header.Get("Retry-After") == "" || a.text("code") != "quota_exceeded" {
		t.Errorf("%v", a.header)
	}
}

// The client of golang.org/x/oauth2 gets tokens by its ordinary API, in both of its styles.
func TestClientOfOAuth2(t *testing.T) {
	s := newServer(t)
	key := s.issue("acme", map[string]any{"scopes": []string{"maps:read", "maps:write"}})
	s.exchanging(key)
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleAutoDetect, oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
		config := clientcredentials.Config{
			ClientID: "cust_1", ClientSecret: key.token, TokenURL: s.URL + tokenPath, Scopes: []string{"maps:read"}, AuthStyle: style,
			EndpointParams: url.Values{"audience": {"acme"}},
		}
		token, err := config.Token(context.WithValue(t.Context(), oauth2.HTTPClient, s.client))
		if err != nil || token.Type() != "Bearer" || time.Until(token.Expiry) < 9*time.Minute {
			t.Errorf("style %v: %v", style, err)
		}
	}
	config := clientcredentials.Config{ClientID: "cust_1", ClientSecret: key.token, TokenURL: s.URL + tokenPath, Scopes: []string{"admin"}}
	_, err := config.Token(context.WithValue(t.Context(), oauth2.HTTPClient, s.client))
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); !ok || e.ErrorCode != "invalid_scope" {
		t.Error("the error has no code invalid_scope")
	}
}
