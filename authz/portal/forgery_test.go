package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// A form is refused if it was not sent from a page of the same session.
func TestForeignForms(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	k := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Theirs"})
	csrf := v.get("/portal/acme/keys/new").hidden("csrf")
	others := s.owner("acme", "cust_1").get("/portal/acme/keys/new").hidden("csrf")
	if csrf == "" || csrf == others {
		t.Fatalf("the fields are %q and %q", csrf, others)
	}
	for name, c := range map[string]struct {
		csrf   []string
		header http.Header
	}{
		"without the field":      {nil, nil},
		"an empty field":         {[]string{""}, nil},
		"another session's":      {[]string{others}, nil},
		"the secret itself":      {[]string{v.cookie.Value}, nil},
		"the right one second":   {[]string{"x", csrf}, nil},
		"a foreign origin":       {[]string{csrf}, http.Header{"Origin": {"https://evil.example"}}},
		"our host without TLS":   {[]string{csrf}, http.Header{"Origin": {strings.Replace(publicURL, "https", "http", 1)}}},
		"our host, another port": {[]string{csrf}, http.Header{"Origin": {publicURL + ":8443"}}},
		"a longer host":          {[]string{csrf}, http.Header{"Origin": {publicURL + ".evil.example"}}},
		"a null origin":          {[]string{csrf}, http.Header{"Origin": {"null"}}},
		"an empty origin":        {[]string{csrf}, http.Header{"Origin": {""}}},
		"two origins":            {[]string{csrf}, http.Header{"Origin": {publicURL, publicURL}}},
		"another site":           {[]string{csrf}, http.Header{"Sec-Fetch-Site": {"cross-site"}}},
		"the same site":          {[]string{csrf}, http.Header{"Sec-Fetch-Site": {"same-site"}}},
		"no site, no origin":     {[]string{csrf}, http.Header{"Sec-Fetch-Site": {}, "Origin": {}}},
		"by hand":                {[]string{csrf}, http.Header{"Sec-Fetch-Site": {"none"}, "Origin": {}}},
	} {
		before := everything(s)
		v.header = http.Header{}
		if c.header != nil {
			v.header = c.header
		}
		for _, r := range append(routes(), route{method: "POST", path: func(string, string) string { return "/portal/logout" }}) {
			if r.method != "POST" {
				continue
			}
			form := with(r.form, "once", strings.Repeat("z", 22))
			if c.csrf != nil {
				form["csrf"] = c.csrf
			}
			v.do(r.method, r.path("acme", k.ID.String()), form).want(http.StatusForbidden).has("Nothing was changed")
		}
		if after := everything(s); after != before {
			t.Errorf("%s: was\n%s, is\n%s", name, before, after)
		}
	}
	// A csrf field in the query has no effect.
	v.header = http.Header{}
	v.do("POST", "/portal/acme/keys?csrf="+csrf, with(good, "once", strings.Repeat("z", 22))).want(http.StatusForbidden)
	// A browser may send only one of the two header fields.
	for _, header := range []http.Header{{"Origin": {}}, {"Sec-Fetch-Site": {}}} {
		v.header = header
		v.create()
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	csrf := v.get("/portal/acme/keys/new").hidden("csrf")
	v.do("POST", "/portal/acme/keys", url.Values{"csrf": {csrf}, "name": {strings.Repeat("a", 64<<10)}}).
		want(http.StatusRequestEntityTooLarge).
		has("Too much data")
	v.header = http.Header{"Content-Type": {"application/json"}}
	v.do("POST", "/portal/acme/keys", with(good, "csrf", csrf)).want(http.StatusForbidden)
	v.header = http.Header{"Content-Type": {"text/plain"}}
	v.do("POST", "/portal/acme/keys", with(good, "csrf", csrf)).want(http.StatusForbidden)
}

func TestLinks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	link := s.link("acme", authz.LinkRequest{Owner: "cust_1"})
	v := s.stranger()
	p := v.get(link).want(http.StatusSeeOther)
	set := p.Result().Header.Get("Set-Cookie")
	if set != "__Host-burnkey-acme="+v.cookie.Value+"; Path=/; HttpOnly; Secure; SameSite=Lax" {
		t.Errorf("the cookie is %q", set)
	}
	p.leadsTo("/portal/acme/keys")

	s.stranger().get(link).want(http.StatusGone).has("This link no longer works").hasNot("Go to your keys")
	v.get(link).want(http.StatusSeeOther).leadsTo("/portal/acme/keys") // the link of the same session
	late := s.link("acme", authz.LinkRequest{Owner: "cust_1"})
	s.advance(authz.DefaultLinkLife)
	s.stranger().get(late).want(http.StatusGone)
	s.stranger().get("/portal/link/" + strings.Repeat("A", 43)).want(http.StatusGone)
	s.stranger().get("/portal/link/" + strings.Repeat("A", 20) + "/" + strings.Repeat("A", 22)).want(http.StatusNotFound)
	if strings.Contains(s.log.String(), "link/") {
		t.Error("a link is in the log")
	}
}

func TestFraming(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	alone := v.get("/portal/acme/keys").want(200).Header()
	if !strings.HasSuffix(alone.Get("Content-Security-Policy"), "; frame-ancestors 'none'") || alone.Get("X-Frame-Options") != "DENY" {
		t.Errorf("without parents: %v", alone)
	}
	portal := policyOf(s, "acme")
	portal.FrameAncestors = []string{"https://app.example.test", "http://127.0.0.1:3000"}
	s.update("acme", func(set *store.Workspace) { set.Portal = portal })
	for _, path := range []string{"/portal/acme/keys", "/portal/acme/keys/new", "/portal/acme/none", "/portal/acme/keys/" + unknownID} {
		framed := v.get(path).Header()
		if path != "/portal/acme/none" && !strings.HasSuffix(framed.Get("Content-Security-Policy"),
			"; frame-ancestors https://app.example.test http://127.0.0.1:3000") {
			t.Errorf("%s: %v", path, framed)
		}
	}
	if other := s.owner("other", "cust_1").get("/portal/other/keys").Header(); other.Get("X-Frame-Options") != "DENY" {
		t.Error("another workspace may be framed, too")
	}

	frame := s.stranger()
	frame.header = http.Header{"Sec-Fetch-Dest": {"iframe"}}
	p := frame.get(s.link("acme", authz.LinkRequest{Owner: "cust_1"})).want(http.StatusSeeOther)
	if set := p.Result().Header.Get("Set-Cookie"); !strings.HasSuffix(set, "; Path=/; HttpOnly; Secure; SameSite=None; Partitioned") {
		t.Errorf("in a frame the cookie is %q", set)
	}
	frame.get("/portal/acme/keys").want(200)
	frame.post("/portal/acme/keys/new", "/portal/acme/keys", good).want(200)
	p = frame.post("/portal/acme/keys", "/portal/logout", nil).want(200)
	if set := p.Result().Header.Get("Set-Cookie"); !strings.Contains(set, "Max-Age=0") || !strings.Contains(set, "Partitioned") {
		t.Errorf("logged out by %q", set)
	}
	// If the workspace allows no frames, a link opened in a frame stays unused.
	nowhere := s.stranger()
	nowhere.header = frame.header
	link := s.link("other", authz.LinkRequest{Owner: "cust_1"})
	for range 2 {
		nowhere.get(link).want(http.StatusForbidden).has("This page can’t be embedded here", "The link is still unused")
	}
	if nowhere.cookie != nil || !strings.Contains(s.log.String(), "workspace=other") ||
		strings.Contains(s.log.String(), link[len("/portal/link/"):]) {
		t.Errorf("the cookie is %v, and the log %s", nowhere.cookie, s.log.String())
	}
	nowhere.header = nil
	p = nowhere.get(link).want(http.StatusSeeOther)
	if set := p.Result().Header.Get("Set-Cookie"); strings.Contains(set, "None") {
		t.Errorf("in no frame the cookie is %q", set)
	}
	used := s.stranger()
	used.header = frame.header
	used.get(link).want(http.StatusGone)
}

// A browser may send two cookies with the same name, as in a frame.
func TestTwoCookies(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	k := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Mine"})
	v, other := s.owner("acme", "cust_1"), s.owner("other", "cust_1")
	v.header = http.Header{"Cookie": {other.cookie.Name + "=" + other.cookie.Value}}
	v.get(keyPath(k)).want(200).has("Mine")
	v.get("/portal/other/keys").want(200).hasNot("Mine")
	v.header = http.Header{"Cookie": {strings.Repeat(v.cookie.Name+"="+strings.Repeat("A", 43)+"; ", 9) + "a=b"}}
	v.get(keyPath(k)).want(http.StatusUnauthorized)
}
