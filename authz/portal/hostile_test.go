package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
)

// Another site's form is sent without the session cookie (SameSite). The answer must not delete the
// cookie.
func TestAnotherSiteLogsNobodyOut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, header := range map[string]http.Header{
		"another site":    {"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}},
		"an opaque frame": {"Origin": {"null"}, "Sec-Fetch-Site": {"cross-site"}},
		"it does not say": {"Origin": nil, "Sec-Fetch-Site": nil},
	} {
		v := s.stranger()
		v.header = header
		if p := v.do(http.MethodPost, "/portal/logout", url.Values{}); len(p.Result().Cookies()) > 0 {
			t.Errorf("%s: it sets %v", name, p.Result().Cookies())
		}
	}
	// A second logout is accepted.
	s.stranger().do(http.MethodPost, "/portal/logout", url.Values{}).want(http.StatusOK)
}

// Browsers omit a default port in the Origin header (RFC 6454 section 6.2); the public URL may have it.
func TestPublicURLWithTheUsualPort(t *testing.T) {
	t.Parallel()
	for public, origin := range map[string]string{
		"https://keys.example.test:443": "https://keys.example.test", "http://localhost:80": "http://localhost",
		"https://KEYS.example.test": "https://keys.example.test", "https://keys.example.test:80": "https://keys.example.test:80",
		"http://[::1]:80": "http://[::1]",
	} {
		s := newSite(t, public)
		v := s.stranger()
		v.header = http.Header{"Origin": {origin}}
		if p := v.do(http.MethodPost, "/portal/logout", url.Values{}); len(p.Result().Cookies()) == 0 {
			t.Errorf("%s: what comes from %s is foreign", public, origin)
		}
	}
}

// Text that a person typed is shown unchanged, even if it contains a placeholder of the message.
func TestNamesAreNoPlacesInMessages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	for _, name := range []string{"{id}", "{n}{name}", "a {id} b"} {
		k := v.create("name", name)
		v.get(keyPath(k)).want(http.StatusOK).has("type the name “" + name + "”")
	}
}

// A name in a right-to-left script does not reorder the text around it.
func TestTextFromTheRight(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const name, owner = "מפות 2", "عميل 7"
	v, operator := s.owner("acme", owner), s.operator("acme")
	k := s.issue("acme", authz.IssueRequest{Owner: owner, Name: name})
	const own, ofOwner = "<bdi>" + name + "</bdi>", "<bdi>" + owner + "</bdi>"
	for path, c := range map[string]struct {
		*visitor
		want []string
	}{
		"/portal/acme/keys":                       {v, []string{own, "Keys of \u2068" + owner + "\u2069"}},
		keyPath(k):                                {v, []string{own, "the name “\u2068" + name + "\u2069” or"}},
		"/portal/acme/history":                    {v, []string{own}},
		"/portal/acme/operator/keys":              {operator, []string{own, ofOwner, "Select “\u2068" + name + "\u2069” ("}},
		anyPath(k):                                {operator, []string{own, ofOwner}},
		"/portal/acme/operator/audit":             {operator, []string{own, ofOwner}},
		many + "?owner=" + url.QueryEscape(owner): {operator, []string{own, ofOwner}},
	} {
		p := c.get(path).want(http.StatusOK)
		for _, want := range c.want {
			if !strings.Contains(p.body, want) {
				t.Errorf("%s: has no %q: %s", path, want, p.told())
			}
		}
	}
	v.post(keyPath(k), keyPath(k, "revoke"), url.Values{"confirm": {"\u2068" + name + "\u2069 "}}).want(http.StatusSeeOther)
}
