package api_test

import (
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
)

func TestEnvironmentsOverHTTP(t *testing.T) {
	s := newServer(t)
	s.do("PATCH", "/v1/workspaces/acme",
		`{"policy":{"keys_per_owner":3},"portal":{"display_name":"Acme","base_url":"https://api.example"}}`).want(200)
	s.do("POST", plansPath, `{"name":"gold","limits":`+burstRules+`}`).want(201)
	create := `{"id":"acme-test","environment":"test","environment_of":"acme"}`
	made := s.do("POST", "/v1/workspaces", create).want(201).object()
	wantSubset(t, made, `{"id":"acme-test","name":"acme-test","audiences":["acme-test"],"environment":"test","environment_of":"acme",
		"version":3,"inherits":["policy","portal"],"policy":{"keys_per_owner":3},"portal":{"display_name":"Acme"},
		"issuer":"`+publicURL+`/v1/auth/oauth/acme-test"}`)
	if _, has := made["portal"].(map[string]any)["base_url"]; has {
		t.Error("the address of the API is inherited")
	}
	wantSubset(t, s.do("GET", "/v1/workspaces/acme", nil).want(200).object(),
		`{"environment":"live","environments":[{"id":"acme-test","environment":"test"}]}`)
	if ids := s.follow("/v1/workspaces", "workspaces", []string{"environment_of=acme"}); strings.Join(ids, " ") != "acme-test" {
		t.Errorf("the environments of acme are %q", ids)
	}
	for body, field := range map[string]string{
		`{"id":"x","environment_of":"acme"}`:                                                      "environment",
		`{"id":"x","environment":"test","environment_of":"acme"}`:                                 "environment",
		`{"id":"x","environment":"x","environment_of":"acme-test"}`:                               "environment_of",
		`{"id":"x","environment":"x","environment_of":"burnkey"}`:                                 "environment_of",
		`{"id":"x","environment":"x","environment_of":"acme","allow_never_expires":false}`:        "allow_never_expires",
		`{"id":"x","environment":"x","environment_of":"acme","inherits":["policy"],"audience":1}`: "inherits",
	} {
		if p := s.do("POST", "/v1/workspaces", body).want(422).problem(); !p.names(field) {
			t.Errorf("%s blames %v", body, p.Errors)
		}
	}
	change := func(id, patch, want string) {
		t.Helper()
		s.do("PATCH", "/v1/workspaces/"+id, patch).want(200)
		wantSubset(t, s.do("GET", "/v1/workspaces/acme-test", nil).want(200).object(), want)
	}
	change("acme-test", `{"portal":{"base_url":"https://test.example"}}`, `{"inherits":["policy","portal"]}`)
	change("acme", `{"policy":{"keys_per_owner":4},"environment":"production"}`, `{"policy":{"keys_per_owner":4}}`)
	change("acme-test", `{"policy":{"keys_per_owner":1}}`, `{"inherits":["portal"],"policy":{"keys_per_owner":1}}`)
	change("acme", `{"policy":null,"portal":{"display_name":"New"}}`,
		`{"policy":{"keys_per_owner":1},"portal":{"display_name":"New","base_url":"https://test.example"}}`)
	change("acme-test", `{"policy":null,"environment":"live"}`, `{"inherits":["portal","policy"],"policy":{},"environment":"live"}`)
	p := s.do("PATCH", "/v1/workspaces/acme", `{"environment":null}`).want(422).problem()
	if !p.names("environment") {
		t.Errorf("blames %v", p.Errors)
	}
	s.do("PATCH", "/v1/workspaces/burnkey", `{"environment":"x"}`).want(422)

	wantSubset(t, s.do("GET", "/v1/workspaces/acme-test/plans/gold", nil).want(200).object(), `{"inherited":true}`)
	if p := s.do("DELETE", "/v1/workspaces/acme-test/plans/gold", nil).want(409).problem(); p.Code != "plan_inherited" {
		t.Errorf("deleted: %+v", p)
	}
	wantSubset(t, s.do("PATCH", "/v1/workspaces/acme-test/plans/gold", `{"limits":[]}`).want(200).object(), `{"limits":[]}`)
	s.do("DELETE", "/v1/workspaces/acme-test/plans/gold", nil).want(204)
	wantSubset(t, s.do("GET", "/v1/workspaces/acme-test/plans/gold", nil).want(200).object(), `{"inherited":true,"limits":`+burstRules+`}`)
}

// A key that may write workspaces, but not read them, does not see what an environment inherits, and one that is tied to
// an environment can't touch the first workspace.
func TestRightsInEnvironments(t *testing.T) {
	s := newServer(t)
	s.do("PATCH", "/v1/workspaces/acme", `{"policy":{"webhook":"https://hook-word.example"},
		"portal":{"oidc":{"issuer":"https://login.example","client_id":"c","owner_claim":"o"}}}`).want(200)
	writer, tied := as(s.manager("", "workspaces:write")), as(s.manager("acme-test", "admin"))
	a := s.do("POST", "/v1/workspaces", `{"id":"acme-test","environment":"test","environment_of":"acme"}`, writer).want(201)
	if strings.Contains(string(a.body), "hook-word") {
		t.Errorf("without workspaces:read, it shows %s", a.body)
	}
	s.do("POST", "/v1/workspaces", `{"id":"acme-x","environment":"x","environment_of":"acme"}`, tied).want(403)
	s.do("GET", "/v1/workspaces/acme", nil, tied).want(403)
	s.do("PATCH", "/v1/workspaces/acme", `{"name":"x"}`, tied).want(403)
	s.do("PATCH", "/v1/workspaces/acme-test", `{"name":"x"}`, as(s.manager("acme", "admin"))).want(403)

	s.do("PATCH", "/v1/workspaces/acme-test", `{"portal":null}`, writer).want(200) // it is inherited already
	s.do("PATCH", "/v1/workspaces/acme-test", `{"portal":{"accent":"#000000"}}`, writer).want(200)
	s.do("PATCH", "/v1/workspaces/acme-test", `{"portal":null}`, writer).want(403) // who logs in would change
	s.do("PATCH", "/v1/workspaces/acme-test", `{"portal":null}`, tied).want(200)
}

// A link opens further workspaces only if the key may make a link in each.
func TestRightsOfLinksToEnvironments(t *testing.T) {
	s := newServer(t)
	s.do("POST", "/v1/workspaces", `{"id":"acme-test","environment":"test","environment_of":"acme"}`).want(201)
	const path = "/v1/workspaces/acme/portal-sessions"
	owner, operator := `{"owner":"c","environments":["acme","acme-test"]}`, `{"role":"operator","environments":["acme-test"]}`
	for _, c := range []struct {
		tie, scopes string
		body        string
		status      int
	}{
		{"", "keys:write", owner, 201},
		{"", "keys:write", operator, 403},
		{"", "admin", operator, 201},
		{"acme", "keys:write", owner, 403},
		{"acme", "admin", operator, 403},
		{"acme", "keys:write", `{"owner":"c","environments":["acme"]}`, 201},
		{"acme-test", "admin", owner, 403},
		{"", "admin", `{"owner":"c","environments":["other"]}`, 422},
		{"", "admin", `{"owner":"c","environments":["nobody"]}`, 422},
		{"", "admin", `{"owner":"c","environments":["burnkey"]}`, 422},
		{"", "keys:write", `{"owner":"c","environments":["burnkey"]}`, 403},
	} {
		if a := s.do("POST", path, c.body, as(s.manager(c.tie, c.scopes))); a.status != c.status {
			t.Errorf("%s %s %s: got %d, want %d: %s", c.tie, c.scopes, c.body, a.status, c.status, redact(string(a.body)))
		}
	}
	url := s.do("POST", path, owner).want(201).text("url")
	link := authz.Secret(strings.TrimPrefix(url, publicURL+"/portal/link/"))
	_, session, err := s.service.StartSession(t.Context(), link, false)
	must(t, err)
	further, err := s.service.StartFurther(t.Context(), link, &session)
	if err != nil || len(further) != 1 || further[0].Session.Workspace != "acme-test" || further[0].Session.Owner != "c" {
		t.Errorf("opened %+v, %v", further, err)
	}
}
