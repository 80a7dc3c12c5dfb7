package portal_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/portal/portaltest"
	"github.com/burnkey/burnkey/store"
)

// served returns a site that a real browser can reach, with keys of two owners.
func served(t *testing.T) (s *site, url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	url = "http://" + listener.Addr().String()
	s = newSite(t, url)
	s.withHome()
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}}
	server.Start()
	t.Cleanup(server.Close)
	portal := policyOf(s, "acme")
	portal.Accent = "#ffd400"
	portal.OIDC = &store.OIDC{Issuer: "https://login.example.test", ClientID: "portal", OwnerClaim: "org"}
	s.update("acme", func(set *store.Workspace) {
		set.Portal = portal
		set.Policy = store.Policy{Scopes: []store.OfferedScope{{Name: "maps:read", Description: "See maps"}}}
	})
	for i := range 30 {
		s.issue("acme", authz.IssueRequest{
			Owner: fmt.Sprintf("cust_%d", i%2), Name: fmt.Sprintf("Key %d", i), Scopes: []string{"maps:read"}, Claims: []byte(`{"plan":"gold"}`),
		})
	}
	s.used("acme", s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "In use"}))
	return s, url
}

// sound checks the rules that every page must follow.
func sound(t *testing.T, p *portaltest.Page, what string) {
	t.Helper()
	for _, violation := range p.Axe() {
		t.Errorf("%s: %s", what, violation)
	}
	if wide := p.Overflow(); wide > 0 {
		t.Errorf("%s: is %d pixels too wide", what, wide)
	}
	for _, problem := range p.Problems() {
		if !strings.Contains(problem.Text, "status of 4") { // the test causes these
			t.Errorf("%s: %+v", what, problem)
		}
	}
	for _, url := range p.Requests() {
		if !strings.HasPrefix(url, "http://127.0.0.1:") {
			t.Errorf("%s: loads %s", what, url)
		}
	}
}

// kindsOfBrowser are those in which every page must be usable.
var kindsOfBrowser = map[string]portaltest.PageOptions{
	"light":              {},
	"dark, on a phone":   {Dark: true, Width: 320, Height: 640, Mobile: true},
	"without JavaScript": {NoJavaScript: true, Width: 360, Locale: "de"},
}

// An operator can use all pages in light and dark, on a small screen, and without JavaScript.
func TestOperatorsInABrowser(t *testing.T) {
	t.Parallel()
	s, url := served(t)
	for name, o := range kindsOfBrowser {
		t.Run(name, func(t *testing.T) {
			s.t = t
			k := s.issue("acme", authz.IssueRequest{Owner: "cust_9", Name: "Leaked"})
			token := s.minter.last()
			s.issue("acme", authz.IssueRequest{Owner: "cust_9", Name: "Other"})
			secret, _, err := s.PortalLink(t.Context(), "acme", authz.LinkRequest{Role: store.RoleOperator, Subject: "staff"})
			check(t, err)
			p := portaltest.NewPage(t, o)
			if status := p.Open(s.PortalLinkURL(secret)); status != http.StatusOK {
				t.Fatalf("the link answers %d", status)
			}
			walk(t, s, p, url+"/portal/acme/operator", k, token, !o.NoJavaScript)
			look := func(what string) { sound(t, p, what) }
			if o.NoJavaScript { // without JavaScript, the pages look the same as in the light scheme
				look = func(string) {}
			}
			walkSettings(t, s, p, url+settingsPath, look)
			secret, _, err = s.PortalLink(t.Context(), authz.Home, authz.LinkRequest{Role: store.RoleOperator, Subject: "chief"})
			check(t, err)
			p.Open(s.PortalLinkURL(secret))
			walkAll(t, p, url, k, !o.NoJavaScript, look)
		})
	}
}

func walk(t *testing.T, s *site, p *portaltest.Page, root string, k store.Key, token string, scripts bool) {
	t.Helper()
	sound(t, p, "the overview")
	if p.Count(".counts a") != 6 {
		t.Error("the overview has other counts")
	}
	p.Open(root + "/keys")
	sound(t, p, "all keys")
	p.Open(root + "/keys?sort=name&size=50&col=none&col=owner&col=scopes&col=id&status=active")
	sound(t, p, "a table with other columns")
	if n := p.Count(".dense thead th"); n != 5 || p.Count(".dense [aria-sort=ascending]") != 1 {
		t.Errorf("%d columns", n)
	}
	if scripts {
		tableByKeyboard(t, p, root)
	}
	p.Open(root + "/keys")
	p.Click("details:not(.columns) > summary")
	p.Fill("#pasted", "nonsense")
	p.Follow("form[action$='/find'] button")
	sound(t, p, "no token")
	p.Fill("#pasted", "Authorization: Bearer "+token)
	p.Follow("form[action$='/find'] button")
	if !strings.HasPrefix(p.URL(), root+"/keys/"+k.ID.String()+"?") || p.Count(".box.good") != 1 {
		t.Fatalf("the token leads to %s", p.URL())
	}
	sound(t, p, "a key")
	if scripts {
		p.Click("section.risk [data-dialog] > button")
		if e := p.Focused(); e.Role != "textbox" {
			t.Errorf("the dialog's focus is on %+v", e)
		}
		sound(t, p, "the dialog")
	}
	p.Fill("#confirm", "wrong")
	p.Follow("section.risk button.danger")
	sound(t, p, "not confirmed")
	p.Fill("#confirm", "Leaked")
	p.Follow("section.risk button.danger")
	sound(t, p, "a revoked key")
	if s.status(k) != store.Revoked {
		t.Error("the key works")
	}

	p.Open(root + "/revoke")
	sound(t, p, "which keys")
	p.Fill("#owner", "cust_9")
	p.Follow("form.filter button")
	sound(t, p, "what would go")
	p.Fill("#number", "7")
	p.Follow("button.danger")
	sound(t, p, "not their number")
	p.Fill("#number", "1")
	p.Follow("button.danger")
	sound(t, p, "what is gone")
	if live, _, err := s.Keys(t.Context(), "acme", store.Filter{Owner: "cust_9", Live: true, Limit: 9}); err != nil || len(live) > 0 {
		t.Errorf("%d keys work, %v", len(live), err)
	}

	p.Open(root + "/revoke?owner=cust_1&do=expiry")
	sound(t, p, "a change needs its value")
	p.Fill("#value", "2026-03-20")
	p.Follow("form.filter button")
	sound(t, p, "what would change")
	p.Open(root + "/keys?owner=cust_1")
	p.Check("#tick-0", true)
	p.Check("#tick-2", true)
	p.Follow("form[aria-label]:not(.filter) > .actions button")
	if got := p.Count("main li"); got != 2 {
		t.Errorf("%d keys would go", got)
	}
	for _, path := range []string{
		"/keys?q=none", "/owner?owner=cust_1", "/keys/new?owner=cust_1", "/audit", "/audit?since=2026-01-01&result=refused", "/audit?key=x",
		"/settings",
		"/none", "/revoke?unused=3",
	} {
		p.Open(root + path)
		sound(t, p, path)
	}
	p.Open(strings.TrimSuffix(root, "/operator") + "/keys")
	sound(t, p, "an owner's page")
	p.Follow("main a.button")
	if p.URL() != root+"/overview" {
		t.Errorf("the way back leads to %s", p.URL())
	}
}

// walkSettings saves the settings, with valid and with invalid values.
func walkSettings(t *testing.T, s *site, p *portaltest.Page, settings string, look func(what string)) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "logo.png")
	check(t, os.WriteFile(file, logoOf(t, 300), 0o600)) // too large
	const policy, picture = "form[action$='/policy'] button", "form[action$='/look'] button"
	p.Open(settings)
	look("settings")
	p.Fill("#scopes", "maps:read Look at maps\nmaps:write")
	p.Fill("#max", "many")
	p.Follow(policy)
	look("wrong rules")
	p.Fill("#max", "12")
	p.Choose("[name=max_unit]", "hours")
	p.Follow(policy)
	if p.Count(".box.good") != 1 || p.Value("#scopes") != "maps:read Look at maps\nmaps:write" || s.acme().Policy.MaxExpiresIn != 12*3600 {
		t.Errorf("the rules are %+v", s.acme().Policy)
	}
	p.Fill("#accent", "pink")
	p.Attach("#logo", file)
	p.Follow(picture)
	if p.Count("#accent-fault, #logo-fault") != 2 {
		t.Error("a fault is not shown at its field")
	}
	look("a wrong look")
	check(t, os.WriteFile(file, logoOf(t, 64), 0o600))
	p.Fill("#accent", "#AA3355")
	p.Attach("#logo", file)
	p.Follow(picture)
	look("another look")
	if p.Count(".brand img") != 1 || s.acme().Portal.Accent != "#aa3355" {
		t.Error("the look is as before")
	}
	p.Fill("#perowner", "7")
	rules := s.acme().Policy
	rules.KeysPerOwner, rules.MaxExpiresIn = 3, 0
	s.update("acme", func(set *store.Workspace) { set.Policy = rules })
	p.Follow(policy)
	look("somebody was quicker")
	if p.Value("#perowner") != "3" || s.acme().Policy.KeysPerOwner != 3 {
		t.Error("somebody else's change is undone")
	}
	p.Check("#nologo", true)
	p.Follow(picture)
	if p.Count(".brand img") != 0 {
		t.Error("the logo stays")
	}
}

// walkAll visits the pages of all workspaces, then one workspace, and returns.
func walkAll(t *testing.T, p *portaltest.Page, url string, k store.Key, scripts bool, look func(what string)) {
	t.Helper()
	look("all workspaces")
	if scripts && p.Count("html[lang=en]") == 1 {
		p.Reload()
		order(t, p, "Skip to content", "All workspaces", "Audit log", "Log out", "Name or ID", "Search",
			"Find a key in any workspace", "The acme", "The other", "English", "Deutsch")
	}
	p.Fill("#q", "oth")
	p.Follow("form.filter button")
	look("workspaces that were found")
	p.Open(url + allPath + "?q=none")
	look("no workspace")
	p.Click("summary")
	p.Fill("#pasted", k.ID.String())
	p.Follow("form[action$='/find'] button")
	look("a key of some workspace")
	if !strings.HasPrefix(p.URL(), url+anyPath(k)+"?") {
		t.Errorf("the id leads to %s", p.URL())
	}
	p.Open(url + "/portal/burnkey/operator/audit")
	look("the audit of all workspaces")
	p.Open(url + "/portal/burnkey/operator/keys")
	look("management keys")
	p.Open(url + settingsPath)
	look("settings, from above")
	p.Follow(".back a")
	if p.URL() != url+allPath {
		t.Errorf("the way back leads to %s", p.URL())
	}
}

// tableByKeyboard goes through the table with Tab, selects a key with the space bar, and sorts with Enter.
func tableByKeyboard(t *testing.T, p *portaltest.Page, root string) {
	t.Helper()
	p.Open(root + "/keys?owner=cust_9&q=Leaked&status=active")
	order(t, p, "Skip to content")
	p.Press("Enter")
	order(t, p, "Create key", "Name, owner, ID or kid", "Owner", "Status", "Keys per page", "Columns", "Search", "Show all",
		"Find a key by its text", "Everything about cust_9", "Revoke all keys of cust_9…",
		"Keys, as a table", "Name", "Owner", "Created", "Expires", "Last used")
	p.Press("Tab")
	p.Press("Space")
	if name := p.Focused().Name; p.Count("#tick-0:checked") != 1 || !strings.HasPrefix(name, "Select “Leaked”") {
		t.Errorf("the space bar does not select the key, but presses %s", name)
	}
	order(t, p, "Leaked", "cust_9", "Change the selected keys…")
	p.Press("Enter")
	p.WaitURL(root + "/revoke*")
	if got := p.Count("main li"); got != 1 {
		t.Errorf("%d keys would change", got)
	}
}

// order checks the names of the elements that Tab focuses, in order.
func order(t *testing.T, p *portaltest.Page, want ...string) {
	t.Helper()
	var got []string
	for range want {
		p.Press("Tab")
		got = append(got, p.Focused().Name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: the order is %q, want %q", p.URL(), got, want)
	}
}
