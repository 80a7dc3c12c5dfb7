package portal_test

import (
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/portal/portaltest"
	"github.com/burnkey/burnkey/store"
)

// Every page shows times in UTC and in the date format of its language. A key's last day is the day that
// was picked, in every time zone. The element's title has the reader's local time.
func TestOneDateOfAKey(t *testing.T) {
	t.Parallel()
	s, url := served(t) // on 4 March, at noon
	for name, c := range map[string]struct {
		o                        portaltest.PageOptions
		created, moment, expires string
		last, here               string
	}{
		"far east": {
			portaltest.PageOptions{Zone: "Pacific/Auckland"},
			"4 March 2026 UTC", "4 March 2026, 12:00 UTC", "20 March 2026 UTC", "20 March 2026, 23:59 UTC", "5 March 2026, 01:00 GMT+13",
		},
		"far west, German": {
			portaltest.PageOptions{Zone: "Pacific/Honolulu", Locale: "de"},
			"4. März 2026 UTC", "4. März 2026, 12:00 Uhr UTC", "20. März 2026 UTC", "20. März 2026, 23:59 Uhr UTC", "4. März 2026, 02:00 GMT-10",
		},
		"without JavaScript": {
			portaltest.PageOptions{Zone: "Pacific/Honolulu", NoJavaScript: true},
			"4 March 2026 UTC", "4 March 2026, 12:00 UTC", "20 March 2026 UTC", "20 March 2026, 23:59 UTC", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			p := portaltest.NewPage(t, c.o)
			shows := func(path string, texts ...string) {
				t.Helper()
				p.Open(url + path)
				for i, want := range texts {
					if got := p.Text("main time >> nth=" + string(rune('0'+i))); got != want {
						t.Errorf("%s shows %q, want %q", path, got, want)
					}
				}
			}
			p.Open(publicLink(s, authz.LinkRequest{Owner: "cust_1"}))
			p.Open(url + "/portal/acme/keys/new")
			p.Fill("#name", "Picked")
			p.Check("#expiry-date", true)
			p.Fill("#date", "2026-03-20")
			p.Follow("button.main")
			k := s.newestOf("cust_1")
			if !k.ExpiresAt.Equal(time.Date(2026, 3, 20, 23, 59, 59, 0, time.UTC)) {
				t.Errorf("it expires at %s", k.ExpiresAt)
			}
			shows("/portal/acme/keys", c.created, c.expires)
			shows(keyPath(k), c.moment, c.last)
			if title, _ := p.Attribute("main time >> nth=0", "title"); title != c.here {
				t.Errorf("the title is %q, want %q", title, c.here)
			}
			shows("/portal/acme/history", c.moment)
			p.Open(publicLink(s, authz.LinkRequest{Role: store.RoleOperator, Subject: "staff"}))
			shows("/portal/acme/operator/keys?owner=cust_1", c.created, c.expires)
			shows(anyPath(k), c.moment, c.last)
			shows(many+"?owner=cust_1", c.created)
			if !c.o.NoJavaScript {
				sound(t, p, name)
			}
		})
	}
}

// A key's last day is the day that was picked, even if minting takes a while.
func TestThePickedDayIsTheLast(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	s.minter.late = func() { s.advance(time.Minute) }
	k := v.create("expiry", "date", "date", "2026-03-20")
	if !k.ExpiresAt.Equal(time.Date(2026, 3, 20, 23, 59, 59, 0, time.UTC)) {
		t.Errorf("it expires at %s", k.ExpiresAt)
	}
	for _, path := range []string{"/portal/acme/keys", keyPath(k)} {
		if p := v.get(path).has("20 March 2026"); strings.Contains(p.text(), "21 March") {
			t.Errorf("%s: shows another day", path)
		}
	}
	// The picked day ends while the key waits to be minted.
	s.advance(time.Date(2026, 3, 4, 23, 59, 30, 0, time.UTC).Sub(s.clock()))
	v = s.owner("acme", "cust_1")
	v.post("/portal/acme/keys/new", "/portal/acme/keys",
		with(good, "expiry", "date", "date", "2026-03-04")).want(422).has("must expire in the future")
}

// If the longest allowed lifetime ends before today does, no date is offered.
func TestNoDayToPick(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	v.get("/portal/acme/keys/new").want(200).has("On a date")
	s.update("acme", func(w *store.Workspace) { w.Policy.MaxExpiresIn = 3600 })
	v.get("/portal/acme/keys/new").want(200).has("1 hour").hasNot("On a date", `type="date"`)
}

func (s *site) newestOf(owner string) store.Key {
	s.t.Helper()
	keys, _, err := s.Keys(s.t.Context(), "acme", store.Filter{Owner: owner, Limit: 1})
	check(s.t, err)
	return keys[0]
}

// publicLink returns a link for a real browser.
func publicLink(s *site, r authz.LinkRequest) string {
	s.t.Helper()
	secret, _, err := s.PortalLink(s.t.Context(), "acme", r)
	check(s.t, err)
	return s.PortalLinkURL(secret)
}
