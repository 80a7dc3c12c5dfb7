package portal_test

import (
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/portal/portaltest"
	"github.com/burnkey/burnkey/store"
)

// An owner creates a key under a key and pauses and revokes both, in light and dark, on a small screen, and without JavaScript.
func TestKeysUnderAKeyInABrowser(t *testing.T) {
	t.Parallel()
	s, url := served(t)
	for name, o := range kindsOfBrowser {
		t.Run(name, func(t *testing.T) {
			s.t = t
			k := s.issue("acme", authz.IssueRequest{
				Owner: "cust_9", Name: "Main", Scopes: []string{"maps:read"}, AllowedIPs: []string{"10.0.0.0/8"},
			})
			p := portaltest.NewPage(t, o)
			secret, _, err := s.PortalLink(t.Context(), "acme", authz.LinkRequest{Owner: "cust_9"})
			check(t, err)
			p.Open(s.PortalLinkURL(secret))
			p.Open(url + keyPath(k))
			p.Follow("a.button[href$='" + k.ID.String() + "']")
			sound(t, p, "the form")
			p.Check("#expiry-date", true)
			p.Fill("#date", "2026-12-31")
			p.Fill("#addresses", "192.0.2.7")
			p.Follow("form.stack button.main")
			sound(t, p, "an invalid form")
			if n := p.Count(".box.bad a"); n != 2 {
				t.Errorf("%d faults", n)
			}
			p.Fill("#name", "Agent")
			p.Fill("#addresses", "10.1.2.3")
			p.Check("#scopes", true)
			p.Check("#expiry", true)
			p.Follow("form.stack button.main")
			sound(t, p, "the new key")
			agent := s.stranger().newest()
			if agent.Name != "Agent" || agent.Parent != k.ID || len(agent.Scopes) != 1 || agent.AllowedIPs[0].Bits() != 32 {
				t.Fatalf("it is %+v", agent)
			}
			p.Open(url + "/portal/acme/keys")
			sound(t, p, "the list")
			p.Open(url + keyPath(agent))
			sound(t, p, "a key under a key")
			p.Follow(".facts a[href$='" + k.ID.String() + "']")
			sound(t, p, "the parent")
			open := func(action string) string {
				form := "form[action$='/" + action + "']"
				if !o.NoJavaScript {
					p.Click("div:has(> dialog " + form + ") > button")
					sound(t, p, "the dialog "+action)
				}
				if p.Count(form+" strong") != 1 || !strings.Contains(p.Text(form+" strong"), "1 ") {
					t.Errorf("%s does not say how many keys: %s", action, p.Text(form))
				}
				return form + " button.danger"
			}
			p.Follow(open("pause"))
			p.Follow(".under a")
			sound(t, p, "a key paused with its parent")
			if p.Count("form[action$='/resume']") > 0 || s.status(agent) != store.Suspended {
				t.Error("it can be resumed without its parent, or its status is", s.status(agent))
			}
			p.Follow(".box.warn a[href$='" + k.ID.String() + "']")
			p.Follow("form[action$='/resume'] button")
			do := open("revoke")
			p.Fill("#confirm", "Main")
			p.Follow(do)
			if s.status(k) != store.Revoked || s.status(agent) != store.Revoked || p.Count(".under") > 0 {
				t.Errorf("they are %s and %s", s.status(k), s.status(agent))
			}
		})
	}
}
