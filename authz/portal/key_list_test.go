package portal_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// names returns the names of the keys on a page, in order.
func (p *page) names() (names []string) {
	for _, m := range regexp.MustCompile(`<(?:h2|th scope="row")><a href="[^"]*"><bdi>([^<]*)</bdi></a>`).FindAllStringSubmatch(p.body, -1) {
		names = append(names, m[1])
	}
	return names
}

func (p *page) listsExactly(want ...string) {
	p.t.Helper()
	if got := p.names(); strings.Join(got, ",") != strings.Join(want, ",") {
		p.t.Errorf("%s lists %q, want %q", p.what, got, want)
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "shop")
	named := map[string]store.Key{}
	for _, name := range []string{"Shop", "Build 1", "build 2", "100%", "tax"} {
		named[name] = s.issue("acme", authz.IssueRequest{Owner: "shop", Name: name})
	}
	_, err := s.Revoke(t.Context(), "acme", named["tax"].ID)
	check(t, err)
	_, err = s.Rotate(t.Context(), "acme", named["100%"].ID, authz.RotateRequest{})
	check(t, err)
	short := int64(60)
	s.issue("acme", authz.IssueRequest{Owner: "shop", Name: "brief", ExpiresIn: &short})
	s.advance(2 * time.Minute)
	for query, want := range map[string]string{
		"":                                  "brief,100%,tax,100%,build 2,Build 1,Shop",
		"q=BUILD":                           "build 2,Build 1",
		"q=shop":                            "Shop", // all keys' owner is shop
		"q=%25":                             "100%,100%",
		"q=_":                               "",
		"q=" + named["tax"].ID.String():     "tax",
		"q=" + named["tax"].KID.String():    "tax",
		"status=active":                     "100%,build 2,Build 1,Shop",
		"status=deprecated":                 "100%",
		"status=revoked":                    "tax",
		"status=expired":                    "brief",
		"status=active&q=build+":            "build 2,Build 1",
		"status=nonsense":                   "brief,100%,tax,100%,build 2,Build 1,Shop",
		"after=nonsense":                    "brief,100%,tax,100%,build 2,Build 1,Shop",
		"after=" + named["tax"].ID.String(): "100%,build 2,Build 1,Shop",
	} {
		p := v.get("/portal/acme/keys?" + query).want(200)
		p.listsExactly(strings.FieldsFunc(want, func(r rune) bool { return r == ',' })...)
		if want == "" {
			p.has("No keys match your search.")
		}
	}
	v.get("/portal/acme/keys?q=Build&status=active").has("Show all")
}

func TestPages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	for i := range 55 {
		s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: fmt.Sprintf("Key %d", i)})
		s.issue("acme", authz.IssueRequest{Owner: "cust_2", Name: "Theirs"})
	}
	path, seen := "/portal/acme/keys?q=Key", []string(nil)
	for range 5 {
		p := v.get(path).want(200)
		seen = append(seen, p.names()...)
		next := regexp.MustCompile(`<a href="(\?[^"]*)" rel="next">`).FindStringSubmatch(p.body)
		if next == nil {
			break
		}
		path = "/portal/acme/keys" + strings.ReplaceAll(next[1], "&amp;", "&")
	}
	if len(seen) != 55 || seen[0] != "Key 54" || seen[54] != "Key 0" {
		t.Errorf("%d keys: %q", len(seen), seen)
	}
}

func TestWhatExpiresSoon(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	v.get("/portal/acme/keys").hasNot("expire")
	keys := map[string]store.Key{}
	for name, days := range map[string]int64{"ten": 10, "fourteen": 14, "fifteen": 15, "rotated": 3} {
		life := days * 86400
		keys[name] = s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: name, ExpiresIn: &life})
	}
	_, err := s.Rotate(t.Context(), "acme", keys["rotated"].ID, authz.RotateRequest{Grace: new(time.Duration)})
	check(t, err)
	v.get("/portal/acme/keys").want(200).has("3 keys expire soon", "rotated : in 3 days ten : in 10 days fourteen : in 14 days").
		hasNot("fifteen : in")
	v.get(keyPath(keys["ten"])).has("This key expires in 10 days.", "Rotate it")
	v.get(keyPath(keys["fifteen"])).hasNot("This key expires in")
}

// A list may end early, at its limit of bytes, but statements about all keys still count every key.
func TestWideKeysHideNoOther(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	soon := int64(3 * 86400)
	s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "first", ExpiresIn: &soon})
	wide := []byte(`{"note":"` + strings.Repeat("x", 16_000) + `"}`)
	const others = authz.PageBytes/16_000 + 10
	for range others {
		s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "wide", Metadata: wide})
	}
	s.update("acme", func(w *store.Workspace) { w.Policy.KeysPerOwner = others + 1 })
	v.get("/portal/acme/keys").want(200).has("first : in 3 days", fmt.Sprintf("%d", others+1)).hasNot(`href="/portal/acme/keys/new"`)
}

func TestHistory(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	k := v.create()
	ctx := store.By(t.Context(), store.Actor{Kind: store.ActorKey, ID: "a-management-key", From: "203.0.113.9"})
	_, err := s.Revoke(ctx, "acme", k.ID)
	check(t, err)
	p := v.get("/portal/acme/history").want(200)
	p.has("Key revoked Web shop", "by the provider", "Key created Web shop", "on this page · 192.0.2.1", "Logged in").
		hasNot("203.0.113.9", "a-management-key", "Link to this page created")
	s.operator("acme").get("/portal/acme/operator/audit").want(200).has("Link to this page created")
	for i := range 60 { // an owner who often visits the producer's site has many links
		s.link("acme", authz.LinkRequest{Owner: "cust_1"})
		s.link("acme", authz.LinkRequest{Owner: "cust_1"})
		s.advance(2 * time.Second) // stay within the budget of changes
		v.post(keyPath(k), keyPath(k, "name"), map[string][]string{"name": {fmt.Sprintf("Shop %d", i)}}).want(303)
	}
	p = v.get("/portal/acme/history").want(200)
	next := regexp.MustCompile(`<a href="(\?[^"]*)" rel="next">`).FindStringSubmatch(p.body)
	if strings.Count(p.body, "<li>\n<p>") != 50 || next == nil {
		t.Fatal("not one page of 50")
	}
	v.get("/portal/acme/history"+next[1]).want(200).has("Logged in", "Newest").hasNot("Older", "Link to this page created")
}

// A key without a name is shown with the same substitute in the list, on its page and in the history.
func TestAKeyWithoutAName(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v, operator := s.owner("acme", "cust_1"), s.operator("acme")
	unnamed, named := s.issue("acme", authz.IssueRequest{Owner: "cust_1"}), s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Shop"})
	_, err := s.UpdateKey(t.Context(), "acme", named.ID, authz.KeyPatch{Metadata: []byte(`{"a":1}`)})
	check(t, err)
	end := func(k store.Key) string { return "…" + k.ID.String()[28:] }
	for _, path := range []string{"/portal/acme/keys", keyPath(unnamed), "/portal/acme/history"} {
		v.get(path).want(200).has("Unnamed key " + end(unnamed))
	}
	// The audit entry of a change of other fields has no name.
	v.get("/portal/acme/history").want(200).has("Key created Unnamed key "+end(unnamed), "updated Key "+end(named)).hasNot(unnamed.ID.String())
	operator.get("/portal/acme/operator/audit").want(200).has("Unnamed key "+end(unnamed), "updated Key "+end(named)).
		hasNot(unnamed.ID.String())
	v.get("/portal/acme/history?lang=de").want(200).has("Schlüssel ohne Namen " + end(unnamed))
	// Management keys have no page, so their id is shown.
	admin := s.withHome()
	s.overseer().get("/portal/burnkey/operator/audit").want(200).has(admin.ID.String())
}

// Typed text is never interpreted as HTML.
func TestMarkup(t *testing.T) {
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
		Owner: evil, Name: evil, Scopes: []string{"<b>"}, Metadata: []byte(`{"environment":"<i>x</i>"}`),
	})
	v := s.owner("acme", evil)
	for _, path := range []string{
		"/portal/acme/keys", "/portal/acme/keys?q=" + "%3Cscript", keyPath(k), "/portal/acme/keys/new",
		"/portal/acme/history", "/portal/acme/x",
	} {
		p := v.get(path)
		for _, bad := range []string{`<script src="//evil`, "<b>", "<i>x", "<a href=javascript"} {
			if strings.Contains(p.body, bad) {
				t.Errorf("%s: has %s", path, bad)
			}
		}
	}
	p := v.post("/portal/acme/keys/new", "/portal/acme/keys", map[string][]string{
		"name": {evil}, "scopes": {"<b>"}, "expiry": {"604800"},
	}).want(200)
	if strings.Contains(p.body, `<script src="//evil`) {
		t.Error("the page with the token has a script of somebody's")
	}
}
