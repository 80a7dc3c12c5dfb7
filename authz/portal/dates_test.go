package portal_test

import (
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/portal/portaltest"
	"github.com/burnkey/burnkey/store"
)

// A key has one date on all pages, in the order of the page's language: that of the reader's
// zone, which is named where there is a time of day, or of UTC without JavaScript.
func TestOneDateOfAKey(t *testing.T) {
	s, url := served(t) // on 4 March, at noon
	browser := portaltest.NewBrowser(t)
	k := s.newestOf("cust_1")
	for name, c := range map[string]struct {
		o           portaltest.PageOptions
		day, moment string
	}{
		"far ahead":          {portaltest.PageOptions{Zone: "Pacific/Auckland"}, "5 March 2026", "5 March 2026, 01:00 GMT+13"},
		"far ahead, German":  {portaltest.PageOptions{Zone: "Pacific/Auckland", Locale: "de"}, "5. März 2026", "5. März 2026, 01:00 GMT+13"},
		"without JavaScript": {portaltest.PageOptions{Zone: "Pacific/Auckland", NoJavaScript: true}, "4 March 2026", "4 March 2026, 12:00 UTC"},
	} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			p := browser.Page(t, c.o)
			shows := func(path, first string) {
				t.Helper()
				if p.Open(url + path); p.Text("main time >> nth=0") != first {
					t.Errorf("%s shows %q, want %q", path, p.Text("main time >> nth=0"), first)
				}
			}
			p.Open(publicLink(s, authz.LinkRequest{Owner: "cust_1"}))
			shows("/portal/acme/keys", c.day)
			shows(keyPath(k), c.moment)
			shows("/portal/acme/history", c.moment)
			p.Open(publicLink(s, authz.LinkRequest{Role: store.RoleOperator, Subject: "staff"}))
			shows("/portal/acme/operator/keys?owner=cust_1", c.day)
			shows(anyPath(k), c.moment)
			shows(many+"?owner=cust_1", c.day)
			if !c.o.NoJavaScript {
				sound(t, p, name)
			}
		})
	}
}

func (s *site) newestOf(owner string) store.Key {
	s.t.Helper()
	keys, err := s.Keys(s.t.Context(), "acme", store.Filter{Owner: owner, Limit: 1})
	check(s.t, err)
	return keys[0]
}

// publicLink is one as a browser opens it.
func publicLink(s *site, r authz.LinkRequest) string {
	s.t.Helper()
	secret, _, err := s.PortalLink(s.t.Context(), "acme", r)
	check(s.t, err)
	return s.PortalLinkURL(secret)
}
