package api_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const introspectPath = issuer + "/introspect"

func (s *server) introspect(token string, options ...func(*http.Request)) map[string]any {
	s.t.Helper()
	return s.do("POST", introspectPath, url.Values{"token": {token}}.Encode(), options...).want(200).object()
}

func (s *server) wantInactive(what, token string) {
	s.t.Helper()
	if got := s.introspect(token); len(got) != 1 || got["active"] != false {
		s.t.Errorf("%s: %v", what, got)
	}
}

func TestIntrospection(t *testing.T) {
	s := newServer(t)
	key := s.issue("acme", map[string]any{
		"owner": "cust_1", "scopes": []string{"maps:read", "maps:write"}, "allowed_ips": []string{"10.0.0.0/8"},
	})
	got := s.introspect(key.token)
	for name, want := range map[string]any{
		"active": true, "scope": "maps:read maps:write", "client_id": "cust_1", "sub": "cust_1", "token_type": "Bearer",
		"jti": key.id, "key_id": key.id, "iss": s.URL + issuer,
	} {
		if name == "iss" {
			if !strings.HasSuffix(got["iss"].(string), issuer) {
				t.Errorf("iss is %v", got["iss"])
			}
		} else if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if ips := got["allowed_ips"].([]any); len(ips) != 1 || ips[0] != "10.0.0.0/8" {
		t.Errorf("allowed_ips is %v", ips)
	}

	s.do("PATCH", keysPath+"/"+key.id, `{"scopes":["maps:read"]}`).want(200)
	if got := s.introspect(key.token); got["scope"] != "maps:read" {
		t.Errorf("after the key was narrowed: %v", got["scope"])
	}
	s.do("PATCH", keysPath+"/"+key.id, `{"enabled":false}`).want(200)
	s.wantInactive("suspended", key.token)
	s.do("PATCH", keysPath+"/"+key.id, `{"enabled":true}`).want(200)
	s.do("DELETE", keysPath+"/"+key.id, nil).want(200)
	s.wantInactive("revoked", key.token)
	s.wantInactive("malformed", "x")
	s.wantInactive("another workspace's", s.issue("other", map[string]any{}).token)
	short := s.issue("acme", map[string]any{"expires_in": 1})
	s.sleep(time.Second)
	s.wantInactive("expired", short.token)
}

// OAuth clients send their secret as a password, raw or encoded.
func TestIntrospectionByAnOAuthClient(t *testing.T) {
	s := newServer(t)
	key := s.issue("acme", map[string]any{})
	manager := s.manager("acme", "keys:read")
	encoded := strings.NewReplacer("-", "%2D", "_", "%5F", ".", "%2E").Replace(manager)
	for _, secret := range []string{manager, encoded} {
		basic := header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("rs:"+secret)))
		if got := s.introspect(key.token, basic); got["active"] != true {
			t.Errorf("%v", got)
		}
		s.do("GET", keysPath, nil, basic).want(401)
	}
	s.do("POST", introspectPath, "token=x", header("Authorization")).want(401)
	s.do("POST", introspectPath, "token=x", as(key.token)).want(401)
	for _, body := range []string{"", "token=", "token=a&token=b", "other=a", "token=%zz"} {
		s.do("POST", introspectPath, body).want(400)
	}
	s.do("POST", introspectPath, `{"token":"x"}`, header("Content-Type", "application/json")).want(415)
}
