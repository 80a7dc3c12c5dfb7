package api_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// To make a link for an operator, a key needs the scope admin, and must not be tied to another workspace.
func TestOperatorSessionAnswers(t *testing.T) {
	s := newServer(t)
	const path, body = "/v1/workspaces/acme/portal-sessions", `{"role":"operator"}`
	for _, c := range []struct {
		tie    string
		scopes []string
		status int
	}{
		{"", []string{"admin"}, 201},
		{"acme", []string{"admin"}, 201},
		{"other", []string{"admin"}, 403},
		{"", []string{"keys:write", "keys:read", "audit:read", "workspaces:write"}, 403},
		{"acme", []string{"keys:write"}, 403},
	} {
		a := s.do("POST", path, body, as(s.manager(c.tie, c.scopes...)))
		if a.status != c.status || c.status == 403 && a.header.Get("WWW-Authenticate") != lowScope {
			t.Errorf("%s %v: %d, %v", c.tie, c.scopes, a.status, a.header)
		}
	}
	url, _ := s.do("POST", path, body).want(201).object()["url"].(string)
	secret := strings.TrimPrefix(url, publicURL+"/portal/link/")
	_, session, err := s.service.StartSession(t.Context(), authz.Secret(secret), false)
	if err != nil || session.Role != store.RoleOperator || session.Owner != "" || session.Workspace != "acme" {
		t.Errorf("%+v, %v", session, err)
	}
	refused, _, err := s.service.Audit(t.Context(), "acme", store.AuditFilter{Action: store.ActionCallRefuse, Limit: 10})
	if err != nil || len(refused) != 3 || string(refused[0].Detail) != `{"call":"create-portal-session"}` {
		t.Errorf("the refusals that are noted are %v, %v", refused, err)
	}
	for body, field := range map[string]string{
		`{"role":"operator","owner":"c"}`: "owner", `{"role":"operator","scopes_allowed":[]}`: "scopes_allowed",
		`{"role":"admin","owner":"c"}`: "role", `{"role":"","owner":"c"}`: "role", `{"role":"owner"}`: "owner",
	} {
		if p := s.do("POST", path, body).want(422).problem(); !p.names(field) {
			t.Errorf("%s blames %v", body, p.Errors)
		}
	}
	s.do("POST", path, `{"role":"owner","owner":"c"}`).want(201)
	s.do("POST", "/v1/workspaces/none/portal-sessions", body).want(404)
}

// The provider decides who is an operator, so changing it requires the scope admin.
func TestOIDCTakesTheScopeAdmin(t *testing.T) {
	s := newServer(t)
	const path, other = "/v1/workspaces/acme", `{"portal":{"oidc":{"issuer":"https://other.example","client_id":"b","owner_claim":"o"}}}`
	set := `{"portal":{"oidc":{"issuer":"https://login.example","client_id":"b","owner_claim":"o"}}}`
	writer := as(s.manager("", "workspaces:write", "workspaces:read", "keys:write"))
	s.do("PATCH", path, set, writer).want(403)
	s.do("PATCH", path, set, as(s.manager("acme", "admin"))).want(200)
	for _, body := range []string{
		other, `{"portal":{"oidc":{"client_id":"c"}}}`, `{"portal":{"oidc":{"operator_claim":"g","operator_value":"x"}}}`,
		`{"portal":{"oidc":null}}`, `{"portal":null}`, `{"name":"New","portal":{"oidc":{"owner_claim":"x"}}}`,
	} {
		if a := s.do("PATCH", path, body, writer).want(403); a.header.Get("WWW-Authenticate") != lowScope {
			t.Errorf("%s: %v", body, a.header)
		}
	}
	s.do("PATCH", "/v1/workspaces/none", set, writer).want(404)
	w, err := s.service.Workspace(t.Context(), "acme")
	if err != nil || w.Name == "New" || w.Portal.OIDC == nil || *w.Portal.OIDC != (store.OIDC{
		Issuer:   "https://login.example",
		ClientID: "b", OwnerClaim: "o",
	}) {
		t.Errorf("%+v, %v", w, err)
	}
	refused, _, err := s.service.Audit(t.Context(), "acme", store.AuditFilter{Action: store.ActionCallRefuse, Limit: 10})
	if err != nil || len(refused) != 7 || string(refused[0].Detail) != `{"call":"update-workspace"}` {
		t.Errorf("the refusals that are noted are %v, %v", refused, err)
	}
	s.do("PATCH", path, `{"portal":{"display_name":"New","oidc":{"client_id":"b"}}}`, writer).want(200) // all of oidc stays
	s.do("PATCH", path, `{"portal":null}`).want(200)
	s.do("PATCH", path, `{"portal":null}`, writer).want(200) // there is none any more
}

// A gateway's key can't read a workspace's settings, such as who may log in and where notices are sent.
func TestTheScopeGatewaySeesNoSettings(t *testing.T) {
	s := newServer(t)
	const path = "/v1/workspaces/acme"
	s.do("PATCH", path, `{"policy":{"webhook":"https://hooks.example/x"},`+
		`"portal":{"oidc":{"issuer":"https://login.example","client_id":"b","owner_claim":"o"}}}`).want(200)
	for _, tie := range []string{"", "acme"} {
		for _, path := range []string{path, "/v1/workspaces"} {
			text := string(s.do("GET", path, nil, as(s.manager(tie, "gateway"))).want(200).body)
			if !strings.Contains(text, `"version"`) || strings.Contains(text, `"policy"`) || strings.Contains(text, `"portal"`) {
				t.Errorf("%s shows %s", path, text)
			}
		}
	}
	for _, scope := range []string{"workspaces:read", "admin"} {
		text := string(s.do("GET", path, nil, as(s.manager("acme", "gateway", scope))).want(200).body)
		if !strings.Contains(text, "https://hooks.example/x") || !strings.Contains(text, "https://login.example") {
			t.Errorf("%s is shown %s", scope, text)
		}
	}
}

// Sessions end with the management key that made their link, for owners and for operators.
func TestARevokedKeyEndsItsLinks(t *testing.T) {
	s := newServer(t)
	for _, body := range []string{`{"role":"operator"}`, `{"owner":"cust_1"}`} {
		manager := s.manager("acme", "admin")
		url, _ := s.do("POST", "/v1/workspaces/acme/portal-sessions", body, as(manager)).want(201).object()["url"].(string)
		link := authz.Secret(strings.TrimPrefix(url, publicURL+"/portal/link/"))
		session, err := s.service.Link(t.Context(), link)
		must(t, err)
		s.do("DELETE", "/v1/workspaces/burnkey/keys/"+session.MadeBy.String(), "").want(200)
		s.do("GET", "/v1/workspaces/acme/keys", "", as(manager)).want(401)
		if _, _, err := s.service.StartSession(t.Context(), link, false); !errors.Is(err, authz.ErrNoSession) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// The audit names the person that a link is for.
func TestTheSubjectOfALink(t *testing.T) {
	s := newServer(t)
	for _, body := range []string{`{"role":"operator"`, `{"owner":"cust_1"`} {
		for _, subject := range []string{"", "jane@acme.example"} {
			asked := body + `}`
			if subject != "" {
				asked = body + `,"subject":"` + subject + `"}`
			}
			url, _ := s.do("POST", "/v1/workspaces/acme/portal-sessions", asked).want(201).object()["url"].(string)
			_, session, err := s.service.StartSession(t.Context(), authz.Secret(strings.TrimPrefix(url, publicURL+"/portal/link/")), false)
			must(t, err)
			want := subject
			if want == "" {
				want = session.MadeBy.String()
			}
			entries, _, err := s.service.Audit(t.Context(), "acme", store.AuditFilter{Action: store.ActionSessionStart, Limit: 1})
			must(t, err)
			if session.Subject != want || entries[0].Actor.ID != want || !strings.Contains(string(entries[0].Detail), session.MadeBy.String()) {
				t.Errorf("%s: %+v, noted as %+v %s", asked, session, entries[0].Actor, entries[0].Detail)
			}
		}
	}
}

func TestEndPortalSessions(t *testing.T) {
	s := newServer(t)
	const path = "/v1/workspaces/acme/portal-sessions"
	begin := func(role, owner string) authz.Secret {
		t.Helper()
		secret, _, err := s.service.StartLogin(t.Context(), "acme", authz.Login{Role: role, Owner: owner, Subject: "jo"})
		must(t, err)
		return secret
	}
	good := func(secret authz.Secret, want error) {
		t.Helper()
		if _, err := s.service.Session(t.Context(), secret); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	ended := func(query string, by string, want float64) {
		t.Helper()
		if n := s.do("DELETE", path+query, "", as(by)).want(200).object()["ended"]; n != want {
			t.Errorf("%s: %v ended, want %v", query, n, want)
		}
	}
	one, other, staff := begin(store.RoleOwner, "cust 1"), begin(store.RoleOwner, "cust_2"), begin(store.RoleOperator, "")
	s.do("POST", path, `{"owner":"cust 1"}`).want(201)
	writer := s.manager("acme", "keys:write")
	s.do("DELETE", path, "", as(writer)).want(403)
	s.do("DELETE", path+"?owner=cust_2", "", as(s.manager("other", "admin"))).want(403)
	s.do("DELETE", path+"?owner=cust_2", "", as(s.manager("", "keys:read"))).want(403)
	for query, field := range map[string]string{"?owner=": "owner", "?ower=cust_2": "ower", "?owner=" + strings.Repeat("x", 256): "owner"} {
		if p := s.do("DELETE", path+query, "").want(422).problem(); !p.names(field) {
			t.Errorf("%s blames %v", query, p.Errors)
		}
	}
	good(one, nil)
	ended("?owner=cust%201", writer, 2)
	good(one, authz.ErrNoSession)
	ended("?owner=cust%201", writer, 0)
	good(other, nil)
	good(staff, nil)
	ended("", s.manager("acme", "admin"), 2)
	good(other, authz.ErrNoSession)
	good(staff, authz.ErrNoSession)
	s.do("DELETE", "/v1/workspaces/none/portal-sessions", "").want(404)
	refused, _, err := s.service.Audit(t.Context(), "acme", store.AuditFilter{Action: store.ActionCallRefuse, Limit: 10})
	if err != nil || len(refused) != 3 || string(refused[2].Detail) != `{"call":"end-portal-sessions"}` {
		t.Errorf("the refusals that are noted are %v, %v", refused, err)
	}
}

// A link for an operator of all workspaces requires a key that is not tied.
func TestOperatorsOfAllWorkspacesByTheAPI(t *testing.T) {
	s := newServer(t)
	const path = "/v1/workspaces/burnkey/portal-sessions"
	url, _ := s.do("POST", path, `{"role":"operator"}`).want(201).object()["url"].(string)
	_, session, err := s.service.StartSession(t.Context(), authz.Secret(strings.TrimPrefix(url, publicURL+"/portal/link/")), false)
	if err != nil || !authz.OperatesAll(&session) {
		t.Errorf("%+v, %v", session, err)
	}
	for _, tie := range []string{"acme", authz.Home} {
		s.do("POST", path, `{"role":"operator"}`, as(s.manager(tie, "admin"))).want(403)
	}
	s.do("POST", path, `{"role":"operator"}`, as(s.manager("", "keys:write", "workspaces:write", "audit:read"))).want(403)
	if p := s.do("POST", path, `{"owner":"c"}`).want(422).problem(); !p.names("workspace") ||
		!strings.Contains(p.Errors[0].Detail, "operators only") {
		t.Errorf("an owner's link: %v", p.Errors)
	}
}
