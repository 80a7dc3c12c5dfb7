package portal_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/portal/portaltest"
	"github.com/burnkey/burnkey/store"
)

const allPath = "/portal/burnkey/operator/workspaces"

// withHome creates the server's own workspace, with a management key.
func (s *site) withHome() store.Key {
	s.t.Helper()
	issued, err := s.IssueManagement(s.t.Context(), authz.AdminRequest())
	check(s.t, err)
	return issued.Key
}

// homeRoutes are the routes for global operators.
func homeRoutes() []route {
	in := func(path string) func(string, string) string {
		return func(ws, _ string) string { return "/portal/" + ws + "/operator" + path }
	}
	return []route{
		{method: "GET", path: in("")},
		{method: "GET", path: in("/workspaces")},
		{method: "GET", path: in("/workspaces?q=acme")},
		{method: "GET", path: in("/find")},
		{method: "POST", path: in("/find"), form: url.Values{"pasted": {unknownID}, "workspace": {"acme"}}},
		{method: "GET", path: in("/audit")},
		{method: "GET", path: in("/audit.csv")},
		{method: "GET", path: in("/audit.json")},
	}
}

// An operator of the server's own workspace can see all other workspaces.
func TestAnOperatorOfAllWorkspaces(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.withHome()
	v := s.stranger()
	link := s.link(authz.Home, authz.LinkRequest{Role: store.RoleOperator, Subject: "chief"})
	v.get(link).want(http.StatusSeeOther).leadsTo(allPath)
	for _, path := range []string{
		"/portal/burnkey", "/portal/burnkey/", "/portal/burnkey/operator", "/portal/burnkey/operator/",
		"/portal/burnkey/operator/find",
	} {
		v.get(path).want(http.StatusSeeOther).leadsTo(allPath)
	}
	v.get("/portal/acme").want(http.StatusSeeOther).leadsTo("/portal/acme/operator/overview")
	v.get(allPath).want(200).has("The acme", "The other", "You see the keys of all workspaces.", "burnkey key list").hasNot("All keys")
	p := v.get("/portal/acme/operator/keys").want(200).has("All workspaces › Workspace acme")
	if !strings.Contains(p.body, `href="`+allPath+`"`) {
		t.Error("there is no way back to all workspaces")
	}
	s.operator("acme").get("/portal/acme/operator/keys").want(200).hasNot("All workspaces", "Workspace acme")

	for _, workspace := range []string{"acme", "other"} {
		k := s.issue(workspace, authz.IssueRequest{Owner: "cust_1", Name: "Shop"})
		v.get(anyPath(k)).want(200).has("Shop")
		v.post(anyPath(k), anyPath(k, "revoke"), url.Values{"confirm": {"Shop"}}).want(303)
		entries, _, err := s.Audit(t.Context(), workspace, store.AuditFilter{Action: store.ActionKeyRevoke, Limit: 9})
		check(t, err)
		if s.status(k) != store.Revoked || len(entries) != 1 || entries[0].Actor.ID != "chief" || entries[0].Actor.Kind != store.ActorOperator {
			t.Errorf("%s: %s by %+v", workspace, s.status(k), entries)
		}
	}
	v.get("/portal/burnkey/operator/audit").want(200).has("Logged in", "chief", "Key created").hasNot("Shop")
	if home := v.get("/portal/burnkey/operator/audit?action=key.issue").want(200); strings.Contains(home.body, "/operator/keys") {
		t.Error("the audit leads to pages of management keys, which there are not")
	}
	v.post(allPath, "/portal/logout", nil).want(200).has("You are logged out")
	v.get("/portal/acme/operator/keys").want(http.StatusUnauthorized)
	v.get(allPath).want(http.StatusUnauthorized)
}

func TestPagesOfAllWorkspaces(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.withHome()
	for i := range 60 {
		_, err := s.CreateWorkspace(t.Context(), authz.WorkspaceRequest{ID: fmt.Sprintf("ws-%02d", i), Name: "Maps of <b>"})
		check(t, err)
	}
	v := s.overseer()
	path, seen := allPath, 0
	for range 4 {
		p := v.get(path).want(200).hasNot("Burnkey ID")
		seen += strings.Count(p.body, "<h2><a ")
		if path = p.next(); path == "" {
			break
		}
	}
	if seen != 62 {
		t.Errorf("%d workspaces", seen)
	}
	for q, want := range map[string]int{"WS-1": 10, "the acme": 1, "MAPS OF <B>": 50, "none": 0, "burnkey": 0, "%": 0} {
		p := v.get(allPath + "?q=" + url.QueryEscape(q)).want(200)
		if got := strings.Count(p.body, "<h2><a "); got != want {
			t.Errorf("%q: %d workspaces", q, got)
		}
	}
	v.get(allPath+"?q=none").has("No workspaces match your search.", "Show all")
	v.get(allPath + "?q=%00").want(404)
	s.issue("acme", authz.IssueRequest{Owner: "cust_1"})
	v.get(allPath + "?q=" + s.minter.last()).want(400)
}

// A token, an id or a kid leads to its key in any workspace, but never to a management key.
func TestFindAnywhere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	home := s.withHome()
	admin := s.minter.last()
	foreign := s.issue("other", authz.IssueRequest{Owner: "cust_1", Name: "Elsewhere"})
	k := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Shop"})
	token := s.minter.last()
	v := s.overseer()
	look := func(pasted string) *page {
		return v.post(allPath, "/portal/burnkey/operator/find", url.Values{"pasted": {pasted}})
	}
	to := look("Authorization: Bearer "+token).want(303).saysDone(anyPath(k), "found")
	v.get(to).want(200).has("This is the key you searched for.")
	for _, text := range []string{
		k.ID.String(), " " + strings.ToUpper(k.ID.String()), k.KID.String(), "“" + k.ID.String() + "”",
		"\ufeffkid " + k.KID.String() + "\r\n",
	} {
		look(text).want(303).saysDone(anyPath(k), "found")
	}
	there := "/portal/other/operator/keys/" + foreign.ID.String()
	if to := look(foreign.KID.String()).want(303).Header().Get("Location"); !strings.Contains(to, there) {
		t.Errorf("a key of another workspace: %s", to)
	}
	look(unknownID).want(404).has("There is no such key in any workspace.")
	for _, text := range []string{admin, home.ID.String(), home.KID.String()} {
		look(text).want(422).has("This is a management key.").hasNot(home.Name + " (")
	}
	look(token[:80]).want(422).has("is incomplete, or not a Burnkey token")
	for _, text := range []string{"", "x", strings.Repeat("a", 9999)} {
		look(text).want(422).has("not a Burnkey token, key ID or kid")
	}
	if strings.Contains(s.log.String(), token[40:90]) {
		t.Error("the token is in the log")
	}
}

// Management keys can't be seen, searched for or revoked on any page.
func TestManagementKeysAreOnNoPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	admin := s.withHome()
	v := s.overseer()
	csrf := v.get(allPath).hidden("csrf")
	open := map[string]bool{"": true, "/": true, "/find": true, "/audit": true, "/audit.csv": true, "/audit.json": true}
	for _, r := range operatorRoutes() {
		path := r.path(authz.Home, admin.ID.String())
		if open[strings.TrimPrefix(path, "/portal/burnkey/operator")] {
			continue
		}
		form := with(r.form, "csrf", csrf)
		if form.Has("ids") {
			form.Set("ids", admin.ID.String())
		}
		v.do(r.method, path, form).want(403).has("Management keys are not shown here", "Go to all workspaces").hasNot(admin.ID.String())
	}
	for _, r := range routes() {
		v.do(r.method, r.path(authz.Home, admin.ID.String()), with(r.form, "csrf", csrf, "once", strings.Repeat("z", 22))).want(404)
		v.do(r.method, r.path("acme", unknownID), with(r.form, "csrf", csrf, "once", strings.Repeat("z", 22))).want(403).has("Go to the overview")
	}
	k, err := s.Key(t.Context(), authz.Home, admin.ID)
	check(t, err)
	if k.Status(s.clock()) != store.Active || k.Name != "admin" {
		t.Errorf("the management key is %+v", k)
	}
	for _, ws := range []string{"none", "%00", "acme%2f"} {
		for _, r := range operatorRoutes() {
			v.do(r.method, r.path(ws, unknownID), with(r.form, "csrf", csrf)).want(404)
		}
	}
	for _, r := range homeRoutes()[1:3] {
		v.do(r.method, r.path("acme", ""), nil).want(404)
	}
}

// Neither operators of a single workspace nor owners have access to the pages of all workspaces.
func TestWhoIsOverOneWorkspaceIsNotOverAll(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	admin := s.withHome()
	bearer, expired := s.stranger(), s.overseer()
	link := s.link(authz.Home, authz.LinkRequest{Role: store.RoleOperator})
	s.advance(authz.LoginLife)
	bearer.cookie = &http.Cookie{Name: "__Host-burnkey-acme", Value: strings.TrimPrefix(link, "/portal/link/")}
	for name, v := range map[string]*visitor{
		"nobody":                       s.stranger(),
		"a link that was never opened": bearer,
		"an expired session":           expired,
		"a workspace's operator":       s.operator("acme"),
		"an owner":                     s.owner("acme", "cust_1"),
		"an owner of such a name":      s.owner("acme", authz.Home),
	} {
		for _, r := range append(homeRoutes(), operatorRoutes()...) {
			p := v.do(r.method, r.path(authz.Home, admin.ID.String()), with(r.form, "csrf", "x")).want(401).
				hasNot("The acme", "The other", admin.ID.String())
			if t.Failed() {
				t.Fatal(name, p.what)
			}
		}
	}
	for name, v := range map[string]*visitor{"an operator": s.operator("other"), "an owner": s.owner("other", "cust_1")} {
		for _, r := range operatorRoutes() {
			if p := v.do(r.method, r.path("acme", unknownID), with(r.form, "csrf", "x")); p.Code != 401 {
				t.Errorf("%s: %s answers %d", name, p.what, p.Code)
			}
		}
	}
}

func TestForeignFormsForAllWorkspaces(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.withHome()
	k := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Theirs"})
	v := s.overseer()
	csrf, others := v.get(allPath).hidden("csrf"), s.overseer().get(allPath).hidden("csrf")
	find := url.Values{"pasted": {k.ID.String()}, "workspace": {"acme"}}
	for name, c := range map[string]struct {
		csrf   string
		header http.Header
	}{
		"no field":          {"", nil},
		"another session's": {others, nil},
		"a foreign origin":  {csrf, http.Header{"Origin": {"https://evil.example"}}},
		"the same site":     {csrf, http.Header{"Sec-Fetch-Site": {"same-site"}}},
	} {
		v.header = c.header
		for path, form := range map[string]url.Values{"/portal/burnkey/operator/find": find, anyPath(k, "revoke"): {"confirm": {"Theirs"}}} {
			if p := v.do("POST", path, with(form, "csrf", c.csrf)); p.Code != 403 || s.status(k) != store.Active {
				t.Errorf("%s: %s answers %d", name, path, p.Code)
			}
		}
	}
	v.header = nil
	v.do("POST", "/portal/burnkey/operator/find", with(find, "csrf", csrf)).want(303)
}

// Each page can be framed only by the sites in frame_ancestors of its own workspace.
func TestFramesOfAllWorkspaces(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.withHome()
	portal := policyOf(s, "acme")
	portal.FrameAncestors = []string{"https://app.example.test"}
	s.update("acme", func(set *store.Workspace) { set.Portal = portal })
	v := s.overseer()
	for path, want := range map[string]string{
		"/portal/acme/operator/keys": "https://app.example.test", "/portal/other/operator/keys": "'none'", allPath: "'none'",
	} {
		if csp := v.get(path).want(200).Header().Get("Content-Security-Policy"); !strings.HasSuffix(csp, "; frame-ancestors "+want) {
			t.Errorf("%s: %s", path, csp)
		}
	}
}

// If the browser also has a global operator's session, pages of owners use the workspace's session.
func TestASessionOverAllComesLast(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.withHome()
	k := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Mine"})
	v, all := s.owner("acme", "cust_1"), s.overseer()
	v.header = http.Header{"Cookie": {all.cookie.Name + "=" + all.cookie.Value}} // sent before the other cookie
	v.get(keyPath(k)).want(200).has("Mine")
	v.get("/portal/other/operator/keys").want(200)
	v.get(allPath).want(200)
	v.get("/portal/acme/operator/keys").want(200)
}

// A login to the server's own workspace requires the operator's claim. Owners are refused.
func TestLogInToAllWorkspaces(t *testing.T) {
	t.Parallel()
	s := newLoginSite(t, portaltest.OIDCConfig{}, portaltest.PublicClient, nil)
	s.withHome()
	acme, err := s.Workspace(t.Context(), "acme")
	check(t, err)
	s.provide(authz.Home, acme.Portal.OIDC.Issuer, portaltest.PublicClient)
	s.stranger().get(allPath).want(401).has("Log in")
	l := s.stranger().begin(authz.Home)
	l.back(l.as("root")).want(http.StatusSeeOther).leadsTo(allPath)
	l.get(allPath).want(200).has("The acme")
	l.get("/portal/acme/operator/keys").want(200)
	if session, err := l.session(); err != nil || !authz.OperatesAll(&session) || session.Subject != "root@burnkey.test" {
		t.Errorf("the session is %+v, %v", session, err)
	}
	for _, sub := range []string{"ada", "eve", "odd"} { // of whom ada has keys
		l := s.stranger().begin(authz.Home)
		p := l.back(l.as(sub)).want(http.StatusForbidden).has("Operators only", "Log in as someone else")
		if len(p.Result().Cookies()) != 1 || l.visitor.cookie != nil {
			t.Errorf("%s: the cookies are %v", sub, p.Result().Cookies())
		}
		entries, _, err := s.Audit(t.Context(), authz.Home, store.AuditFilter{Action: store.ActionLoginRefuse, Limit: 1})
		check(t, err)
		if len(entries) != 1 || string(entries[0].Detail) != `{"reason":"operator"}` {
			t.Errorf("%s: what is noted is %+v", sub, entries)
		}
	}
}
