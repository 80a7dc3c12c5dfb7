package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// Typed text is never interpreted as HTML, and every page exists in German.
func TestOperatorsPages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const evil = `</title><script src="//evil.example/x.js"></script>"'><a href=javascript:alert(1)>{{.}}`
	portal := policyOf(s, "acme")
	portal.DisplayName = evil
	s.update("acme", func(set *store.Workspace) {
		set.Portal = portal
		set.Policy = store.Policy{Scopes: []store.OfferedScope{{Name: "<b>", Description: evil}}}
	})
	k := s.issue("acme", authz.IssueRequest{
		Owner: evil, Name: evil, Scopes: []string{"<b>"}, Metadata: []byte(`{"environment":"<i>x</i>"}`), Claims: []byte(`{"<b>":"<b>"}`),
	})
	check(t, s.Refused(store.By(t.Context(), store.Actor{Kind: store.ActorKey, ID: evil}), "acme", evil))
	v := s.operator("acme")
	v.header = http.Header{"Accept-Language": {"de"}}
	typed := url.QueryEscape(evil)
	for path, want := range map[string]string{
		"/keys?q=" + typed: "Alle Schlüssel", "/keys?owner=" + typed: "Alle Schlüssel von", "/keys/" + k.ID.String(): "Inhaber",
		"/revoke?owner=" + typed: "1 Schlüssel wird widerrufen", "/audit?owner=" + typed: "Schlüssel erstellt", "/audit": "API-Aufruf abgelehnt",
		"/settings": "Berechtigungen zur Auswahl für Kunden",
	} {
		p := v.get("/portal/acme/operator" + path).want(200).has(want)
		for _, bad := range []string{`<script src="//evil`, "<b>", "<i>x", "<a href=javascript"} {
			if strings.Contains(p.body, bad) {
				t.Errorf("%s: has %s", path, bad)
			}
		}
	}
	p := v.get("/portal/acme/operator/revoke?owner=" + typed)
	p = v.post("/portal/acme/operator/revoke", "/portal/acme/operator/revoke",
		url.Values{"ids": {p.hidden("ids")}, "number": {"1"}, "owner": {evil}}).want(200)
	if p.has("1 Schlüssel widerrufen."); strings.Contains(p.body, `<script src="//evil`) {
		t.Error("the page of what is gone has a script of somebody's")
	}
}
