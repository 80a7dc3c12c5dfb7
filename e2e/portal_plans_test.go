package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz/portal/portaltest"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

// TestE2EPortalPlans checks that an owner sees what is left of a quota, gets a plan on request and pauses the key, each with
// its effect at the gateway.
func TestE2EPortalPlans(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	keepsItsMonth(t)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	for name, requests := range map[string]int{"free": 5, "pro": 1000} {
		check(t, admin.call(http.MethodPost, "/v1/workspaces/acme/plans", map[string]any{"name": name, "limits": month(requests)}, nil))
	}
	k := admin.mustIssue(t, "acme", "name", "Web shop", "plan", "free")
	a := startAsked(t, s, "--key-file", gatewayKey(t, admin, map[string]any{}), "--usage-every", "1s")
	g := startEnvoy(t, "--mode", "gateway", "--gateway", a.addr)
	eventually(t, "the key is known", func() bool { return g.get(t, k.Token) == http.StatusOK })

	owner := newCustomer(t, portaltest.PageOptions{})
	owner.Open(admin.portalLink(t, "acme", "cust_1"))
	page := s.url + "/portal/acme/keys/" + k.ID
	shows := func(text string) {
		t.Helper()
		eventually(t, text, func() bool {
			owner.Open(page)
			return owner.Count("li:has(meter):has-text('"+text+"')") == 1
		})
	}
	shows("4 of 5 left")
	owner.look("left")
	if n := g.passed(t, k, 8); n != 4 {
		t.Errorf("%d more requests pass, want 4 of the quota of 5", n)
	}
	shows("0 of 5 left")

	owner.does("Request a plan…", "Send request", func() { owner.Check("input[value=pro]", true) })
	owner.WaitText("main", "Request sent.")
	operator := newCustomer(t, portaltest.PageOptions{})
	operator.Open(admin.portalLink(t, "acme", "", "role", "operator", "subject", "jane"))
	operator.Follow(portaltest.Role("link", "Requests"))
	operator.look("requests")
	operator.Follow(portaltest.Role("button", "Approve"))
	operator.WaitText("main", "Request approved, and the key changed.")
	raised := g.until(t, time.Now(), http.StatusOK, k.Token, patience)
	t.Logf("the plan helped %s after the approval was shown", raised)

	owner.Open(page)
	owner.WaitText("main", "Request approved")
	owner.does("Pause this key…", "Pause key", nil)
	g.until(t, time.Now(), http.StatusUnauthorized, k.Token, patience)
	owner.Follow(portaltest.Role("button", "Resume key"))
	g.until(t, time.Now(), http.StatusOK, k.Token, patience)
}
