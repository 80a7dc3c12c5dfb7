package portal_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/portal/portaltest"
	"github.com/burnkey/burnkey/store"
)

// environments creates environments of acme.
func (s *site) environments(names ...string) {
	s.t.Helper()
	for _, name := range names {
		_, err := s.CreateWorkspace(s.t.Context(), authz.WorkspaceRequest{ID: "acme-" + name, Environment: name, EnvironmentOf: "acme"})
		check(s.t, err)
	}
}

// An owner whose link names two environments switches between them and can't open a third.
func TestSwitchingEnvironmentsInABrowser(t *testing.T) {
	t.Parallel()
	s, url := served(t)
	s.environments("test", "stage")
	s.issue("acme-test", authz.IssueRequest{Owner: "cust_1", Name: "Trial"})
	for name, o := range map[string]portaltest.PageOptions{
		"on a phone":         {Width: 360, Height: 640, Mobile: true},
		"without JavaScript": {NoJavaScript: true},
	} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			p := portaltest.NewPage(t, o)
			link, _, err := s.PortalLink(t.Context(), "acme", authz.LinkRequest{
				Owner: "cust_1", Environments: []string{"acme", "acme-test"},
			})
			check(t, err)
			p.Open(s.PortalLinkURL(link))
			p.WaitURL(url + "/portal/acme/keys")
			sound(t, p, "live")
			if shown := strings.Fields(p.Text(".environments ul")); strings.Join(shown, " ") != "live test" {
				t.Errorf("offers %q", shown)
			}
			p.Follow(portaltest.Role("link", "test"))
			if p.URL() != url+"/portal/acme-test/keys" || p.Count(portaltest.Role("link", "Trial")) != 1 || p.Count(".pages") != 0 {
				t.Errorf("leads to %s, which does not show the key there", p.URL())
			}
			if current, _ := p.Attribute(portaltest.Role("link", "test"), "aria-current"); current != "true" {
				t.Error("the present environment is not marked")
			}
			sound(t, p, "test")
			p.Open(url + "/portal/acme-test/keys/new")
			p.Fill("#name", "Another")
			p.Follow("button.main")
			if k := s.newestIn("acme-test"); k.Name != "Another" || k.Owner != "cust_1" {
				t.Errorf("the key that was made is %+v", k)
			}
			if status := p.Open(url + "/portal/acme-stage/keys"); status != http.StatusUnauthorized || p.Count(".environments") != 0 {
				t.Errorf("the third answers %d", status)
			}
			p.Open(url + "/portal/acme/keys")
			p.Follow(portaltest.Role("button", "Log out"))
			for _, id := range []string{"acme", "acme-test"} {
				if status := p.Open(url + "/portal/" + id + "/keys"); status != http.StatusUnauthorized {
					t.Errorf("after the logout, %s answers %d", id, status)
				}
			}
		})
	}
}

// newestIn returns the newest active key of a workspace.
func (s *site) newestIn(workspace string) store.Key {
	s.t.Helper()
	keys, _, err := s.Keys(s.t.Context(), workspace, store.Filter{Status: store.Active, Now: s.clock(), Limit: 1})
	if check(s.t, err); len(keys) != 1 {
		s.t.Fatal("there is no key")
	}
	return keys[0]
}

// A link for an operator opens the environments that it names, and an operator of all workspaces can open all.
func TestOperatorsSwitchEnvironments(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.withHome()
	s.environments("test", "stage")
	offers := func(p *page, want ...string) {
		t.Helper()
		for _, id := range []string{"acme", "acme-test", "acme-stage"} {
			_, nav, _ := strings.Cut(p.body, `class="environments`)
			nav, _, _ = strings.Cut(nav, "</nav>")
			if is := strings.Contains(nav, `<a href="/portal/`+id+`/operator/overview"`); is != slices.Contains(want, id) {
				t.Errorf("offers %s: %t", id, is)
			}
		}
		if is := strings.Contains(p.body, `class="environments`); is != (len(want) > 0) {
			t.Errorf("offers environments: %t", is)
		}
	}
	offers(s.overseer().get("/portal/acme/operator/keys").want(200), "acme", "acme-test", "acme-stage")
	offers(s.overseer().get("/portal/other/operator/keys").want(200))
	offers(s.operator("acme").get("/portal/acme/operator/keys").want(200))
	both := s.browser()
	both.get(s.link("acme", authz.LinkRequest{Role: store.RoleOperator, Environments: []string{"acme-test"}})).want(303)
	offers(both.get("/portal/acme/operator/keys").want(200), "acme", "acme-test")
	offers(both.get("/portal/acme-test/operator/keys").want(200), "acme", "acme-test")
	both.get("/portal/acme-stage/operator/keys").want(401)
}

// Sessions of somebody else, or in another family, are not offered.
func TestEnvironmentsOfOneFamilyAndPerson(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.environments("test")
	b := s.browser()
	b.get(s.link("acme", authz.LinkRequest{Owner: "cust_1"})).want(303)
	b.get(s.link("other", authz.LinkRequest{Owner: "cust_1"})).want(303)
	b.get("/portal/acme/keys").want(200).hasNot("Environment")
	b.get(s.link("acme-test", authz.LinkRequest{Owner: "cust_2"})).want(303)
	b.get("/portal/acme/keys").want(200).hasNot("Environment")
	b.get(s.link("acme-test", authz.LinkRequest{Owner: "cust_1"})).want(303)
	b.get("/portal/acme/keys").want(200).has("Environment")
}

// The environment that an owner noted for a key in an earlier release is shown as metadata.
func TestNotedEnvironmentIsMetadata(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	k := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Old", Metadata: []byte(`{"environment":"test"}`)})
	v := s.owner("acme", "cust_1")
	v.get(keyPath(k)).want(200).has("Metadata", "environment: test")
	v.get("/portal/acme/keys/new").want(200).hasNot("Environment")
}

// An environment that inherits the login uses the client secret of its first workspace, and offers the other
// environments that have a login.
func TestLoginInEnvironments(t *testing.T) {
	t.Parallel()
	s := newLoginSite(t, portaltest.OIDCConfig{}, portaltest.ConfidentialClient, map[string]authz.Secret{"acme": portaltest.ClientSecret})
	s.environments("test", "stage")
	s.update("acme-stage", func(w *store.Workspace) { w.Portal.OIDC = nil })
	s.logIn("acme", "ada").get("/portal/acme/keys").want(200).has("Environment").
		hasNot("acme-stage")
	v := s.logIn("acme-test", "ada")
	session, err := v.session()
	if check(t, err); session.Workspace != "acme-test" || session.Owner != "cust_1" {
		t.Errorf("logged in as %+v", session)
	}
	body := v.get("/portal/acme-test/keys").want(200).body
	if !strings.Contains(body, `<a href="/portal/acme/login">live</a>`) || strings.Contains(body, "/portal/acme-stage/") {
		t.Error("does not offer the login of the first workspace alone")
	}
}
