package api_test

import (
	"strings"
	"testing"

	"github.com/burnkey/burnkey/jwks"
)

// The tokens of a workspace with a prefix have it in every answer, and every call that takes a token takes it.
func TestTokenPrefix(t *testing.T) {
	s := newServer(t)
	wantSubset(t, s.do("POST", "/v1/workspaces", `{"id":"maps","token_prefix":"maps-live-"}`).want(201).object(),
		`{"id":"maps","token_prefix":"maps-live-","version":2}`)
	const keys = "/v1/workspaces/maps/keys"
	issued := s.do("POST", keys, `{"owner":"cust_1"}`).want(201)
	rotated := s.do("POST", keys+"/"+issued.text("id")+"/rotate", `{}`).want(201)
	for _, a := range []answer{issued, rotated} {
		token := a.text("token")
		if !strings.HasPrefix(token, "maps-live-"+jwks.TokenPrefix) {
			t.Errorf("the token begins with %.30q", token)
		}
		s.do("GET", "/v1/auth/oauth/maps/limits", nil, as(token)).want(200)
		s.do("POST", "/v1/auth/oauth/maps/revoke", "token="+token, form).want(200)
		wantSubset(t, s.do("GET", keys+"/"+a.text("id"), nil).want(200).object(), `{"status":"revoked"}`)
	}
	for _, prefix := range []string{"Maps-", "maps", "-", "maps_", strings.Repeat("a", 32) + "-"} {
		s.wantRefused(t, s.do("POST", "/v1/workspaces", `{"id":"bad","token_prefix":"`+prefix+`"}`), "token_prefix")
	}
	s.wantRefused(t, s.do("PATCH", "/v1/workspaces/burnkey", `{"token_prefix":"a-","bare_tokens_until":null}`), "token_prefix")
	s.do("GET", "/v1/workspaces", nil, as("a-"+s.admin)).want(401)
}
