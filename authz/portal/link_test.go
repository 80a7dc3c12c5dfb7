package portal_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/portal/portaltest"
	"github.com/burnkey/burnkey/store"
)

// A request that is not a person's navigation gets a button, and the link stays valid.
func TestPreviewsLeaveLinksGood(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, header := range map[string]http.Header{
		"a previewer":      {"Sec-Fetch-Mode": nil, "Sec-Fetch-Dest": nil, "User-Agent": {"TelegramBot (like TwitterBot)"}},
		"prefetch":         {"Sec-Purpose": {"prefetch"}},
		"prerender":        {"Sec-Purpose": {"prefetch;prerender"}},
		"another prefetch": {"Purpose": {"prefetch"}},
		"an old one":       {"X-Moz": {"prefetch"}},
		"a thumbnail":      {"X-Purpose": {"preview"}},
		"a picture":        {"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}},
		"a script's":       {"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}},
		"an object":        {"Sec-Fetch-Dest": {"object"}},
		"no destination":   {"Sec-Fetch-Dest": nil},
		"no mode":          {"Sec-Fetch-Mode": nil},
	} {
		link := s.link("acme", authz.LinkRequest{Owner: "cust_1"})
		looks := s.stranger()
		looks.header = header
		for range 3 {
			p := looks.get(link).want(http.StatusOK).has("Log in", "The acme").hasNot("cust_1")
			if looks.cookie != nil || !strings.Contains(p.body, `<form method="post" action="`+link+`">`) {
				t.Errorf("%s: the cookie is %v: %s", name, looks.cookie, p.body)
			}
		}
		looks.do("HEAD", link, nil).want(http.StatusOK)
		s.stranger().get(link).want(http.StatusSeeOther).leadsTo("/portal/acme/keys")
		looks.get(link).want(http.StatusGone)
	}
	link := s.link("acme", authz.LinkRequest{Owner: "cust_1"})
	s.stranger().get(link + "?ask").want(http.StatusOK).has("Log in")
	if strings.Contains(s.log.String(), "link/") {
		t.Error("a link is in the log")
	}
}

// The button uses the link up, and works only on the portal's own page.
func TestTheButtonOfALink(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	link := s.link("acme", authz.LinkRequest{Owner: "cust_1"})
	for name, header := range map[string]http.Header{
		"another site's":  {"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}},
		"an opaque frame": {"Origin": {"null"}},
		"who doesn't say": {"Origin": nil, "Sec-Fetch-Site": nil},
	} {
		v := s.stranger()
		v.header = header
		if v.do("POST", link, url.Values{}).want(http.StatusForbidden); v.cookie != nil {
			t.Errorf("%s: a session", name)
		}
	}
	v := s.stranger()
	v.do("POST", link, url.Values{}).want(http.StatusSeeOther).leadsTo("/portal/acme/keys")
	v.get("/portal/acme/keys").want(http.StatusOK)
	v.do("POST", link, url.Values{}).want(http.StatusSeeOther).leadsTo("/portal/acme/keys")
	s.stranger().do("POST", link, url.Values{}).want(http.StatusGone)
	s.stranger().do("PUT", link, nil).want(http.StatusNotFound)
}

// A used link works only for a person who is logged in as its addressee.
func TestUsedLinks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	first, second := s.link("acme", authz.LinkRequest{Owner: "cust_1"}), s.link("acme", authz.LinkRequest{Owner: "cust_1"})
	s.stranger().get(first).want(http.StatusSeeOther)
	v := s.stranger()
	v.get(second).want(http.StatusSeeOther)
	for _, used := range []string{first, second} {
		v.get(used).want(http.StatusSeeOther).leadsTo("/portal/acme/keys")
	}
	s.owner("acme", "cust_2").get(first).want(http.StatusGone).has("Go to your keys")
	s.owner("other", "cust_1").get(first).want(http.StatusGone)
	s.operator("acme").get(first).want(http.StatusGone).has("Go to the overview")
	s.stranger().get(first).want(http.StatusGone).hasNot("Go to your keys")
}

// The link's button works without JavaScript, on a phone and in a frame, in both languages.
func TestTheButtonInABrowser(t *testing.T) {
	t.Parallel()
	s, _ := served(t)
	parent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		link, _ := url.QueryUnescape(r.URL.RawQuery)
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><title>Embeds</title><iframe src="` + link + `" width="340" height="700"></iframe>`))
	}))
	t.Cleanup(parent.Close)
	parent.URL = strings.Replace(parent.URL, "127.0.0.1", "localhost", 1) // another site
	portal := policyOf(s, "acme")
	portal.FrameAncestors = []string{parent.URL}
	s.update("acme", func(set *store.Workspace) { set.Portal = portal })
	for name, c := range map[string]struct {
		o    portaltest.PageOptions
		word string
	}{
		"light":                          {portaltest.PageOptions{}, "Log in"},
		"dark, on a phone, in German":    {portaltest.PageOptions{Width: 360, Height: 740, Mobile: true, Dark: true, Locale: "de"}, "Anmelden"},
		"without JavaScript, on a phone": {portaltest.PageOptions{Width: 360, Height: 740, NoJavaScript: true}, "Log in"},
	} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			p := portaltest.NewPage(t, c.o)
			p.Open(publicLink(s, authz.LinkRequest{Owner: "cust_1"}) + "?ask")
			if !c.o.NoJavaScript {
				sound(t, p, name)
			}
			p.Follow("button:has-text('" + c.word + "')")
			if !strings.HasSuffix(p.URL(), "/portal/acme/keys") {
				t.Errorf("it leads to %s", p.URL())
			}
			p.Open(parent.URL + "/?" + url.QueryEscape(publicLink(s, authz.LinkRequest{Owner: "cust_1"})+"?ask"))
			frame := p.Frame("iframe")
			frame.Click("button:has-text('" + c.word + "')")
			frame.Wait("footer :text('cust_1')")
		})
	}
}
