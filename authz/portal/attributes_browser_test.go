package portal_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/portal/portaltest"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Owners change a key and ask for a plan, and an operator approves, in light and dark, on a small screen, and without JavaScript.
func TestOwnersChangeKeysInABrowser(t *testing.T) {
	t.Parallel()
	s, url := served(t)
	s.plans("free", "pro")
	for name, o := range kindsOfBrowser {
		t.Run(name, func(t *testing.T) {
			s.t = t
			k := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Web shop"})
			p := portaltest.NewPage(t, o)
			secret, _, err := s.PortalLink(t.Context(), "acme", authz.LinkRequest{Owner: "cust_1"})
			check(t, err)
			if status := p.Open(s.PortalLinkURL(secret)); status != http.StatusOK {
				t.Fatalf("the link answers %d", status)
			}
			p.Follow("a[href$='" + k.ID.String() + "']")
			sound(t, p, "a key")
			form := func(action string) string { return "form[action$='/" + action + "'] " }
			open := func(action string) {
				if o.NoJavaScript {
					return
				}
				p.Click("div:has(> dialog " + form(action) + ") > button")
				sound(t, p, "the dialog "+action)
			}
			open("addresses")
			p.Fill("#addresses", "192.0.2.300")
			p.Follow(form("addresses") + "button.main")
			sound(t, p, "an invalid address")
			p.Fill("#addresses", "192.0.2.7\n2001:db8::/32")
			p.Follow(form("addresses") + "button.main")
			sound(t, p, "addresses")
			open("expiry")
			p.Fill("#date", "2026-03-20")
			p.Follow(form("expiry") + "button.main")
			sound(t, p, "another expiry")
			open("scopes")
			p.Check("#scopes", true)
			p.Follow(form("scopes") + "button.main")
			if now := s.present(k); len(now.AllowedIPs) != 2 || now.ExpiresAt.Day() != 20 || len(now.Scopes) != 1 {
				t.Errorf("it is %+v", now)
			}
			open("pause")
			p.Fill("#reason", "lost laptop")
			p.Follow(form("pause") + "button.danger")
			sound(t, p, "a paused key")
			if s.published(k) || s.status(k) != store.Suspended || p.Count(".badge.suspended") != 1 {
				t.Error("the paused key is", s.status(k))
			}
			p.Follow(form("resume") + "button")
			sound(t, p, "a resumed key")
			if !s.published(k) {
				t.Error("verifiers do not find the resumed key")
			}
			open("request-plan")
			p.Check("input[name=plan][value=pro]", true)
			p.Fill("#plan-reason", "more maps")
			p.Follow(form("request-plan") + "button.main")
			sound(t, p, "a request")

			secret, _, err = s.PortalLink(t.Context(), "acme", authz.LinkRequest{Role: store.RoleOperator, Subject: "staff"})
			check(t, err)
			p.Open(s.PortalLinkURL(secret))
			p.Open(url + requestsPath)
			sound(t, p, "requests")
			request := form("requests/" + s.asked().ID.String())
			p.Fill(request+"input[name=answer]", "welcome")
			p.Follow(request + "button[value=approved]")
			sound(t, p, "no requests")
			if now := s.present(k); now.Plan != "pro" {
				t.Errorf("the plan is %q", now.Plan)
			}
			p.Open(url + anyPath(k))
			sound(t, p, "an approved request")
			s.left(k, store.Left{
				On: jwks.OnPlan, Limit: jwks.Limit{Name: "burst", Requests: 100, Seconds: 60}, Remaining: 37,
				ResetAt: s.clock().Add(time.Minute),
			})
			p.Open(url + anyPath(k))
			sound(t, p, "what is left")
			if p.Count("meter[value='37'][max='100']") != 1 || !strings.Contains(p.Text(".limits"), "37") {
				t.Errorf("what is left is not seen: %s", p.Text(".limits"))
			}
			name := fmt.Sprintf("gold-%d", o.Width)
			p.Open(url + plansPath)
			sound(t, p, "plans")
			p.Fill("#name", name)
			p.Fill("#limits", "burst")
			p.Follow("form.stack button.main")
			sound(t, p, "an invalid rule")
			p.Fill("#limits", "burst 1000 60")
			p.Follow("form.stack button.main")
			sound(t, p, "a plan")
			if status := p.Open(url + plansPath + "/" + name); status != http.StatusOK {
				t.Errorf("the plan answers %d", status)
			}
			open("delete")
			p.Follow("button.danger")

			p.Open(url + anyPath(k))
			open("plan")
			p.Choose("#plan", "free")
			p.Follow(form("plan") + "button.main")
			if now := s.present(k); now.Plan != "free" {
				t.Errorf("the plan is %q", now.Plan)
			}
		})
	}
}
