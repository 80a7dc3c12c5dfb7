package portal_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/mint"
	"github.com/burnkey/burnkey/store"
)

// policyOf returns a copy of a workspace's portal settings.
func policyOf(s *site, workspace string) store.Portal {
	s.t.Helper()
	w, err := s.Workspace(s.t.Context(), workspace)
	check(s.t, err)
	return w.Portal
}

func TestWhatIsWrongIsSaidBesideIt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.update("acme", func(set *store.Workspace) {
		set.Policy = store.Policy{
			Scopes: []store.OfferedScope{{Name: "maps:read", Description: "See maps"}, {Name: "maps:write"}}, MaxExpiresIn: 40 * 86400,
		}
	})
	v := s.owner("acme", "cust_1")
	form := url.Values{"name": {"CI"}, "scopes": {"maps:read"}, "expiry": {"604800"}}
	long := strings.Repeat("ä", 256)
	for _, c := range []struct {
		field, value string
		at           string // the field with the fault
		want         string
	}{
		{"name", "", "name", "Enter a name for the key."},
		{"name", "  ", "name", "Enter a name for the key."},
		{"name", long, "name", "at most 255 characters"},
		{"name", "a\nb", "name", "can’t contain line breaks"},
		{"name", "a\xffb", "name", "can’t contain line breaks"},
		{"name", "a\u202eb", "name", "invisible characters"},
		{"scopes", "admin", "scopes", "Choose from the scopes on offer"},
		{"expiry", "", "expiry", "Choose when the key expires."},
		{"expiry", "0", "expiry", "Choose when the key expires."},
		{"expiry", "-1", "expiry", "Choose when the key expires."},
		{"expiry", "1e3", "expiry", "Choose when the key expires."},
		{"expiry", "99999999999999999999", "expiry", "Choose when the key expires."},
		{"expiry", "7776000", "expiry", "on 12 April 2026 UTC at the latest"},
		{"expiry", "never", "expiry", "never expire aren’t allowed"},
		{"expiry", "date", "expiry", "Enter the date"},
		{"once", "short", "", "Reload the page"},
	} {
		p := v.post("/portal/acme/keys/new", "/portal/acme/keys", with(form, c.field, c.value)).want(422).has("There is a problem", c.want)
		if c.at == "" {
			continue
		}
		if !strings.Contains(p.body, `<a href="#`+c.at+`">`) || !strings.Contains(p.body, `id="`+c.at+`"`) ||
			!strings.Contains(p.body, `id="`+c.at+`-fault"`) || !strings.Contains(p.body, c.at+"-fault\"") {
			t.Errorf("%s %q: is not said beside it", c.field, c.value)
		}
		if c.field != "name" && !strings.Contains(p.body, `value="CI"`) || !strings.Contains(p.body, "autofocus") {
			t.Errorf("%s %q: what was typed is lost", c.field, c.value)
		}
	}
	p := v.post("/portal/acme/keys/new", "/portal/acme/keys", url.Values{
		"expiry": {"date"}, "date": {"2026-03-03"}, "once": {"short"},
		"name": {`"><img src=x onerror=alert(1)>`},
	}).want(422)
	p.has("There are 2 problems", "can’t be in the past")
	if !strings.Contains(p.body, `value="2026-03-03"`) || strings.Contains(p.body, "<img src=x") {
		t.Error(p.body)
	}
	if len(s.minter.tokens) > 0 {
		t.Error("a key was made")
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.update("acme", func(set *store.Workspace) { set.AllowNeverExpires = true })
	v := s.owner("acme", "cust_1")
	// By default, AllowNeverExpires applies to the API but not to the portal.
	v.get("/portal/acme/keys/new").want(200).has("On a date", "365 days").hasNot("Never")
	v.post("/portal/acme/keys/new", "/portal/acme/keys", with(good, "expiry", "never")).want(422)
	v.post("/portal/acme/keys/new", "/portal/acme/keys", with(good, "expiry", "31536001")).want(422)
	s.update("acme", func(set *store.Workspace) { set.Policy.PortalNeverExpires = true })
	v.get("/portal/acme/keys/new").want(200).has("On a date", "Never", "365 days")
	if k := v.create("expiry", "never"); !k.ExpiresAt.IsZero() {
		t.Error("expires at", k.ExpiresAt)
	}
	v.get("/portal/acme/keys").has("Never")
	// A maximum applies to all choices.
	policy := store.Policy{MaxExpiresIn: 100 * 86400, DefaultExpiresIn: 45 * 86400, PortalNeverExpires: true}
	s.update("acme", func(set *store.Workspace) { set.Policy = policy })
	v.get("/portal/acme/keys/new").want(200).has("7 days", "30 days", "45 days", "90 days", "On a date").hasNot("365", "Never")
	v.post("/portal/acme/keys/new", "/portal/acme/keys", with(good, "expiry", "never")).want(422)
	for expiry, want := range map[string]time.Time{
		"604800": s.clock().Add(7 * 24 * time.Hour),
		"date":   time.Date(2026, 3, 4, 23, 59, 59, 0, time.UTC),
	} {
		k := v.create("expiry", expiry, "date", "2026-03-04")
		if !k.ExpiresAt.Equal(want) {
			t.Errorf("%s: expires at %s, want %s", expiry, k.ExpiresAt, want)
		}
	}
	last := v.create("expiry", "date", "date", "2026-06-11")
	if limit := s.clock().Add(100 * 24 * time.Hour); last.ExpiresAt.After(limit) || last.ExpiresAt.Before(limit.Add(-24*time.Hour)) {
		t.Error("the last day ends at", last.ExpiresAt)
	}
	v.post("/portal/acme/keys/new", "/portal/acme/keys", with(good, "expiry", "date", "date", "2026-06-12")).want(422)
}

func TestAShortLife(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.update("acme", func(set *store.Workspace) { set.Policy = store.Policy{MaxExpiresIn: 5400} })
	v := s.owner("acme", "cust_1")
	v.get("/portal/acme/keys/new").want(200).has("90 minutes").hasNot("7 days", "Never")
	if k := v.create("expiry", "5400"); k.ExpiresAt.Sub(k.CreatedAt) != 90*time.Minute {
		t.Error("expires at", k.ExpiresAt)
	}
}

func TestScopesOfASession(t *testing.T) {
	t.Parallel()
	offered := store.Policy{Scopes: []store.OfferedScope{{Name: "a", Description: "About a"}, {Name: "b"}, {Name: "c"}}}
	for _, c := range []struct {
		name    string
		policy  store.Policy
		allowed []string
		can     []string
		cannot  []string
	}{
		{"nothing is named", store.Policy{}, nil, nil, []string{"a", "admin"}},
		{"the policy's", offered, nil, []string{"a", "c"}, []string{"x", "A"}},
		{"the session's", store.Policy{}, []string{"a", "z"}, []string{"a", "z"}, []string{"b"}},
		{"both", offered, []string{"a", "b"}, []string{"a", "b"}, []string{"c", "x"}},
		{"none", offered, []string{}, nil, []string{"a", "x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.update("acme", func(set *store.Workspace) { set.Policy = c.policy })
			wide := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "wide", Scopes: []string{"c"}})
			v := s.owner("acme", "cust_1", authz.LinkRequest{ScopesAllowed: c.allowed})
			p := v.get("/portal/acme/keys/new").want(200)
			for _, scope := range c.can {
				v.post("/portal/acme/keys/new", "/portal/acme/keys", with(good, "scopes", scope)).want(200)
				if k := v.newest(); strings.Join(k.Scopes, " ") != scope {
					t.Errorf("%q became %q", scope, k.Scopes)
				}
			}
			for _, scope := range c.cannot {
				p.hasNot("About " + scope)
				v.post("/portal/acme/keys/new", "/portal/acme/keys", with(good, "scopes", scope)).want(422).has("Choose from the scopes")
				v.post("/portal/acme/keys/new", "/portal/acme/keys", with(good, "scope_text", scope)).want(200) // a form field of an older release
				if k := v.newest(); len(k.Scopes) > 0 {
					t.Errorf("a key has %q", k.Scopes)
				}
			}
			may := slices.Contains(c.can, "c")
			if p = v.get(keyPath(wide)).want(200); strings.Contains(p.body, "/rotate\"") != may {
				t.Error("a form to rotate a key of other scopes:", !may)
			}
			status := map[bool]int{true: 200, false: 403}[may]
			v.post(keyPath(wide), keyPath(wide, "rotate"), url.Values{"grace": {"0"}, "once": {strings.Repeat("q", 22)}}).want(status)
		})
	}
}

func TestTheLimitOfKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.update("acme", func(set *store.Workspace) { set.Policy = store.Policy{KeysPerOwner: 2} })
	v := s.owner("acme", "cust_1")
	v.create()
	pages := []string{"/portal/acme/keys", "/portal/acme/keys?q=none", "/portal/acme/keys/new"}
	const says = "You have reached your limit of 2 active keys. To get a new one"
	for _, path := range pages {
		v.get(path).want(200).has("Create key").hasNot(says)
	}
	k := v.create()
	// An owner at the limit sees a message instead of the form, and an open form is refused.
	full := func() {
		t.Helper()
		for _, path := range pages {
			if p := v.get(path).want(200).has(says); strings.Contains(p.body, `href="/portal/acme/keys/new"`) ||
				strings.Contains(p.body, `name="once"`) {
				t.Errorf("%s leads to a form, or is one", path)
			}
		}
		v.post("/portal/acme/keys", "/portal/acme/keys", with(good, "once", strings.Repeat("x", 22))).want(409).
			has("You have reached your limit of 2 active keys", "Create key")
	}
	full()
	v.get("/portal/acme/keys?lang=de").want(200).has("Limit von 2 aktiven Schlüsseln")
	v.post(keyPath(k), keyPath(k, "rotate"), url.Values{"grace": {"3600"}}).want(200)
	full()
	v.post(keyPath(k), keyPath(k, "end"), nil).want(303)
	full()
	s.owner("acme", "cust_2").get("/portal/acme/keys/new").want(200).hasNot(says)
	_, err := s.Revoke(t.Context(), "acme", v.newest().ID)
	check(t, err)
	v.create()
}

func TestBusy(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	k := v.create()
	s.minter.err = &mint.BusyError{RetryAfter: 1500 * time.Millisecond}
	for _, p := range []*page{
		v.post("/portal/acme/keys/new", "/portal/acme/keys", good),
		v.post(keyPath(k), keyPath(k, "rotate"), url.Values{"grace": {"3600"}}),
	} {
		p.want(http.StatusServiceUnavailable).has("Many keys are being created right now", "Web shop")
		if p.Header().Get("Retry-After") != "2" {
			t.Errorf("come again in %q", p.Header().Get("Retry-After"))
		}
	}
	s.minter.err = fmt.Errorf("it holds %w", errBroken)
	p := v.post("/portal/acme/keys/new", "/portal/acme/keys", good).want(http.StatusServiceUnavailable).
		has("Something went wrong").hasNot(errBroken.Error())
	if p.Header().Get("Retry-After") != "1" || !strings.Contains(s.log.String(), errBroken.Error()) {
		t.Error("no word of when, or none in the log:", s.log.String())
	}
}

func TestABrokenStore(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	s.store.err = errBroken
	for _, r := range routes() {
		v.do(r.method, r.path("acme", unknownID), r.form).want(http.StatusServiceUnavailable).hasNot(errBroken.Error())
	}
}
