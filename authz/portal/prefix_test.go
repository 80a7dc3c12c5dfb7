package portal_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// The page shows a new token with its workspace's prefix. Operators find the key by the token with or without the prefix.
func TestTokenPrefix(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.update("acme", func(w *store.Workspace) {
		w.Settings = jwks.Settings{TokenPrefix: "acme-live-", BareUntil: time.Date(2099, 3, 4, 5, 6, 7, 0, time.UTC)}
	})
	v := s.owner("acme", "cust_1")
	p := v.post("/portal/acme/keys/new", "/portal/acme/keys", good).want(200)
	if got, want := tokenOf(p), "acme-live-"+s.minter.last(); got != want || strings.Count(p.body, want) != 1 {
		t.Errorf("the page shows %.20q", got)
	}
	k := v.newest()
	operator := s.operator("acme")
	for _, text := range []string{"acme-live-" + s.minter.last(), "Bearer acme-live-" + s.minter.last() + ".", s.minter.last()} {
		const list, find = "/portal/acme/operator/keys", "/portal/acme/operator/find"
		to := operator.post(list, find, url.Values{"pasted": {text}}).want(303).Header().Get("Location")
		if !strings.Contains(to, k.ID.String()) {
			t.Errorf("found %s", to)
		}
	}
	operator.get(settingsPath).want(200).has("Token prefix", "acme-live-", "4 March 2099")
	s.issue("other", authz.IssueRequest{Owner: "cust_1"})
	s.operator("other").get("/portal/other/operator/settings").want(200).hasNot("Tokens without the prefix")
}
