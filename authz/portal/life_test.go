package portal_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

var good = url.Values{"name": {"Web shop"}, "expiry": {"2592000"}}

// create issues a key through the form and returns it.
func (v *visitor) create(changes ...string) store.Key {
	v.t.Helper()
	v.post("/portal/acme/keys/new", "/portal/acme/keys", with(good, changes...)).want(http.StatusOK)
	keys, _, err := v.Keys(v.t.Context(), "acme", store.Filter{Limit: 1})
	check(v.t, err)
	return keys[0]
}

// with returns a form with some fields replaced.
func with(form url.Values, changes ...string) url.Values {
	changed := url.Values{}
	for name, values := range form {
		changed[name] = values
	}
	for i := 0; i+1 < len(changes); i += 2 {
		changed.Set(changes[i], changes[i+1])
	}
	return changed
}

func keyPath(k store.Key, action ...string) string {
	return strings.Join(append([]string{"/portal/acme/keys/" + k.ID.String()}, action...), "/")
}

func (s *site) status(k store.Key) store.Status {
	s.t.Helper()
	k, err := s.Key(s.t.Context(), k.Workspace, k.ID)
	check(s.t, err)
	return k.Status(s.clock())
}

func TestTheLifeOfAKey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.update("acme", func(set *store.Workspace) { set.Policy.Scopes = []store.OfferedScope{{Name: "maps:read"}} })
	v := s.owner("acme", "cust_1")
	v.get("/portal/acme/keys").want(200).has("You have no API keys yet", "Create your first key", "Keys of cust_1")

	p := v.post("/portal/acme/keys/new", "/portal/acme/keys", with(good, "scopes", "maps:read")).want(200)
	p.has("Your new key", "Ready in about 6 seconds.", "401", `. ./acme.env echo "Authorization: Bearer $ACME_API_KEY" | curl --header @- '`)
	if n := strings.Count(p.body, s.minter.last()); n != 1 {
		t.Errorf("the page shows the token %d times", n)
	}
	if got := tokenOf(p); got != s.minter.last() {
		t.Errorf("the page shows %d characters, not the token", len(got))
	}
	first := v.newest()
	if first.Owner != "cust_1" || first.Name != "Web shop" || string(first.Metadata) != `{}` ||
		first.ExpiresAt.Sub(first.CreatedAt) != 30*24*time.Hour || strings.Join(first.Scopes, " ") != "maps:read" {
		t.Errorf("it is %+v", first)
	}
	v.get("/portal/acme/keys").want(200).has("Web shop", "Active", "maps:read", "3 April 2026", "(in 30 days)").hasNot("no API keys")
	v.get(keyPath(first)).want(200).has(first.ID.String(), first.KID.String(), "Key created", "on this page")

	to := v.post(keyPath(first), keyPath(first, "name"), url.Values{"name": {" Shop "}}).want(303).saysDone(keyPath(first), "named")
	v.get(to).want(200).has("Name saved.", "Key renamed")

	v.post(keyPath(first), keyPath(first, "rotate"), url.Values{"grace": {"3600"}}).want(200).
		has("Your new key", "Old key “Shop”", "It still works until", "(in 1 hour)")
	second := v.newest()
	if s.status(first) != store.Deprecated || s.status(second) != store.Active || second.RotatedFrom != first.ID {
		t.Errorf("rotated: %s, %s", s.status(first), s.status(second))
	}
	v.get(keyPath(first)).want(200).has("Rotation in progress", "This key has been replaced", "Being replaced")
	v.get(keyPath(second)).want(200).has("Rotation in progress", "This key replaces “Shop”")

	to = v.post(keyPath(second), keyPath(first, "undo"), nil).want(303).saysDone(keyPath(first), "undone")
	v.get(to).want(200).has("Rotation undone").hasNot("Rotation in progress")
	if s.status(first) != store.Active || s.status(second) != store.Revoked {
		t.Errorf("undone: %s, %s", s.status(first), s.status(second))
	}

	v.post(keyPath(first), keyPath(first, "rotate"), url.Values{"grace": {"86400"}}).want(200)
	third := v.newest()
	v.post(keyPath(third), keyPath(third, "end"), nil).want(303).saysDone(keyPath(first), "ended")
	if s.status(first) != store.Revoked || s.status(third) != store.Active {
		t.Errorf("ended: %s, %s", s.status(first), s.status(third))
	}

	v.post(keyPath(third), keyPath(third, "rotate"), url.Values{"grace": {"0"}}).want(200).has("It has been revoked")
	fourth := v.newest()
	if s.status(third) != store.Revoked || s.status(fourth) != store.Active {
		t.Errorf("at once: %s, %s", s.status(third), s.status(fourth))
	}

	v.post(keyPath(fourth), keyPath(fourth, "revoke"), url.Values{"confirm": {"shop"}}).want(422).
		has("There is a problem", "This is neither the name of the key")
	if s.status(fourth) != store.Active {
		t.Error("revoked without being named")
	}
	to = v.post(keyPath(fourth), keyPath(fourth, "revoke"), url.Values{"confirm": {" Shop"}}).want(303).saysDone(keyPath(fourth), "revoked")
	v.get(to).want(200).has("Key revoked.", "Revoked").hasNot("Rotate this key")
	v.get("/portal/acme/history").want(200).has("Logged in", "Key revoked", "Rotation undone", "Key rotated", "Key created")
}

func (v *visitor) newest() store.Key {
	v.t.Helper()
	keys, _, err := v.Keys(v.t.Context(), "acme", store.Filter{Limit: 1})
	check(v.t, err)
	return keys[0]
}

func tokenOf(p *page) string {
	m := regexp.MustCompile(`(?s)<textarea id="token"[^>]*>([^<]*)</textarea>`).FindStringSubmatch(p.body)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[1])
}

func TestRevokedByTheEndOfItsID(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	k := s.issue("acme", authz.IssueRequest{Owner: "cust_1"})
	id := k.ID.String()
	v.get("/portal/acme/keys").want(200).has("Unnamed key …" + id[len(id)-8:])
	for _, wrong := range []string{"", " ", id[:8], id[len(id)-7:]} {
		v.post(keyPath(k), keyPath(k, "revoke"), url.Values{"confirm": {wrong}}).want(422)
	}
	v.post(keyPath(k), keyPath(k, "revoke"), url.Values{"confirm": {strings.ToUpper(id[len(id)-8:])}}).want(303)
	if s.status(k) != store.Revoked {
		t.Error("it is", s.status(k))
	}
}

// The key may have changed by the time a form about it is sent.
func TestFormsThatAreLate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	k := v.create()
	once := v.get(keyPath(k)).hidden("once")
	v.post(keyPath(k), keyPath(k, "undo"), nil).want(409).has("The key has changed in the meantime")
	v.post(keyPath(k), keyPath(k, "end"), nil).want(409)
	v.post(keyPath(k), keyPath(k, "rotate"), url.Values{"grace": {"3600"}, "once": {once}}).want(200)
	v.post(keyPath(k), keyPath(k, "rotate"), url.Values{"grace": {"3600"}, "once": {once}}).want(409).has("has already been created")
	v.post(keyPath(k), keyPath(k, "rotate"), url.Values{"grace": {"3600"}, "once": {strings.Repeat("x", 22)}}).want(409).
		has("The key has changed in the meantime")
	v.post(keyPath(k), keyPath(k, "rotate"), url.Values{"grace": {"61"}}).want(422).has("Choose how long")
	s.advance(2 * time.Hour)
	v = s.owner("acme", "cust_1")
	v.post(keyPath(k), keyPath(k, "undo"), nil).want(409).has("Revoked")
	v.post(keyPath(k), keyPath(k, "end"), nil).want(409)
	for _, action := range []string{"undo", "end", "rotate", "revoke", "name", "nothing"} {
		v.get(keyPath(k, action)).want(303).leadsTo(keyPath(k))
	}
}

// A form that is still open in another tab affects only the rotation that it showed.
func TestAnOldTabUndoesNoOtherRotation(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	old := v.create()
	hour := url.Values{"grace": {"3600"}}
	v.post(keyPath(old), keyPath(old, "rotate"), hour).want(200)
	first := v.newest()
	if p := v.get(keyPath(old)).want(200); !strings.Contains(p.body, `action="`+keyPath(first, "undo")+`"`) {
		t.Error("the form does not say which rotation it undoes")
	}
	v.post(keyPath(old), keyPath(first, "undo"), nil).want(303).saysDone(keyPath(old), "undone")
	v.post(keyPath(old), keyPath(old, "rotate"), hour).want(200)
	second := v.newest()
	for _, action := range []string{"undo", "end"} {
		v.post(keyPath(old), keyPath(first, action), nil).want(409)
	}
	if s.status(old) != store.Deprecated || s.status(second) != store.Active {
		t.Errorf("the old tab made them %s and %s", s.status(old), s.status(second))
	}
}

// Revoking a successor warns that no key will replace the old one.
func TestAGraceWithoutASuccessor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	old := v.create()
	v.post(keyPath(old), keyPath(old, "rotate"), url.Values{"grace": {"3600"}}).want(200)
	v.get(keyPath(old)).want(200).has("Rotation in progress", "Undo the rotation").hasNot("without a replacement")
	successor := v.newest()
	v.post(keyPath(successor), keyPath(successor, "revoke"), url.Values{"confirm": {successor.Name}}).want(303)
	v.get(keyPath(old)).want(200).has("without a replacement", "Create another one in time").
		hasNot("Rotation in progress", "Undo the rotation")
}

func TestLive(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	k := v.create()
	state := func(want string) {
		t.Helper()
		p := v.get(keyPath(k, "live")).want(200)
		if p.body != want || p.Header().Get("Content-Type") != "application/json" {
			t.Errorf("got %s, want %s", p.body, want)
		}
	}
	state(`{"status":"waiting","in":6}`)
	s.advance(5500 * time.Millisecond)
	state(`{"status":"waiting","in":1}`)
	s.advance(500 * time.Millisecond)
	state(`{"status":"live"}`)
	_, err := s.Revoke(t.Context(), "acme", k.ID)
	check(t, err)
	state(`{"status":"gone"}`)
}

func TestAFormSentTwiceMakesOneKey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	once := v.get("/portal/acme/keys/new").hidden("once")
	k := v.create("once", once)
	p := v.post("/portal/acme/keys/new", "/portal/acme/keys", with(good, "once", once)).want(409).
		has("has already been created", "Go to that key")
	if !strings.Contains(p.body, `href="`+keyPath(k)+`"`) {
		t.Error("no way to the key")
	}
	// The text is unique to this owner.
	other := s.owner("acme", "cust_2")
	if again := other.create("once", once); again.Owner != "cust_2" || again.ID == k.ID {
		t.Errorf("it is %+v", again)
	}
}

func TestLogOut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1", authz.LinkRequest{ReturnURL: "https://app.example.test/settings?a=b"})
	cookie := v.cookie
	v.get("/portal/acme/keys").has("Back to The acme")
	p := v.post("/portal/acme/keys", "/portal/logout", nil).want(200).has("You are logged out", "Back to The acme").hasNot("cust_1")
	if v.cookie != nil || !strings.Contains(p.body, `href="https://app.example.test/settings?a=b"`) {
		t.Error("the cookie stays, or there is no way back")
	}
	v.cookie = cookie
	v.get("/portal/acme/keys").want(http.StatusUnauthorized)
	v.do("POST", "/portal/logout", url.Values{}).want(200)
}

func TestASessionEnds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	form := with(good, "csrf", v.get("/portal/acme/keys/new").hidden("csrf"))
	s.advance(authz.SessionLife)
	v.get("/portal/acme/keys").want(http.StatusUnauthorized).has("Your session has ended", "Go back")
	v.do("POST", "/portal/acme/keys", form).want(http.StatusUnauthorized)
	if len(s.minter.tokens) > 0 {
		t.Error("a key was made")
	}
}

// A browser that never had a session learns how to get one.
func TestNobodyYet(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	elsewhere := s.owner("other", "cust_1")
	for name, v := range map[string]*visitor{"no cookie": s.stranger(), "another workspace's": elsewhere} {
		for _, path := range []string{"/portal/acme/keys", "/portal/acme/history", "/portal/acme/operator/keys"} {
			p := v.get(path).want(http.StatusUnauthorized).has("This page opens with a link from The acme.").hasNot("Your session has ended")
			if strings.Contains(p.body, "/login") {
				t.Errorf("%s: %s offers a login", name, path)
			}
		}
	}
	portal := policyOf(s, "acme")
	portal.OIDC = &store.OIDC{Issuer: "https://login.example.test", ClientID: "portal", OwnerClaim: "org"}
	s.update("acme", func(set *store.Workspace) { set.Portal = portal })
	s.stranger().get("/portal/acme/keys").want(http.StatusUnauthorized).has("Log in to continue.").hasNot("with a link", "has ended")
	s.stranger().get("/portal/acme/keys?lang=de").want(http.StatusUnauthorized).has("Melden Sie sich an, um fortzufahren.")
	late := s.owner("acme", "cust_1")
	s.advance(authz.SessionLife)
	late.get("/portal/acme/keys").want(http.StatusUnauthorized).has("Log in again to continue")
}

// An owner who renames keys too often gets an error, but can still revoke keys.
func TestOwnersWhoChangeTooMuchAreAskedToWait(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	v.post("/portal/acme/keys/new", "/portal/acme/keys", good).want(200)
	key := v.newest()
	var p *page
	for i := range 70 {
		p = v.post(keyPath(key), keyPath(key, "name"), url.Values{"name": {fmt.Sprint("name ", i)}})
		if p.Code != 303 {
			break
		}
	}
	p.want(429).has("Too many changes", "Wait a minute")
	if p.Header().Get("Retry-After") == "" {
		t.Error("it does not say when to come again")
	}
	v.post(keyPath(key), keyPath(key, "revoke"), url.Values{"confirm": {v.newest().Name}}).want(303)
	if s.status(key) != store.Revoked {
		t.Errorf("the key is %s", s.status(key))
	}
}
