package portal_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// route is an owner's route. Its path depends on the workspace and the key.
type route struct {
	method string
	path   func(workspace, id string) string
	form   url.Values
	ofKey  bool
}

func (r route) String() string { return r.method + " " + r.path("{ws}", "{id}") }

func routes() []route {
	in := func(path string) func(string, string) string {
		return func(ws, id string) string { return "/portal/" + ws + strings.ReplaceAll(path, "{id}", id) }
	}
	return []route{
		{method: "GET", path: in("/keys")},
		{method: "GET", path: in("/keys?q=a&status=active")},
		{method: "GET", path: in("/keys/new")},
		{method: "GET", path: in("/keys/new?parent={id}"), ofKey: true},
		{method: "GET", path: in("/history")},
		{method: "POST", path: in("/keys"), form: good},
		{method: "GET", path: in("/keys/{id}"), ofKey: true},
		{method: "GET", path: in("/keys/{id}/live"), ofKey: true},
		{method: "POST", path: in("/keys/{id}/name"), form: url.Values{"name": {"taken"}}, ofKey: true},
		{method: "POST", path: in("/keys/{id}/pause"), form: url.Values{"reason": {"taken"}}, ofKey: true},
		{method: "POST", path: in("/keys/{id}/resume"), form: url.Values{}, ofKey: true},
		{method: "POST", path: in("/keys/{id}/addresses"), form: url.Values{"addresses": {"192.0.2.7"}}, ofKey: true},
		{method: "POST", path: in("/keys/{id}/expiry"), form: url.Values{"expiry": {"date"}, "date": {"2026-03-05"}}, ofKey: true},
		{method: "POST", path: in("/keys/{id}/scopes"), form: url.Values{"scopes": {"x"}}, ofKey: true},
		{method: "POST", path: in("/keys/{id}/request-plan"), form: url.Values{"plan": {"pro"}}, ofKey: true},
		{method: "POST", path: in("/keys/{id}/request-scopes"), form: url.Values{"wanted": {"b"}}, ofKey: true},
		{method: "POST", path: in("/keys/{id}/withdraw"), form: url.Values{"request": {unknownID}}, ofKey: true},
		{method: "POST", path: in("/keys/{id}/rotate"), form: url.Values{"grace": {"3600"}}, ofKey: true},
		{method: "POST", path: in("/keys/{id}/undo"), ofKey: true},
		{method: "POST", path: in("/keys/{id}/end"), ofKey: true},
		{method: "POST", path: in("/keys/{id}/revoke"), form: url.Values{"confirm": {"Theirs"}}, ofKey: true},
	}
}

// unique matches the parts that differ each time a page is loaded.
var unique = regexp.MustCompile(`name="(csrf|once)" value="[^"]*"|[0-9a-f]{8}-[0-9a-f-]{27}`)

const unknownID = "01900000-0000-7000-8000-000000000000"

// theirs issues keys for cust_2, one of them in its grace period.
func theirs(s *site) (keys []store.Key) {
	active := s.issue("acme", authz.IssueRequest{Owner: "cust_2", Name: "Theirs"})
	old := s.issue("acme", authz.IssueRequest{Owner: "cust_2", Name: "Theirs"})
	issued, err := s.Rotate(s.t.Context(), "acme", old.ID, authz.RotateRequest{})
	check(s.t, err)
	return []store.Key{active, old, issued.Key}
}

// everything returns all stored state that a refused request must not change.
func everything(s *site) string {
	keys, _, err := s.Keys(s.t.Context(), "acme", store.Filter{Limit: 100})
	check(s.t, err)
	var all strings.Builder
	for _, k := range keys {
		all.WriteString(k.ID.String() + k.Name + k.Owner + string(k.Status(s.clock())) + "\n")
		check(s.t, json.NewEncoder(&all).Encode([]any{k.SuspendedReason, k.ExpiresAt, k.Scopes, k.AllowedIPs, k.Plan, k.Limits}))
	}
	requests, _, err := s.Requests(s.t.Context(), "acme", store.RequestFilter{Limit: 100})
	check(s.t, err)
	check(s.t, json.NewEncoder(&all).Encode(requests))
	plans, _, err := s.LimitSets(s.t.Context(), "acme", []string{jwks.OnPlan}, authz.LimitsID{}, 100)
	check(s.t, err)
	check(s.t, json.NewEncoder(&all).Encode(plans))
	w, err := s.Workspace(s.t.Context(), "acme")
	check(s.t, err)
	settings, err := json.Marshal([]any{w.AllowNeverExpires, w.Policy, w.Portal})
	check(s.t, err)
	all.Write(settings)
	return all.String()
}

func TestOneOwnerCantTouchAnothersKey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	keys := theirs(s)
	for name, v := range map[string]*visitor{
		"another owner":                s.owner("acme", "cust_1"),
		"one whose name is longer":     s.owner("acme", "cust_22"),
		"one whose name is a wildcard": s.owner("acme", "%"),
	} {
		form := url.Values{"csrf": {v.get("/portal/acme/keys/new").hidden("csrf")}, "once": {strings.Repeat("y", 22)}}
		before := everything(s)
		for _, r := range routes() {
			if !r.ofKey {
				continue
			}
			sent := with(r.form, "csrf", form.Get("csrf"), "once", form.Get("once"))
			none := v.do(r.method, r.path("acme", unknownID), sent).want(http.StatusNotFound)
			for _, k := range keys {
				p := v.do(r.method, r.path("acme", k.ID.String()), sent).want(http.StatusNotFound)
				if unique.ReplaceAllString(p.body, "") != unique.ReplaceAllString(none.body, "") {
					t.Errorf("%s: %s tells that the key is there", name, r)
				}
			}
		}
		for _, path := range []string{
			"/portal/acme/keys", "/portal/acme/keys?q=Theirs", "/portal/acme/keys?q=cust_2", "/portal/acme/keys?q=" + keys[0].ID.String(),
			"/portal/acme/keys?q=" + keys[0].KID.String(), "/portal/acme/keys?after=" + keys[2].ID.String(), "/portal/acme/history",
			"/portal/acme/history?after=ffffffff-ffff-7fff-bfff-ffffffffffff",
		} {
			v.get(path).want(http.StatusOK).hasNot("Theirs", keys[0].ID.String(), keys[1].ID.String(), keys[2].ID.String(), "cust_2 ")
		}
		if after := everything(s); after != before {
			t.Errorf("%s: was\n%s, is\n%s", name, before, after)
		}
	}
}

// Every route requires a session of an owner in the workspace; nothing else is accepted instead.
func TestWhoIsNoOwnerGetsNowhere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	mine := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Theirs"})
	link := s.link("acme", authz.LinkRequest{Owner: "cust_1"})
	expired := s.owner("acme", "cust_1")
	s.advance(authz.SessionLife)
	fake, bearer := s.stranger(), s.stranger()
	fake.cookie = &http.Cookie{Name: "__Host-burnkey-acme", Value: strings.Repeat("A", 43)}
	bearer.cookie = &http.Cookie{Name: "__Host-burnkey-acme", Value: strings.TrimPrefix(link, "/portal/link/")}
	renamed := s.owner("acme", "cust_1")
	renamed.cookie.Name = "burnkey"
	for name, c := range map[string]struct {
		v      *visitor
		status int
	}{
		"nobody":                       {s.stranger(), 401},
		"an invented session":          {fake, 401},
		"a link that was never opened": {bearer, 401},
		"an expired session":           {expired, 401},
		"a cookie of another name":     {renamed, 401},
		"another workspace's owner":    {s.owner("other", "cust_1"), 401},
		"another workspace's operator": {s.operator("other"), 401},
		"an operator, who is no owner": {s.operator("acme"), 403},
		"another workspace's namesake": {s.owner("other", "cust_1", authz.LinkRequest{ScopesAllowed: []string{"a"}}), 401},
	} {
		before := everything(s)
		for _, r := range routes() {
			p := c.v.do(r.method, r.path("acme", mine.ID.String()), with(r.form, "csrf", "x", "once", strings.Repeat("z", 22))).want(c.status)
			p.hasNot("Theirs", mine.ID.String())
		}
		if after := everything(s); after != before {
			t.Errorf("%s: was\n%s, is\n%s", name, before, after)
		}
	}
}

func TestNoSuchWorkspace(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	for _, ws := range []string{"none", authz.Home, "ACME", "acme%2f", "-", strings.Repeat("a", 64), "%00", "link", "assets"} {
		for _, r := range routes() {
			v.do(r.method, r.path(ws, unknownID), r.form).want(http.StatusNotFound)
		}
		v.get("/portal/" + ws + "/logo.png").want(http.StatusNotFound)
		v.get("/portal/" + ws + "/theme.css").want(http.StatusNotFound)
	}
}

// A workspace's id may be a fixed segment of the portal's paths.
func TestWorkspacesOfOurPathsNames(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, id := range []string{"link", "assets", "logout"} {
		_, err := s.CreateWorkspace(t.Context(), authz.WorkspaceRequest{ID: id})
		check(t, err)
		v := s.owner(id, "cust_1")
		v.get("/portal/" + id).want(http.StatusSeeOther).leadsTo("/portal/" + id + "/keys")
		v.get("/portal/" + id + "/keys").want(http.StatusOK)
		v.get("/portal/" + id + "/history").want(http.StatusOK)
	}
}

func TestNoSuchPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	k := v.create()
	upper := strings.ToUpper(k.ID.String())
	for _, path := range []string{
		"/portal/x", "/portal/acme/x", "/portal/acme/keys/x", "/portal/acme/keys/urn:uuid:" + k.ID.String(),
		"/portal/acme/keys/" + k.ID.String() + "/live/x", "/portal/assets/none.css", "/portal/assets/", "/portal/link/", "/portal/link/short",
		"/portal/acme/keys?q=" + strings.Repeat("a", 256), "/portal/acme/keys?q=%ff", "/portal/acme/keys/" + k.ID.String() + "/",
	} {
		v.get(path).want(http.StatusNotFound).has("Page not found")
	}
	v.get("/portal/acme/keys/" + upper).want(http.StatusOK)
	for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS"} {
		v.do(method, keyPath(k), nil).want(http.StatusNotFound)
	}
}

// The page outside of any workspace explains how to reach a workspace, but lists none.
func TestTheDoor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, path := range []string{"/portal", "/portal/"} {
		s.stranger().get(path).want(http.StatusOK).has("You can open your keys with a link").hasNot("acme", "other", "Log out")
		p := s.owner("acme", "cust_1").get(path).want(http.StatusOK).has("Continue to your page").hasNot("other")
		if !strings.Contains(p.body, `class="button" href="/portal/acme/keys"`) {
			t.Error("there is no way on")
		}
	}
	s.stranger().get("/portal/?lang=de").want(http.StatusOK).has("Sie erreichen Ihre Schlüssel")
	s.stranger().do("POST", "/portal/", url.Values{}).want(http.StatusNotFound)
}

// An address with empty segments or dots redirects to the clean one, with all header fields of the
// portal.
func TestUntidyAddresses(t *testing.T) {
	t.Parallel()
	s := newSite(t, publicURL+"/burnkey")
	link := strings.TrimPrefix(s.link("acme", authz.LinkRequest{Owner: "cust_1"}), "/burnkey")
	secret := link[len("/portal/link/"):]
	for path, to := range map[string]string{
		"/portal//link/" + secret:     "/burnkey/portal/link/" + secret,
		"/portal/./acme//keys?q=a%2F": "/burnkey/portal/acme/keys?q=a%2F",
		"/portal/acme/x/../keys/":     "/burnkey/portal/acme/keys/",
		"/portal//":                   "/burnkey/portal/",
	} {
		s.stranger().get(path).want(http.StatusSeeOther).leadsTo(to)
	}
	for _, path := range []string{"/portal/../v1/workspaces", "/portal/..//evil.example/", "/portal/acme/../..//evil.example"} {
		s.stranger().get(path).want(http.StatusNotFound)
	}
	s.stranger().do("POST", "/portal//logout", url.Values{}).want(http.StatusNotFound)
	s.stranger().get(link).want(http.StatusSeeOther) // it is still good
}
