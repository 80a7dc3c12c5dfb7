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

func newUnder(k store.Key) string { return "/portal/acme/keys/new?parent=" + k.ID.String() }

// under sends the form for a key under a parent.
func (v *visitor) under(parent store.Key, changes ...string) *page {
	v.t.Helper()
	form := url.Values{"name": {"Agent"}, "expiry": {"604800"}, "parent": {parent.ID.String()}}
	return v.post("/portal/acme/keys/new", "/portal/acme/keys", with(form, changes...))
}

// withParent returns a site on which cust_1 has a key with the scopes a and b that works for 30 days.
func withParent(t *testing.T, changes ...func(*authz.IssueRequest)) (*site, store.Key) {
	t.Helper()
	s := newSite(t)
	s.update("acme", func(set *store.Workspace) {
		set.Policy.Scopes = []store.OfferedScope{{Name: "a", Description: "About a"}, {Name: "b"}, {Name: "c"}}
	})
	life := int64(30 * 86400)
	r := authz.IssueRequest{Owner: "cust_1", Name: "Main", Scopes: []string{"a", "b"}, ExpiresIn: &life}
	for _, change := range changes {
		change(&r)
	}
	return s, s.issue("acme", r)
}

func TestTheLifeOfAKeyUnderAKey(t *testing.T) {
	t.Parallel()
	s, main := withParent(t)
	s.plans("free", "pro")
	v := s.owner("acme", "cust_1")
	p := v.get(keyPath(main)).want(200).has("Request a plan", "Keys under this key", "New key under this one").
		hasNot("revoked with it", "paused with it", "Parent key")
	if !strings.Contains(p.body, `href="`+newUnder(main)+`"`) {
		t.Error("no link to the form")
	}
	s.advance(time.Second)
	v.get(newUnder(main)).want(200).has("Create a key under “Main”", "Set by the parent key", "3 April 2026, 12:00 UTC",
		"About a", "7 days", "Together with its parent key").hasNot("90 days", "365 days", "Never", "Plan")
	p = v.get(newUnder(main))
	if strings.Contains(p.body, `value="c"`) || !strings.Contains(p.body, `max="2026-04-03"`) || strings.Contains(p.body, `id="owner"`) {
		t.Error("the form offers more than the parent has, or asks for the owner")
	}
	if made := v.under(main, "scopes", "a").want(200); !strings.Contains(made.body, s.minter.last()) {
		t.Error("the page does not show the token")
	}
	agent := v.newest()
	if agent.Parent != main.ID || agent.Owner != "cust_1" || agent.Name != "Agent" || !slices.Equal(agent.Scopes, []string{"a"}) {
		t.Fatalf("it is %+v", agent)
	}
	v.get(keyPath(main)).want(200).has("Agent", "1 key under it is revoked with it.", "1 key under it is paused with it.",
		"1 key under it keeps working and moves under the new key.")
	for _, path := range []string{keyPath(agent), "/portal/acme/keys"} {
		if p := v.get(path).want(200).has("Parent key Main"); !strings.Contains(p.body, `href="`+keyPath(main)+`"`) {
			t.Errorf("%s: no link to the parent", path)
		}
	}
	v.get(keyPath(agent)).has("isn’t rotated", "11 March 2026").hasNot("New key under this one", "Rotate this key", "Request a plan")
	v.get(newUnder(agent)).want(http.StatusConflict).has("changed in the meantime").hasNot("Create a key under")
	v.post(keyPath(agent), keyPath(agent, "rotate"), url.Values{"grace": {"0"}, "once": {strings.Repeat("q", 22)}}).
		want(http.StatusConflict).has("isn’t rotated")

	v.post(keyPath(main), keyPath(main, "pause"), url.Values{"reason": {"holiday"}}).want(303)
	v.get(keyPath(agent)).want(200).has("paused together with its parent key", "It is resumed when its parent key is: Main").
		hasNot("Resume key", "paused by the provider", "Only the provider")
	v.post(keyPath(agent), keyPath(agent, "resume"), nil).want(http.StatusConflict).has("changed in the meantime")
	v.get(keyPath(main)).want(200).has("1 key under it is revoked").hasNot("New key under this one")
	v.get(newUnder(main)).want(http.StatusConflict)
	v.post(keyPath(main), keyPath(main, "resume"), nil).want(303)

	v.post(keyPath(main), keyPath(main, "rotate"), url.Values{"grace": {"3600"}}).want(200)
	successor := v.newest()
	v.get(keyPath(main)).want(200).hasNot("Keys under this key")
	v.get(keyPath(successor)).want(200).has("Agent", "1 key under it is revoked with it.")
	v.post(keyPath(successor), keyPath(successor, "revoke"), url.Values{"confirm": {"Main"}}).want(303)
	if s.status(agent) != store.Revoked || s.published(agent) {
		t.Error("the parent is revoked, and the key under it is", s.status(agent))
	}
	v.get(keyPath(successor)).want(200).hasNot("Keys under this key", "revoked with it")
	v.get(keyPath(agent)).want(200).has("Parent key Main")
}

func TestFaultsOfKeysUnderAKey(t *testing.T) {
	t.Parallel()
	s, main := withParent(t, func(r *authz.IssueRequest) { r.AllowedIPs = []string{"10.0.0.0/8"} })
	v := s.owner("acme", "cust_1")
	s.advance(time.Second)
	for _, c := range []struct{ field, value, at, want string }{
		{"name", "", "name", "Enter a name"},
		{"scopes", "c", "scopes", "Choose only scopes that the parent key has."},
		{"scopes", "x", "scopes", "Choose from the scopes on offer"},
		{"expiry", "7776000", "expiry", "can’t expire later than its parent key"},
		{"expiry", "9223372036854775807", "expiry", "can’t expire later than its parent key"},
		{"expiry", "never", "expiry", "can’t expire later than its parent key"},
		{"expiry", "date", "expiry", "can’t expire later than its parent key"},
		{"expiry", "", "expiry", "Choose when the key expires."},
		{"addresses", "192.0.2.7", "addresses", "Enter only addresses within those of the parent key."},
		{"addresses", "10.0.0.0/7", "addresses", "Enter only addresses within those of the parent key."},
		{"addresses", "ten", "addresses", "Enter addresses or networks only"},
		{"addresses", s.minter.last(), "addresses", "A token doesn’t belong here"},
	} {
		p := v.under(main, c.field, c.value, "date", "2026-04-04").want(422).has(c.want, "Create a key under “Main”").
			hasNot(jwks.TokenPrefix)
		if !strings.Contains(p.body, `id="`+c.at+`-fault"`) || !strings.Contains(p.body, `id="`+c.at+`"`) ||
			!strings.Contains(p.body, `name="parent" value="`+main.ID.String()+`"`) {
			t.Errorf("%s %q: no error beside the field", c.field, redact(c.value))
		}
	}
	if len(s.minter.tokens) != 1 {
		t.Fatal("a key was made")
	}
	// A form without networks gives the key those of its parent. On the parent's last day, both expire at the same moment.
	for expiry, want := range map[string]time.Time{
		"parent": main.ExpiresAt, "date": main.ExpiresAt, "2592000": main.ExpiresAt, "604800": s.clock().Add(7 * 24 * time.Hour),
	} {
		v.under(main, "expiry", expiry, "date", "2026-04-03").want(200)
		k := v.newest()
		if off := want.Sub(k.ExpiresAt); off < 0 || off > time.Second || len(k.Scopes) > 0 || !slices.Equal(k.AllowedIPs, main.AllowedIPs) {
			t.Errorf("%s: it expires at %s and is %+v", expiry, k.ExpiresAt, k)
		}
	}
	v.under(main, "addresses", "10.1.2.3, 10.2.0.0/16").want(200)
	want := []netip.Prefix{netip.MustParsePrefix("10.1.2.3/32"), netip.MustParsePrefix("10.2.0.0/16")}
	if k := v.newest(); !slices.Equal(k.AllowedIPs, want) {
		t.Errorf("it has %v", k.AllowedIPs)
	}
	s.update("acme", func(set *store.Workspace) { set.Policy.KeysPerOwner = 2 })
	v.under(main, "once", strings.Repeat("q", 22)).want(http.StatusConflict).has("You have reached your limit of 2 active keys").
		hasNot(jwks.TokenPrefix)
	v.get(newUnder(main)).want(200).has("You have reached your limit")
}

// Under a key that never expires, a key can expire or not.
func TestUnderAKeyThatNeverExpires(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.update("acme", func(set *store.Workspace) { set.AllowNeverExpires, set.Policy.PortalNeverExpires = true, true })
	main := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Main", NeverExpires: true, Scopes: []string{"a"}})
	v := s.owner("acme", "cust_1")
	v.get(newUnder(main)).want(200).has("Never", "365 days", "have no scopes").hasNot("Together with")
	v.under(main, "expiry", "parent").want(422).has("Choose when the key expires")
	v.under(main, "expiry", "never").want(200)
	if k := v.newest(); !k.ExpiresAt.IsZero() || k.Parent != main.ID {
		t.Errorf("it is %+v", k)
	}
	v.under(main).want(200)
	// The policy's scopes bind the page, as for any new key.
	v.under(main, "scopes", "a").want(422).has("Choose from the scopes on offer")
}

// Before a form is sent, or while its key is made, the parent can end or get its last possible key.
func TestParentsThatChangeMeanwhile(t *testing.T) {
	t.Parallel()
	s, main := withParent(t)
	v := s.owner("acme", "cust_1")
	refused := func(p *page, text string) {
		t.Helper()
		if p.want(422).has(text, "Create a key under").hasNot(jwks.TokenPrefix); !strings.Contains(p.body, `id="parent-fault"`) ||
			!strings.Contains(p.body, `href="#parent"`) {
			t.Error("no error beside the parent")
		}
	}
	const ended = "No key can be created under this one"
	s.minter.late = func() {
		s.minter.late = nil
		_, err := s.Revoke(t.Context(), "acme", main.ID)
		check(t, err)
	}
	refused(v.under(main, "scopes", "a"), ended)
	refused(v.under(main), ended)
	v.get(newUnder(main)).want(http.StatusConflict)

	short := int64(60)
	brief := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Brief", ExpiresIn: &short})
	p := v.get(newUnder(brief)).want(200).hasNot("7 days")
	if !strings.Contains(p.body, `id="expiry" name="expiry" value="parent" checked`) {
		t.Error("a fault of the expiry has no field, or none is chosen")
	}
	v.under(brief, "expiry", "parent").want(200)
	v.get("/portal/acme/keys").want(200).has("1 key expires soon") // not the one under it, which can't be rotated
	s.advance(time.Minute)
	refused(v.under(brief, "expiry", "parent"), ended)

	second := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Second"})
	for range store.MaxChildren {
		s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Agent", Parent: second.ID})
	}
	refused(v.under(second), "has 100 keys under it")
	p = v.get(keyPath(second)).want(200).has("100 keys under it are revoked with it.", "This key has 100 keys under it").
		hasNot("New key under this one")
	if n := strings.Count(p.body, "Agent</bdi>"); n < store.MaxChildren {
		t.Errorf("the page lists %d keys", n)
	}
	_, err := s.Revoke(t.Context(), "acme", v.newest().ID)
	check(t, err)
	v.get(keyPath(second)).want(200).has("99 keys under it are revoked with it.", "New key under this one")

	s.update("acme", func(set *store.Workspace) { set.Audiences = []string{"web"} })
	third := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Third"})
	s.update("acme", func(set *store.Workspace) { set.Audiences = []string{"batch"} })
	refused(v.under(third), "no longer offers one of its audiences")
}

// An owner can't create keys under the keys of others, or see whether they exist.
func TestParentsOfOthers(t *testing.T) {
	t.Parallel()
	s, _ := withParent(t)
	foreign := []store.Key{s.issue("other", authz.IssueRequest{Owner: "cust_1", Name: "Theirs"}), s.withHome()}
	for name, v := range map[string]*visitor{"an owner": s.owner("acme", "cust_1"), "an operator": s.operator("acme")} {
		keys := foreign
		root := "/portal/acme/operator/keys"
		if name == "an owner" {
			keys, root = append(theirs(s), foreign...), "/portal/acme/keys"
		}
		before := everything(s)
		answers := func(id string) (shown, sent string) {
			shown = v.get(root + "/new?parent=" + id).want(http.StatusNotFound).body
			sent = v.post(root+"/new", root, with(good, "parent", id, "owner", "cust_1")).want(http.StatusNotFound).body
			return unique.ReplaceAllString(shown, ""), unique.ReplaceAllString(sent, "")
		}
		noneShown, noneSent := answers(unknownID)
		for _, id := range append(idsOf(keys), "x", strings.Repeat("0", 300), "%00") {
			if shown, sent := answers(id); shown != noneShown || sent != noneSent {
				t.Errorf("%s: the answers reveal that %s exists", name, id)
			}
		}
		if after := everything(s); after != before {
			t.Errorf("%s: was\n%s, is\n%s", name, before, after)
		}
	}
}

func idsOf(keys []store.Key) (ids []string) {
	for _, k := range keys {
		ids = append(ids, k.ID.String())
	}
	return ids
}

// An operator creates a key under an owner's key, for the same owner. The form shows the parent's plan and does not ask for one.
func TestOperatorsCreateUnderAKey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.plans("free", "pro")
	main := s.issue("acme", authz.IssueRequest{
		Owner: "cust_1", Name: "Main", Scopes: []string{"x"}, Plan: "free", Limits: []jwks.Limit{{Name: "own", Requests: 3, Seconds: 1}},
	})
	v := s.operator("acme")
	const path = "/portal/acme/operator/keys"
	from := path + "/new?parent=" + main.ID.String()
	p := v.get(anyPath(main)).want(200).has("New key under this one")
	if !strings.Contains(p.body, `href="`+from+`"`) {
		t.Error("no link to the form")
	}
	if p := v.get(from).want(200).has("cust_1", "Plan free", "3 requests in 1 second"); !strings.Contains(p.body, `value="x"`) ||
		strings.Contains(p.body, `name="owner"`) || strings.Contains(p.body, `name="plan"`) {
		t.Error("the form asks for what the parent fixes, or lacks its scope")
	}
	form := with(good, "parent", main.ID.String(), "owner", "cust_2", "name", "Agent", "scopes", "x", "plan", "pro", "expiry", "604800")
	v.post(from, path, form).want(200)
	agent := v.newest()
	if agent.Owner != "cust_1" || agent.Parent != main.ID || agent.Plan != "free" || len(agent.Limits) != 1 || len(agent.Scopes) != 1 {
		t.Fatalf("it is %+v", agent)
	}
	v.get(anyPath(main)).want(200).has("Agent", "1 key under it is revoked with it.", "1 key under it is paused with it.")
	v.get(anyPath(agent)).want(200).has("Parent key Main").hasNot("New key under this one", "Save plan")
	v.get(path+"?col=parent").want(200).has("Parent key", "Key …"+main.ID.String()[28:])
	for action, form := range map[string]url.Values{
		"plan": {"plan": {"pro"}}, "scopes": {"scopes": {"x y"}}, "expiry": {"expiry": {"date"}, "date": {"2027-02-20"}},
	} {
		v.post(anyPath(agent), anyPath(agent, action), form).want(422).has("parent key").hasNot("out of date")
	}
	const note = "Keys under these are revoked or paused with them"
	v.get("/portal/acme/operator/revoke?id=" + main.ID.String()).want(200).has(note)
	v.get("/portal/acme/operator/revoke?id=" + agent.ID.String()).want(200).hasNot(note)
	v.get("/portal/acme/operator/revoke?do=resume&id=" + main.ID.String()).want(200).hasNot(note)
}

// On the page of a key with a parent, the forms offer what the parent allows. If more is sent, the error is beside its field.
func TestChangesOfKeysUnderAKey(t *testing.T) {
	t.Parallel()
	s, main := withParent(t, func(r *authz.IssueRequest) { r.AllowedIPs = []string{"10.0.0.0/8"} })
	s.update("acme", func(set *store.Workspace) { set.AllowNeverExpires, set.Policy.PortalNeverExpires = true, true })
	v := s.owner("acme", "cust_1")
	v.under(main, "scopes", "a").want(200)
	agent := v.newest()
	p := v.get(keyPath(agent)).want(200).has("Only within those of the parent key: 10.0.0.0/8", "No later than its parent key: 3 April 2026").
		hasNot("Never")
	if strings.Contains(p.body, `value="c"`) || !strings.Contains(p.body, `max="2026-04-03"`) {
		t.Error("the page offers more than the parent has")
	}
	for _, c := range []struct {
		action string
		form   url.Values
		want   string
	}{
		{"scopes", url.Values{"scopes": {"a", "c"}}, "Choose only scopes that the parent key has."},
		{"expiry", url.Values{"expiry": {"date"}, "date": {"2026-04-04"}}, "can’t expire later than its parent key"},
		{"expiry", url.Values{"expiry": {"never"}}, "can’t expire later than its parent key"},
		{"addresses", url.Values{"addresses": {"192.0.2.7"}}, "Enter only addresses within those of the parent key."},
		{"addresses", url.Values{"addresses": {""}}, "Enter only addresses within those of the parent key."},
	} {
		p := v.post(keyPath(agent), keyPath(agent, c.action), c.form).want(422).has(c.want)
		if !strings.Contains(p.body, `id="`+c.action+`-fault"`) {
			t.Errorf("%s %v: no error beside the field", c.action, c.form)
		}
	}
	v.post(keyPath(agent), keyPath(agent, "expiry"), url.Values{"expiry": {"date"}, "date": {"2026-04-03"}}).want(303)
	v.post(keyPath(agent), keyPath(agent, "scopes"), url.Values{"scopes": {"a", "b"}}).want(303)
	if now := s.present(agent); !now.ExpiresAt.Equal(main.ExpiresAt) || len(now.Scopes) != 2 {
		t.Errorf("it is %+v", now)
	}
	// A key that its owner paused does not resume with its parent.
	v.post(keyPath(agent), keyPath(agent, "pause"), nil).want(303)
	v.post(keyPath(main), keyPath(main, "pause"), nil).want(303)
	v.get(keyPath(main)).want(200).hasNot("is paused with it")
	v.post(keyPath(agent), keyPath(agent, "resume"), nil).want(303).leadsTo(keyPath(agent))
	v.get(keyPath(agent)).want(200).has("paused together with its parent key").hasNot("Key resumed.")
	v.get(keyPath(agent)+"?lang=de").want(200).has("zusammen mit dem übergeordneten Schlüssel pausiert", "Übergeordneter Schlüssel Main")
	v.get(keyPath(main) + "?lang=de").want(200).has("Mit ihm wird 1 Schlüssel unter ihm widerrufen.")
}

// Keys can be created on the page of an imported key, too.
func TestAKeyUnderAnImportedKey(t *testing.T) {
	t.Parallel()
	s, _ := withParent(t)
	digest := jwks.SHA256Digest("IL1deIyHyQA40WpeLeA1bIUXuvTwlGjo").String()
	got, err := s.Import(t.Context(), "acme", []authz.ImportEntry{{Digest: digest, Owner: "cust_1", Name: "Old", Scopes: []string{"a"}}})
	check(t, err)
	v, main := s.owner("acme", "cust_1"), got[0].Key
	v.get(keyPath(main)).want(200).has("Imported", "New key under this one")
	v.get(newUnder(main)).want(200).has("Create a key under “Old”", "About a")
	if made := v.under(main, "scopes", "a").want(200); !strings.Contains(made.body, s.minter.last()) {
		t.Error("the page does not show the token")
	}
	v.get(keyPath(main)).want(200).has("Agent", "revoked with it")
}
