package portal_test

import (
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// browser stores the cookies of one site, except those for frames.
type browser struct {
	*site
	jar map[string]string
}

func (s *site) browser() *browser { return &browser{s, map[string]string{}} }

func (b *browser) do(method, path string, form url.Values) *page {
	b.t.Helper()
	v := b.stranger()
	var all []string
	for name, value := range b.jar {
		all = append(all, name+"="+value)
	}
	slices.Sort(all)
	v.header.Set("Cookie", strings.Join(all, "; "))
	if b.public == localURL {
		v.header.Set("Origin", localURL)
	}
	p := v.do(method, path, form)
	b.keep(p.ResponseRecorder)
	return p
}

func (b *browser) keep(w *httptest.ResponseRecorder) {
	for _, c := range w.Result().Cookies() {
		switch {
		case c.Partitioned:
		case c.MaxAge < 0:
			delete(b.jar, c.Name)
		default:
			b.jar[c.Name] = c.Value
		}
	}
}

func (b *browser) get(path string) *page { b.t.Helper(); return b.do(http.MethodGet, path, nil) }

func (b *browser) open(workspace string, r authz.LinkRequest) {
	b.t.Helper()
	r.Owner = cmp.Or(r.Owner, map[string]string{"": "cust_1"}[r.Role])
	b.get(strings.TrimPrefix(b.link(workspace, r), localURL)).want(http.StatusSeeOther)
}

// isOver reports whether the session with this secret has ended on the server.
func (b *browser) isOver(secret string) bool {
	_, err := b.Session(b.t.Context(), authz.Secret(secret))
	return err != nil
}

func (b *browser) ended(workspace string) int {
	b.t.Helper()
	entries, _, err := b.Audit(b.t.Context(), workspace, store.AuditFilter{Action: store.ActionSessionEnd, Limit: 100})
	check(b.t, err)
	return len(entries)
}

// Sessions in two workspaces do not affect one another, and are logged out separately.
func TestSessionsOfTwoWorkspaces(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.withHome()
	b := s.browser()
	b.open("acme", authz.LinkRequest{})
	b.open("other", authz.LinkRequest{Owner: "cust_2"})
	b.open(authz.Home, authz.LinkRequest{Role: store.RoleOperator, Subject: "staff"})
	b.get("/portal/acme/keys").want(200).has("cust_1")
	b.get("/portal/other/keys").want(200).has("cust_2")
	b.get("/portal/acme/operator/keys").want(200)
	b.get(allPath).want(200)
	acme, other := b.jar["__Host-burnkey-acme"], b.jar["__Host-burnkey-other"]
	csrf := b.get("/portal/other/keys").hidden("csrf")
	b.do("POST", "/portal/logout", url.Values{"csrf": {csrf}}).want(200).has("You are logged out")
	if b.isOver(acme) || !b.isOver(other) || b.ended("other") != 1 || b.ended("acme") != 0 || len(b.jar) != 2 {
		t.Errorf("logged out of the wrong one: %v", b.jar)
	}
	// This page belongs to the global operator's session, so its form ends that session only.
	b.do("POST", "/portal/logout", url.Values{"csrf": {b.get("/portal/acme/operator/keys").hidden("csrf")}}).want(200)
	b.get(allPath).want(401)
	b.get("/portal/acme/keys").want(200)
	// The form of an ended session ends no other session.
	b.open("other", authz.LinkRequest{})
	csrf = b.get("/portal/other/keys").hidden("csrf")
	check(t, s.EndSession(t.Context(), authz.Secret(b.jar["__Host-burnkey-other"])))
	b.do("POST", "/portal/logout", url.Values{"csrf": {csrf}}).want(200)
	b.get("/portal/acme/keys").want(200)
	if len(b.jar) != 1 {
		t.Errorf("the cookies are %v", b.jar)
	}
	b.do("POST", "/portal/logout", url.Values{"csrf": {csrf}}).want(http.StatusForbidden)
}

// A new session in a workspace ends the previous one, even one with the cookie of an earlier release.
func TestReplacedSessionsEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.browser()
	b.open("acme", authz.LinkRequest{})
	first := b.jar["__Host-burnkey-acme"]
	b.open("acme", authz.LinkRequest{Owner: "cust_2"})
	second := b.jar["__Host-burnkey-acme"]
	if !b.isOver(first) || b.isOver(second) || b.ended("acme") != 1 {
		t.Error("the first goes on")
	}
	b.jar = map[string]string{"__Host-burnkey": second}
	b.get("/portal/acme/keys").want(200).has("cust_2")
	b.open("other", authz.LinkRequest{})
	b.get("/portal/acme/keys").want(200).has("cust_2")
	b.open("acme", authz.LinkRequest{})
	if !b.isOver(second) || b.ended("acme") != 2 || len(b.jar) != 2 {
		t.Errorf("that of before the upgrade goes on: %v", b.jar)
	}
	// If two cookies have the same name, as in a frame, both sessions end.
	third, fourth := b.jar["__Host-burnkey-acme"], s.owner("acme", "cust_3").cookie.Value
	v := s.stranger()
	v.header = http.Header{"Cookie": {"__Host-burnkey-acme=" + third + "; __Host-burnkey-acme=" + fourth}}
	p := v.get("/portal/acme/keys").want(200).has("cust_1")
	v.do("POST", "/portal/logout", url.Values{"csrf": {p.hidden("csrf")}}).want(200)
	if !b.isOver(third) || !b.isOver(fourth) {
		t.Error("one of two goes on")
	}
}

// A cookie is valid only for the workspace in its name, and no workspace id makes a session cookie
// collide with the portal's other cookies.
func TestCookiesAreWhatTheirNamesSay(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, id := range []string{"lang", "login"} {
		_, err := s.CreateWorkspace(t.Context(), authz.WorkspaceRequest{ID: id, Name: id})
		check(t, err)
		b := s.browser()
		b.open(id, authz.LinkRequest{})
		b.get("/portal/" + id + "/keys?lang=de").want(200).has("Schlüssel")
		b.get("/portal/" + id + "/keys").want(200).has("Schlüssel")
	}
	b := s.browser()
	b.open("acme", authz.LinkRequest{})
	b.jar["__Host-burnkey-other"] = b.jar["__Host-burnkey-acme"]
	delete(b.jar, "__Host-burnkey-acme")
	b.get("/portal/acme/keys").want(401)
	b.get("/portal/other/keys").want(401)
}

// A browser has a limited number of sessions. Another one ends the oldest.
func TestCookiesAreBounded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.browser()
	var first string
	for i := range 20 {
		id := fmt.Sprintf("w%d", i)
		_, err := s.CreateWorkspace(t.Context(), authz.WorkspaceRequest{ID: id, Name: id})
		check(t, err)
		s.advance(1e9)
		b.open(id, authz.LinkRequest{})
		first = cmp.Or(first, b.jar["__Host-burnkey-w0"])
	}
	if len(b.jar) != 16 || !b.isOver(first) || b.ended("w0") != 1 || b.ended("w4") != 0 {
		t.Errorf("the cookies are %d", len(b.jar))
	}
	b.get("/portal/w4/keys").want(200)
}
