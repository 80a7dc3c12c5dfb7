package api_test

import (
	"fmt"
	"strings"
	"testing"
)

var workspaceMembers = []string{
	"id", "name", "audiences", "allow_never_expires", "environment", "issuer", "jwks_uri",
	"policy", "portal", "version", "created_at", "updated_at",
	"usage_since", "usage_until", "usage_reported_at",
}

func TestWorkspaces(t *testing.T) {
	s := newServer(t)
	a := s.do("POST", "/v1/workspaces", `{"id":"shop","name":"Shop","audiences":["shop-company"],"allow_never_expires":false}`).want(201)
	got := a.object()
	wantMembers(t, got, workspaceMembers...)
	wantSubset(t, got, `{"id":"shop","name":"Shop","audiences":["shop-company"],"allow_never_expires":false,"version":1,
		"issuer":"`+publicURL+`/v1/auth/oauth/shop","jwks_uri":"`+publicURL+`/v1/auth/oauth/shop/.well-known/jwks.json"}`)
	wantTime(t, got["created_at"])
	wantTime(t, got["updated_at"])
	if a.header.Get("Location") != "/v1/workspaces/shop" {
		t.Errorf("Location is %q", a.header.Get("Location"))
	}
	wantSubset(t, s.do("POST", "/v1/workspaces", `{"id":"b"}`).want(201).object(),
		`{"name":"b","audiences":["b"],"allow_never_expires":true}`)

	p := s.do("POST", "/v1/workspaces", `{"id":"shop"}`).want(409).problem()
	if !p.names("id") {
		t.Errorf("409 blames %v", p.Errors)
	}
	if shown := s.do("GET", "/v1/workspaces/shop", nil).want(200); string(shown.body) != string(a.body) {
		t.Errorf("shown as %s, created as %s", shown.body, a.body)
	}
	wantSubset(t, s.do("PATCH", "/v1/workspaces/shop", `{"name":"New","audiences":["x","y"]}`).want(200).object(),
		`{"name":"New","audiences":["x","y"],"allow_never_expires":false,"version":1}`)
	wantSubset(t, s.do("PATCH", "/v1/workspaces/shop", `{"allow_never_expires":true}`).want(200).object(),
		`{"name":"New","audiences":["x","y"],"allow_never_expires":true}`)
	s.do("GET", "/v1/workspaces/none", nil).want(404)
	s.do("PATCH", "/v1/workspaces/none", `{}`).want(404)
	for _, body := range []string{`{"id":"other"}`, `{"version":7}`, `{"created_at":"2020-01-01T00:00:00Z"}`, `{"audiences":[]}`} {
		s.do("PATCH", "/v1/workspaces/shop", body).want(422)
	}
}

// follow reads all pages of a list and returns the ids.
func (s *server) follow(path, member string, options []string) []string {
	s.t.Helper()
	var ids []string
	for cursor := ""; ; {
		page := s.do("GET", path+"?"+strings.Join(append(options, "cursor="+cursor), "&"), nil).want(200).object()
		items := page[member].([]any)
		for _, item := range items {
			ids = append(ids, item.(map[string]any)["id"].(string))
		}
		next, ok := page["next_cursor"].(string)
		if !ok {
			return ids
		}
		if len(items) == 0 {
			s.t.Fatal("an empty page that is not the last")
		}
		cursor = next
	}
}

func TestListWorkspaces(t *testing.T) {
	s := newServer(t)
	s.minter.set(func(m *quickMinter) { m.unsigned = true })
	want := []string{"acme", "burnkey", "other"}
	for i := range 10 {
		id := fmt.Sprintf("w%02d", i)
		s.createWorkspace(id)
		want = append(want, id)
	}
	for _, limit := range []string{"limit=1", "limit=2", "limit=3", "limit=13", "limit=14", "limit=1000"} {
		if got := s.follow("/v1/workspaces", "workspaces", []string{limit}); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: %v", limit, got)
		}
	}
}

// The workspace burnkey is not listed for a caller that may not see it.
func TestListWorkspacesHidesHome(t *testing.T) {
	s := newServer(t)
	s.admin = s.manager("", "workspaces:read")
	for _, limit := range []string{"limit=1", "limit=2", "limit=1000"} {
		if got := s.follow("/v1/workspaces", "workspaces", []string{limit}); strings.Join(got, " ") != "acme other" {
			t.Errorf("%s: %v", limit, got)
		}
	}
}
