package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

func anyPath(k store.Key, action ...string) string {
	return strings.Join(append([]string{"/portal/" + k.Workspace + "/operator/keys/" + k.ID.String()}, action...), "/")
}

// An operator can also log in with a link.
func TestAnOperatorsLink(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	link := s.link("acme", authz.LinkRequest{Role: store.RoleOperator, Subject: "staff", ReturnURL: "https://app.example.test/"})
	v := s.stranger()
	v.get(link).want(http.StatusSeeOther).leadsTo("/portal/acme/operator/overview")
	for _, path := range []string{
		"/portal/acme", "/portal/acme/", "/portal/acme/operator", "/portal/acme/operator/",
		"/portal/acme/operator/find",
	} {
		v.get(path).want(http.StatusSeeOther).leadsTo("/portal/acme/operator/overview")
	}
	v.get("/portal/acme/operator/keys").want(200).has("There are no API keys yet.", "You see the keys of all owners.", "Back to The acme")
	v.get(link).want(http.StatusSeeOther).leadsTo("/portal/acme/operator/overview") // used by the operator
	v.post("/portal/acme/operator/keys", "/portal/logout", nil).want(200).has("You are logged out", "Back to The acme")
	v.get("/portal/acme/operator/keys").want(http.StatusUnauthorized)
	v = s.stranger()
	v.get(s.link("acme", authz.LinkRequest{Role: store.RoleOperator})).want(http.StatusSeeOther)
	s.advance(authz.LoginLife)
	v.get("/portal/acme/operator/keys").want(http.StatusUnauthorized)
}

func TestAllKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.operator("acme")
	named := map[string]store.Key{}
	for _, name := range []string{"one", "two", "old", "gone"} {
		named[name] = s.issue("acme", authz.IssueRequest{Owner: map[bool]string{true: "cust_1", false: "cust_2"}[name == "one"], Name: name})
	}
	s.issue("other", authz.IssueRequest{Owner: "cust_1", Name: "elsewhere"})
	_, err := s.Revoke(t.Context(), "acme", named["gone"].ID)
	check(t, err)
	_, err = s.Rotate(t.Context(), "acme", named["old"].ID, authz.RotateRequest{})
	check(t, err)
	for query, want := range map[string]string{
		"":                                "old,gone,old,two,one",
		"q=TWO":                           "two",
		"q=cust_1":                        "one",
		"q=" + named["gone"].ID.String():  "gone",
		"q=" + named["gone"].KID.String(): "gone",
		"owner=cust_2":                    "old,gone,old,two",
		"owner=cust_":                     "",
		"owner=cust_2&status=active":      "old,two",
		"status=deprecated":               "old",
		"status=revoked":                  "gone",
		"status=nonsense":                 "old,gone,old,two,one",
		"q=two&owner=cust_1":              "",
		"after=nonsense":                  "old,gone,old,two,one",
	} {
		p := v.get("/portal/acme/operator/keys?" + query).want(200)
		p.listsExactly(strings.FieldsFunc(want, func(r rune) bool { return r == ',' })...)
	}
	p := v.get("/portal/acme/operator/keys?owner=cust_2").has("Revoke all keys of cust_2…", "Being replaced", "Show all")
	if got := strings.Count(p.body, `id="tick-`); got != 3 { // a revoked key has no checkbox
		t.Errorf("%d keys can be selected", got)
	}
	for _, path := range []string{
		"?q=" + strings.Repeat("a", 256), "?q=%ff", "?owner=a%00b", "/x", "/" + unknownID,
	} {
		v.get("/portal/acme/operator/keys" + path).want(http.StatusNotFound)
	}
}

func TestPagesOfAllKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.operator("acme")
	for range 55 {
		s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Key"})
		s.issue("acme", authz.IssueRequest{Owner: "cust_2", Name: "Key"})
	}
	path, seen := "/portal/acme/operator/keys?owner=cust_2&q=key&status=active", 0
	for range 5 {
		p := v.get(path).want(200).hasNot("cust_1")
		seen += len(p.names())
		if path = p.next(); path == "" {
			break
		}
	}
	if seen != 55 {
		t.Errorf("%d keys", seen)
	}
}

// next returns the path of the list's next page.
func (p *page) next() string {
	_, rest, ok := strings.Cut(p.body, `rel="next"`)
	if !ok || rest == "" {
		return ""
	}
	head := p.body[:len(p.body)-len(rest)]
	head = head[strings.LastIndex(head, `href="`)+len(`href="`):]
	head, _, _ = strings.Cut(head, `"`)
	return strings.ReplaceAll(head, "&amp;", "&")
}

func TestAKeyAsOperatorsSeeIt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.operator("acme")
	old := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Shop", Scopes: []string{"maps:read"}, Claims: []byte(`{"plan":"gold"}`)})
	issued, err := s.Rotate(store.By(t.Context(), store.Actor{Kind: store.ActorKey, ID: "a-management-key", From: "203.0.113.9"}),
		"acme", old.ID, authz.RotateRequest{})
	check(t, err)
	v.get(anyPath(old)).want(200).has(old.KID.String(), "Owner cust_1", `"plan": "gold"`, "Works until", "Replaced by Shop",
		"Management key a-management-key · 203.0.113.9")
	v.get(anyPath(issued.Key)).want(200).has("Replaces Shop", "maps:read").hasNot("Rotate this key", "Rename")

	v.post(anyPath(old), anyPath(old, "revoke"), url.Values{"confirm": {"shop"}}).want(422).has("This is neither the name of the key")
	if s.status(old) != store.Deprecated {
		t.Error("revoked without being named")
	}
	gone := v.post(anyPath(old), anyPath(old, "revoke"), url.Values{"confirm": {"Shop"}}).want(303).saysDone(anyPath(old), "revoked")
	if s.status(old) != store.Revoked {
		t.Error("not revoked")
	}
	v.get(gone).want(200).has("Key revoked.", "Portal operator staff").hasNot("Revoke this key")
	v.get(anyPath(old, "revoke")).want(303).leadsTo(anyPath(old))
	entries, _, err := s.Audit(t.Context(), "acme", store.AuditFilter{Action: store.ActionKeyRevoke, Limit: 1})
	check(t, err)
	if a := entries[0].Actor; a.Kind != store.ActorOperator || a.ID != "staff" || a.From != "192.0.2.1" {
		t.Errorf("the actor is %+v", a)
	}
}

// The owner's history does not attribute actions of the producer's staff to the owner.
func TestTheOwnersHistoryTellsTheStaffsDeeds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	linked := s.stranger()
	linked.get(s.link("acme", authz.LinkRequest{Role: store.RoleOperator, Subject: "jane@acme.example"})).want(http.StatusSeeOther)
	owner := s.owner("acme", "cust_1")
	for staff, v := range map[string]*visitor{"jane@acme.example": linked, "staff": s.operator("acme")} {
		k := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Shop"})
		v.post(anyPath(k), anyPath(k, "revoke"), url.Values{"confirm": {"Shop"}}).want(303)
		entries, _, err := s.Audit(t.Context(), "acme", store.AuditFilter{Key: k.ID, Action: store.ActionKeyRevoke, Limit: 9})
		check(t, err)
		if len(entries) != 1 || entries[0].Actor.Kind != store.ActorOperator || entries[0].Actor.ID != staff {
			t.Errorf("by %s: %+v", staff, entries)
		}
		owner.get("/portal/acme/keys/"+k.ID.String()).want(200).has("by the provider").hasNot(staff, "192.0.2.1")
	}
	begun, _, err := s.Audit(t.Context(), "acme", store.AuditFilter{Action: store.ActionSessionStart, ActorID: "jane@acme.example", Limit: 9})
	check(t, err)
	if len(begun) != 1 || begun[0].Actor.Kind != store.ActorOperator {
		t.Errorf("the link was opened by %+v", begun)
	}
}

// The text of an imported key leads to it, in its workspace or from any, and is on no page.
func TestFindImported(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.withHome()
	const secret, uuid = "IL1deIyHyQA40WpeLeA1bIUXuvTwlGjo", "550e8400-e29b-41d4-a716-446655440000"
	found, err := s.Import(t.Context(), "acme", []authz.ImportEntry{
		{Digest: jwks.SHA256Digest(secret).String(), Owner: "cust_1"}, {Digest: jwks.SHA256Digest(uuid).String(), Owner: "cust_1"},
	})
	check(t, err)
	operator, other, overseer := s.operator("acme"), s.operator("other"), s.overseer()
	in := func(v *visitor, workspace, text string) *page {
		t.Helper()
		root := "/portal/" + workspace + "/operator"
		p := v.post(root+"/keys", root+"/find", url.Values{"pasted": {text}})
		if strings.Contains(p.body+p.Header().Get("Location")+s.log.String(), secret[4:]) {
			t.Error("the key is shown again")
		}
		return p
	}
	anywhere := func(text string) *page {
		t.Helper()
		p := overseer.post(allPath, "/portal/burnkey/operator/find", url.Values{"pasted": {text}})
		if strings.Contains(p.body+p.Header().Get("Location")+s.log.String(), secret[4:]) {
			t.Error("the key is shown again")
		}
		return p
	}
	for i, text := range []string{"X-API-Key: " + secret, uuid} {
		in(operator, "acme", text).want(303).saysDone(anyPath(found[i].Key), "found")
		anywhere(text).want(303).saysDone(anyPath(found[i].Key), "found")
	}
	in(other, "other", secret).want(422).has("no imported key of this workspace")
	in(other, "other", uuid).want(404)
	anywhere("x" + secret).want(422).has("not a known imported key")
	anywhere(`{"id":"` + unknownID + `","key":"x` + secret + `"}`).want(404).has(unknownID)
}

// A token leads to its key only.
func TestFindByToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.operator("acme")
	const list, find = "/portal/acme/operator/keys", "/portal/acme/operator/find"
	k := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Shop"})
	token := s.minter.last()
	s.issue("other", authz.IssueRequest{Owner: "cust_1"})
	foreign := s.minter.last()
	paste := func(text string) *page {
		p := v.post(list, find, url.Values{"pasted": {text}})
		for _, secret := range []string{token, foreign, token[len(token)-64:]} {
			if strings.Contains(p.body+p.Header().Get("Location")+s.log.String(), secret) {
				t.Error("the token is said again")
			}
		}
		return p
	}
	pasted := []string{
		token, " \n" + token + "\n", "Authorization: Bearer " + token, `{"key":"` + token + `"}`,
		"ACME_API_KEY=" + token, "It is " + token + ".", "<" + token + ">",
	}
	wrapped := token[:300] + "\r\n" + token[300:]
	pasted = append(pasted, wrapped, "\ufeff"+token, "> "+token+"\n> --", `curl -H "Authorization: bearer `+token+`"`, "\u201c"+token+"\u201d",
		k.ID.String(), "\u201c"+strings.ToUpper(k.ID.String())+"\u201d.", "kid: "+k.KID.String()+",", `{"id":"`+k.ID.String()+
			`","kid":"`+k.KID.String()+`"}`,
		"https://keys.example.test/portal/acme/keys/"+k.ID.String()+"?x")
	for _, text := range pasted {
		paste(text).want(303).saysDone(anyPath(k), "found")
	}
	v.get(paste(token).saysDone(anyPath(k), "found")).has("This is the key you searched for.")
	_, err := s.Revoke(t.Context(), "acme", k.ID)
	check(t, err)
	s.advance(400 * 24 * time.Hour)
	v = s.operator("acme")
	paste(token).want(303).saysDone(anyPath(k), "found")
	paste(foreign).want(404).has("This workspace has no key for this token.")
	for _, text := range []string{"", "x", token[1:], token[:20], strings.Repeat("a", 10000), "\xff\x00"} {
		paste(text).want(422).has("This contains no Burnkey token, or only a part of one, and no")
	}
	for _, text := range []string{
		token[:100], "Bearer " + token[:len(token)-1], strings.Replace(token, ".", "", 1),
		token[:strings.LastIndex(token, ".")],
	} {
		paste(text).want(422).has("is incomplete, or not a Burnkey token. Paste all of it").hasNot("no Burnkey token")
	}
	// A token is refused in an address and in any other field.
	for _, field := range []string{"q", "owner"} {
		p := v.get(list + "?" + field + "=" + token[:255]).want(400).has("A token doesn’t belong there")
		if strings.Contains(p.body, token[:100]) {
			t.Error("the page says it again")
		}
	}
	v.get("/portal/acme/operator/audit?owner=" + token).want(400)
	v.get("/portal/acme/operator/revoke?scope=" + token).want(400)
}
