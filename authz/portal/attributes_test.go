package portal_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

func (s *site) present(k store.Key) store.Key {
	s.t.Helper()
	k, err := s.Key(s.t.Context(), k.Workspace, k.ID)
	check(s.t, err)
	return k
}

// published reports whether verifiers find the key.
func (s *site) published(k store.Key) bool {
	set, ok := s.publisher.Set(k.Workspace)
	if ok {
		_, ok = set.Lookup(k.KID)
	}
	return ok
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	k := v.create()
	v.get(keyPath(k)).want(200).has("Pause this key", "Key history").hasNot("Resume key", "is paused")
	to := v.post(keyPath(k), keyPath(k, "pause"), url.Values{"reason": {" leaked?  "}}).want(303).saysDone(keyPath(k), "paused")
	v.get(to).want(200).has("Key paused. Gateways reject it", "This key is paused", "It was paused on this page on 4 March 2026",
		"Reason: leaked?", "Resume key", "Paused", "Revoke this key").hasNot("Pause this key", "Rotate this key")
	if s.published(k) || s.status(k) != store.Suspended {
		t.Error("verifiers find a paused key, which is", s.status(k))
	}
	v.get("/portal/acme/keys?status=suspended").want(200).has("Web shop", "Paused")
	v.get("/portal/acme/history").want(200).has("Key paused", "Web shop")
	v.post(keyPath(k), keyPath(k, "rotate"), url.Values{"grace": {"3600"}, "once": {strings.Repeat("x", 22)}}).want(409)
	to = v.post(keyPath(k), keyPath(k, "resume"), nil).want(303).saysDone(keyPath(k), "resumed")
	v.get(to).want(200).has("Key resumed.", "Active").hasNot("is paused")
	if !s.published(k) || s.present(k).SuspendedReason != "" {
		t.Error("verifiers do not find the key again, or its reason stays")
	}
	v.get("/portal/acme/history").want(200).has("Key resumed", "Key paused")
	v.post(keyPath(k), keyPath(k, "pause"), nil).want(303)
	v.post(keyPath(k), keyPath(k, "revoke"), url.Values{"confirm": {"Web shop"}}).want(303)
	v.post(keyPath(k), keyPath(k, "resume"), nil).want(409).has("The key has changed in the meantime")
	v.get(keyPath(k)).want(200).hasNot("is paused", "Change expiry", "Save addresses")
}

// An owner can't lift or rewrite the suspension by the provider, but sees its reason.
func TestOwnersCantResumeWhatTheProviderPaused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v, operator := s.owner("acme", "cust_1"), s.operator("acme")
	k := v.create()
	operator.post(anyPath(k), anyPath(k, "pause"), url.Values{"reason": {"abuse"}}).want(303).saysDone(anyPath(k), "paused")
	v.get(keyPath(k)).want(200).has("paused by the provider", "abuse", "Only the provider can resume it").hasNot("Resume key")
	for _, action := range []string{"resume", "pause"} {
		v.post(keyPath(k), keyPath(k, action), url.Values{"reason": {"mine"}}).want(409).has("The key has changed in the meantime")
	}
	if now := s.present(k); s.published(k) || now.SuspendedReason != "abuse" {
		t.Errorf("it is %s for %q", s.status(k), now.SuspendedReason)
	}
	operator.get(anyPath(k)).want(200).has("paused by the provider", "abuse", "Key paused")
	operator.post(anyPath(k), anyPath(k, "resume"), nil).want(303).saysDone(anyPath(k), "resumed")
	v.post(keyPath(k), keyPath(k, "pause"), url.Values{"reason": {"holiday"}}).want(303)
	operator.get(anyPath(k)).want(200).has("paused by its owner", "holiday", "Resume key")
	operator.post(anyPath(k), anyPath(k, "resume"), nil).want(303)
	if !s.published(k) {
		t.Error("the key is not back")
	}
}

// Paused keys count towards the limit of keys: otherwise an owner could have more by pausing some for a while.
func TestPausedKeysCount(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.update("acme", func(set *store.Workspace) { set.Policy = store.Policy{KeysPerOwner: 1} })
	v := s.owner("acme", "cust_1")
	k := v.create()
	v.post(keyPath(k), keyPath(k, "pause"), nil).want(303)
	v.get("/portal/acme/keys/new").want(200).has("You have reached your limit of 1 active key")
	v.post(keyPath(k), "/portal/acme/keys", with(good, "once", strings.Repeat("x", 22))).want(409)
}

func TestAllowedAddresses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	k := v.create()
	save := func(text string) *page {
		t.Helper()
		return v.post(keyPath(k), keyPath(k, "addresses"), url.Values{"addresses": {text}})
	}
	to := save("192.0.2.7, 2001:db8::1/32\r\n\r\n::ffff:198.51.100.0/120\n192.0.2.7").want(303).saysDone(keyPath(k), "addresses")
	v.get(to).want(200).has("Addresses saved.", "192.0.2.7 2001:db8::/32 198.51.100.0/24", "Only gateways that run Burnkey check this",
		"Allowed addresses changed")
	want := []netip.Prefix{
		netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("198.51.100.0/24"),
	}
	if got := s.present(k).AllowedIPs; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	for text, fault := range map[string]string{
		"192.0.2":                        "Enter addresses or networks only",
		"192.0.2.7 example.com":          "Enter addresses or networks only",
		"fe80::1%eth0":                   "Enter addresses or networks only",
		"<script>alert(1)</script>":      "Enter addresses or networks only",
		"192.0.2.1/33":                   "Enter addresses or networks only",
		strings.Repeat("192.0.2.1 ", 33): "At most 32 addresses",
		s.minter.last():                  "A token doesn’t belong here",
	} {
		p := save(text).want(422).has(fault)
		if !strings.Contains(p.body, `id="addresses-fault"`) || strings.Contains(p.body, "<script>alert") {
			t.Errorf("%s: is not said beside it, or is HTML", redact(text))
		}
	}
	if got := s.present(k).AllowedIPs; !slices.Equal(got, want) {
		t.Errorf("a refused list changed them to %v", got)
	}
	save(" ").want(303)
	if got := s.present(k).AllowedIPs; len(got) > 0 {
		t.Errorf("got %v", got)
	}
}

func TestChangeExpiry(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.update("acme", func(set *store.Workspace) { set.Policy = store.Policy{MaxExpiresIn: 100 * 86400} })
	v := s.owner("acme", "cust_1")
	k := v.create() // 30 days
	save := func(form ...string) *page {
		t.Helper()
		return v.post(keyPath(k), keyPath(k, "expiry"), with(url.Values{"expiry": {"date"}}, form...))
	}
	ends := func(want time.Time) {
		t.Helper()
		if got := s.present(k).ExpiresAt; !got.Equal(want) {
			t.Errorf("expires at %s, want %s", got, want)
		}
	}
	v.get(keyPath(k)).want(200).hasNot("Original expiry", "Never")
	to := save("date", "2026-06-11").want(303).saysDone(keyPath(k), "expiry")
	v.get(to).want(200).has("Expiry saved.", "11 June 2026, 23:59 UTC",
		"reject the key earlier, at its original expiry: 3 April 2026, 12:00 UTC", "Original expiry:", "Expiry changed")
	later := time.Date(2026, 6, 11, 23, 59, 59, 0, time.UTC)
	ends(later)
	for _, c := range []struct{ choice, date, fault string }{
		{"date", "2026-06-12", "on 11 June 2026 UTC at the latest"},
		{"date", "9999-12-31", "on 11 June 2026 UTC at the latest"},
		{"date", "2026-03-03", "can’t be in the past"},
		{"date", "soon", "Enter the date"},
		{"date", "", "Enter the date"},
		{"never", "", "never expire aren’t allowed"},
		{"2592000", "", "Choose when the key expires"},
		{"", "", "Choose when the key expires"},
	} {
		if p := save("expiry", c.choice, "date", c.date).want(422).has(c.fault); !strings.Contains(p.body, `id="expiry-fault"`) {
			t.Errorf("%+v: is not said beside it", c)
		}
	}
	ends(later)
	save("expiry", "signed").want(303)
	ends(k.ExpiresAt)
	v.get(keyPath(k)).want(200).hasNot("original expiry")
	save("date", "2026-03-04").want(303)
	v.get(keyPath(k)).want(200).has("4 March 2026, 23:59 UTC").hasNot("reject the key earlier")
	// The provider is bound by the policy alone.
	s.update("acme", func(set *store.Workspace) { set.Policy, set.AllowNeverExpires = store.Policy{}, true })
	save("expiry", "never").want(422)
	operator := s.operator("acme")
	operator.get(anyPath(k)).want(200).has("Never")
	operator.post(anyPath(k), anyPath(k, "expiry"), url.Values{"expiry": {"never"}}).want(303).saysDone(anyPath(k), "expiry")
	ends(time.Time{})
}

func TestChangeScopes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.update("acme", func(set *store.Workspace) {
		set.Policy.Scopes = []store.OfferedScope{{Name: "a", Description: "About a"}, {Name: "b"}, {Name: "c"}}
	})
	k := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Web shop", Scopes: []string{"a", "c"}})
	v := s.owner("acme", "cust_1", authz.LinkRequest{ScopesAllowed: []string{"a", "b"}})
	save := func(v *visitor, path func(store.Key, ...string) string, scopes ...string) *page {
		t.Helper()
		return v.post(path(k), path(k, "scopes"), url.Values{"scopes": scopes})
	}
	has := func(want string) {
		t.Helper()
		if got := strings.Join(s.present(k).Scopes, " "); got != want {
			t.Errorf("has %q, want %q", got, want)
		}
	}
	v.get(keyPath(k)).want(200).has("About a", "No longer offered")
	to := save(v, keyPath, "a", "b", "c").want(303).saysDone(keyPath(k), "scopes")
	has("a b c")
	v.get(to).want(200).has("Scopes saved.", "see the scopes that the key was issued with: a c", "Scopes changed")
	save(v, keyPath, "a").want(303)
	for _, wrong := range []string{"c", "x", `"`, strings.Repeat("a", 300)} {
		if p := save(v, keyPath, "a", wrong).want(422); !strings.Contains(p.body, `id="scopes-fault"`) {
			t.Errorf("%s: is not said beside it", wrong)
		}
	}
	has("a")
	save(v, keyPath).want(303)
	has("")
	operator := s.operator("acme")
	save(operator, anyPath, "b", "c").want(303).saysDone(anyPath(k), "scopes")
	has("b c")
	s.update("acme", func(set *store.Workspace) { set.Policy.Scopes = nil })
	operator.get(anyPath(k)).want(200).has("Separated by spaces.")
	save(operator, anyPath, " z   b").want(303)
	has("z b")
	save(operator, anyPath, "a b\\").want(422)
	has("z b")
}

// left reports what the limits of a key still allow, as a gateway does.
func (s *site) left(k store.Key, left ...store.Left) {
	s.t.Helper()
	report := authz.UsageReport{Uses: []store.Use{{KID: k.KID, At: s.clock(), Left: left}}}
	if unknown, err := s.RecordUsage(s.t.Context(), k.Workspace, report); err != nil || unknown > 0 {
		s.t.Fatalf("%d unknown, %v", unknown, err)
	}
}

// A key's page shows the rules that count its requests, and which gateways hold them.
func TestLimitsOfAKey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, r := range []authz.LimitsRequest{
		{On: jwks.OnPlan, Name: "free", Limits: []jwks.Limit{
			{Name: "burst", Requests: 100, Seconds: 60}, {Name: "monthly", Requests: 1, Calendar: jwks.Month},
		}},
		{On: jwks.OnOwner, Name: jwks.AnyName, Limits: []jwks.Limit{{Name: "daily", Requests: 5000, Calendar: jwks.Day}}},
		{On: jwks.OnOwner, Name: "cust_2", Limits: []jwks.Limit{{Name: "daily", Requests: 77, Calendar: jwks.Week}}},
	} {
		_, err := s.CreateLimits(t.Context(), "acme", r)
		check(t, err)
	}
	k := s.issue("acme", authz.IssueRequest{
		Owner: "cust_1", Name: "Web shop", Plan: "free", Limits: []jwks.Limit{{Name: "own", Requests: 3, Seconds: 1}},
	})
	texts := []string{
		"Plan free", "3 requests in 1 second for this key", "100 requests in 1 minute for each key with this plan",
		"1 request a month (UTC)", "5000 requests a day (UTC) for all keys of the owner together", "Only gateways that run Burnkey check this",
	}
	s.owner("acme", "cust_1").get(keyPath(k)).want(200).has(texts...).hasNot("77 requests")
	s.operator("acme").get(anyPath(k)).want(200).has(texts...)
	// The page shows the rest of each limit by the last report, with the report's age.
	v := s.owner("acme", "cust_1")
	v.get(keyPath(k)).want(200).has("No gateway has reported yet what is left.").hasNot(" left ")
	s.left(k, store.Left{
		On: jwks.OnPlan, Limit: jwks.Limit{Name: "burst", Requests: 100, Seconds: 60}, Remaining: 37, ResetAt: s.clock().Add(38 * time.Second),
	}, store.Left{
		On: jwks.OnOwner, Limit: jwks.Limit{Name: "daily", Requests: 4, Calendar: jwks.Day}, Remaining: 3, ResetAt: s.clock().Add(time.Hour),
	})
	s.advance(2 * time.Second)
	p := v.get(keyPath(k)).want(200).has("37 of 100 left all again on 4 March 2026, 12:00 UTC (in less than a minute)",
		"As a gateway reported it, less than a minute ago").hasNot("3 of 4 left", "of 5000 left", "of 3 left")
	if !strings.Contains(p.body, `<meter aria-hidden="true" min="0" max="100" value="37">`) {
		t.Error("there is no picture of what is left")
	}
	s.advance(5 * time.Minute)
	v.get(keyPath(k)).want(200).has("100 of 100 left", "As a gateway reported it, 5 minutes ago").hasNot("all again")
	s.operator("acme").get(anyPath(k)).want(200).has("100 of 100 left")
	other := s.issue("acme", authz.IssueRequest{Owner: "cust_2", Name: "Other"})
	s.owner("acme", "cust_2").get(keyPath(other)).want(200).has("77 requests a week (UTC)").hasNot("5000", "3 requests")
}

// A reason has the rules of a name and is never shown as HTML.
func TestHostileReasons(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	k := v.create()
	for reason, fault := range map[string]string{
		"a\nb": "can’t contain line breaks", "a\u202eb": "invisible characters", "a\xffb": "can’t contain",
		strings.Repeat("ä", 256): "at most 255 characters", s.minter.last(): "A token doesn’t belong here",
	} {
		p := v.post(keyPath(k), keyPath(k, "pause"), url.Values{"reason": {reason}}).want(http.StatusUnprocessableEntity).has(fault)
		if !strings.Contains(p.body, `id="reason-fault"`) {
			t.Errorf("%q: is not said beside it", redact(reason))
		}
	}
	if s.status(k) != store.Active {
		t.Fatal("paused for a refused reason")
	}
	const evil = `</p><script src="//evil.example"></script>{{.}}<img src=x onerror=alert(1)>`
	v.post(keyPath(k), keyPath(k, "pause"), url.Values{"reason": {evil}}).want(303)
	for _, p := range []*page{v.get(keyPath(k)), s.operator("acme").get(anyPath(k)), v.get("/portal/acme/history")} {
		if p.want(200); strings.Contains(p.body, "<script src=\"//evil") || strings.Contains(p.body, "<img") {
			t.Errorf("%s: the reason is HTML", p.what)
		}
	}
	v.get(keyPath(k)).has(evil)
}
