package portal_test

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"image"
	"image/png"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

const settingsPath = "/portal/acme/operator/settings"

// value returns the text of a field, or "true" or "false" for a checkbox.
func (p *page) value(id string) string {
	p.t.Helper()
	if m := regexp.MustCompile(`<textarea id="` + id + `"[^>]*>\n?([^<]*)</textarea>`).FindStringSubmatch(p.body); m != nil {
		return html.UnescapeString(m[1])
	}
	element := regexp.MustCompile(`<input [^>]*id="` + id + `"[^>]*>`).FindString(p.body)
	if element == "" {
		p.t.Fatalf("%s has no field %s", p.what, id)
	}
	if strings.Contains(element, `type="checkbox"`) {
		return fmt.Sprint(strings.Contains(element, " checked"))
	}
	m := regexp.MustCompile(` value="([^"]*)"`).FindStringSubmatch(element)
	return html.UnescapeString(m[1])
}

// forms returns the values of both forms on the settings page.
func (p *page) forms() (policy, look url.Values) {
	p.t.Helper()
	versions := regexp.MustCompile(`name="version" value="([^"]*)"`).FindAllStringSubmatch(p.body, -1)
	units := regexp.MustCompile(`<option value="(days|hours|minutes|seconds)" selected>`).FindAllStringSubmatch(p.body, -1)
	if len(versions) != 2 || len(units) != 2 {
		p.t.Fatalf("%s has %d forms and %d units: %s", p.what, len(versions), len(units), p.told())
	}
	csrf := p.hidden("csrf")
	policy = url.Values{
		"csrf": {csrf}, "version": {versions[0][1]}, "scopes": {p.value("scopes")}, "default": {p.value("default")},
		"default_unit": {units[0][1]},
		"max":          {p.value("max")}, "max_unit": {units[1][1]}, "perowner": {p.value("perowner")},
	}
	if p.value("never") == "true" {
		policy.Set("never", "yes")
	}
	look = url.Values{"csrf": {csrf}, "version": {versions[1][1]}, "name": {p.value("name")}, "accent": {p.value("accent")}}
	return policy, look
}

// upload sends a form that may have a file, encoded as a browser does.
func (v *visitor) upload(path string, form url.Values, file []byte) *page {
	v.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name, values := range form {
		for _, value := range values {
			check(v.t, w.WriteField(name, value))
		}
	}
	name := ""
	if file != nil {
		name = "logo.png"
	}
	part, err := w.CreatePart(map[string][]string{
		"Content-Disposition": {`form-data; name="logo"; filename="` + name + `"`}, "Content-Type": {"application/octet-stream"},
	})
	check(v.t, err)
	_, err = part.Write(file)
	check(v.t, err)
	check(v.t, w.Close())
	before := v.header
	v.header = http.Header{"Content-Type": {w.FormDataContentType()}}
	defer func() { v.header = before }()
	return v.send(http.MethodPost, path, &body)
}

func (s *site) acme() store.Workspace {
	s.t.Helper()
	w, err := s.Workspace(s.t.Context(), "acme")
	check(s.t, err)
	return w
}

func logoOf(t *testing.T, side int) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, side, side))
	for i := range img.Pix { // noise can't be compressed
		img.Pix[i] = byte(rand.Uint32())
	}
	var b bytes.Buffer
	check(t, png.Encode(&b, img))
	return b.Bytes()
}

// fixed changes the settings that no form can change.
func fixed(s *site) {
	portal := policyOf(s, "acme")
	portal.BaseURL, portal.FrameAncestors = "https://api.acme.test/v1", []string{"https://app.example.test"}
	portal.OIDC = &store.OIDC{
		Issuer: "https://login.example.test", ClientID: "portal", OwnerClaim: "org", OperatorClaim: "groups",
		OperatorValue: "staff",
	}
	s.update("acme", func(set *store.Workspace) {
		set.Portal = portal
		set.Audiences = []string{"web", "batch"}
		set.Policy = store.Policy{Webhook: "https://hooks.example.test/x"}
	})
}

func TestSavePolicy(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fixed(s)
	v := s.operator("acme")
	p := v.get(settingsPath).want(200).has("https://app.example.test", "https://api.acme.test/v1", "https://login.example.test",
		"groups: staff", "https://hooks.example.test/x",
		"Change them with a management key: PATCH /v1/workspaces/acme", "If empty: 90 days.")
	before := s.acme()
	form, _ := p.forms()
	for name, value := range map[string]string{
		"scopes": " maps:read  Look at maps \r\n\r\nmaps:write\r\n", "default": "30",
		"max": "36", "max_unit": "hours", "perowner": "7",
	} {
		form.Set(name, value)
	}
	form.Set("default_unit", "minutes")
	form.Del("never")
	form["audience"] = []string{"batch", "no such"}
	to := v.do("POST", settingsPath+"/policy", form).want(303).saysDone(settingsPath, "policy")
	want := store.Policy{
		Scopes:           []store.OfferedScope{{Name: "maps:read", Description: "Look at maps"}, {Name: "maps:write"}},
		DefaultExpiresIn: 1800, MaxExpiresIn: 36 * 3600,
		KeysPerOwner: 7, DefaultAudience: []string{"batch"}, Webhook: before.Policy.Webhook,
	}
	if w := s.acme(); !reflect.DeepEqual(w.Policy, want) || w.AllowNeverExpires || !reflect.DeepEqual(w.Portal, before.Portal) {
		t.Errorf("it is %+v", w)
	}
	p = v.get(to).want(200).has("Rules for keys saved.")
	shown, _ := p.forms()
	for name, value := range map[string]string{
		"scopes": "maps:read Look at maps\nmaps:write", "default": "30", "default_unit": "minutes", "max": "36",
		"max_unit": "hours", "perowner": "7", "never": "",
	} {
		if shown.Get(name) != value {
			t.Errorf("%s shows %q", name, shown.Get(name))
		}
	}
	if p.value("audience") != "false" || p.value("audience-1") != "true" {
		t.Error("another audience is ticked")
	}
	entries, _, err := s.Audit(t.Context(), "acme", store.AuditFilter{Action: store.ActionWorkspaceUpdate, ActorID: "staff", Limit: 9})
	check(t, err)
	if len(entries) != 1 || entries[0].Actor.Kind != store.ActorOperator || !strings.Contains(string(entries[0].Detail), "maps:write") {
		t.Errorf("what is noted is %+v", entries)
	}
	// Saving unchanged values is not a change.
	shown["audience"] = []string{"batch"}
	v.do("POST", settingsPath+"/policy", shown).want(303)
	if again, _, err := s.Audit(t.Context(), "acme", store.AuditFilter{
		ActorID: "staff", Action: store.ActionWorkspaceUpdate,
		Limit: 9,
	}); err != nil || len(again) != 1 {
		t.Errorf("%d changes, %v", len(again), err)
	}
	// All fields may be empty.
	for _, name := range []string{"scopes", "default", "max", "perowner", "audience"} {
		shown.Set(name, "")
	}
	shown.Set("never", "yes")
	v.do("POST", settingsPath+"/policy", shown).want(303)
	if w := s.acme(); !reflect.DeepEqual(w.Policy, store.Policy{Webhook: before.Policy.Webhook}.Clone()) || !w.AllowNeverExpires {
		t.Errorf("it is %+v", w.Policy)
	}
	v.get(settingsPath + "/policy").want(303).leadsTo(settingsPath)
}

func TestPolicyFaults(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fixed(s)
	v := s.operator("acme")
	good, _ := v.get(settingsPath).forms()
	before := everything(s)
	for _, c := range []struct{ field, value, says string }{
		{"scopes", "a\na x", "each scope only once"},
		{"scopes", `a"b`, "without quotes"},
		{"scopes", "grün", "letters from A to Z"},
		{"scopes", "a " + strings.Repeat("x", 256), "at most 255 characters"},
		{"scopes", strings.Repeat("s", 129), "at most 128 characters"},
		{"scopes", scopesOf(65), "Enter at most 64 scopes"},
		{"scopes", "a\x00", "letters from A to Z"},
		{"scopes", "a \xff", "Start each line"},
		{"default", "x", "Enter a whole number"},
		{"default", "0", "Enter a whole number"},
		{"default", "-1", "Enter a whole number"},
		{"default", "1.5", "Enter a whole number"},
		{"default", "3651", "for longer than the longest time"},
		{"default", "2147483647", "for longer than the longest time"},
		{"default", "99999999999999999999", "Enter a whole number"},
		{"max", "3651", "can’t exceed 3650 days"},
		{"max", "0", "Enter a whole number"},
		{"max", "30 days", "Enter a whole number"},
		{"perowner", "0", "from 1 to 100000"},
		{"perowner", "100001", "from 1 to 100000"},
		{"perowner", "4294967297", "from 1 to 100000"},
		{"perowner", "many", "from 1 to 100000"},
	} {
		p := v.do("POST", settingsPath+"/policy", with(good, c.field, c.value)).want(422).has("There is a problem", c.says)
		if !strings.Contains(p.body, `id="`+c.field+`-fault"`) || !strings.Contains(p.body, `href="#`+c.field+`"`) {
			t.Errorf("%s %q: the fault is not at its field", c.field, c.value)
		}
		if utf8.ValidString(c.value) && !strings.Contains(c.value, "\x00") && p.value(c.field) != c.value {
			t.Errorf("%s %q: becomes %q", c.field, c.value, p.value(c.field))
		}
	}
	p := v.do("POST", settingsPath+"/policy", with(good, "default_unit", "years", "default", "1", "max", "x", "perowner", "-",
		"scopes", "a b\na")).want(422).has("There are 4 problems")
	for _, id := range []string{"scopes", "default", "max", "perowner"} {
		if !strings.Contains(p.body, `id="`+id+`-fault"`) {
			t.Errorf("%s has no fault", id)
		}
	}
	v.do("POST", settingsPath+"/policy", with(good, "max", "1", "default", "2")).want(422).has("for longer than the longest time")
	v.do("POST", settingsPath+"/policy", with(good, "scopes", strings.Repeat("x", 4<<20))).want(http.StatusRequestEntityTooLarge)
	if after := everything(s); after != before {
		t.Errorf("was\n%s, is\n%s", before, after)
	}
}

func scopesOf(n int) string {
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, "s%d\n", i)
	}
	return strings.TrimSpace(lines.String())
}

// logo returns acme's stored logo, or nil.
func (s *site) logo() []byte {
	s.t.Helper()
	picture, err := s.Logo(s.t.Context(), "acme")
	if !errors.Is(err, authz.ErrNotFound) {
		check(s.t, err)
	}
	return picture
}

func TestSaveLook(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fixed(s)
	v := s.operator("acme")
	before := s.acme()
	_, form := v.get(settingsPath).forms()
	logo := logoOf(t, 200)
	form = with(form, "name", " Acme Maps ", "accent", "#FFD400")
	to := v.upload(settingsPath+"/look", form, logo).want(303).saysDone(settingsPath, "look")
	w := s.acme()
	if p := w.Portal; p.DisplayName != "Acme Maps" || p.BaseURL != before.Portal.BaseURL || p.Accent != "#ffd400" ||
		!bytes.Equal(s.logo(), logo) ||
		!reflect.DeepEqual(p.OIDC, before.Portal.OIDC) || len(p.FrameAncestors) != 1 || !reflect.DeepEqual(w.Policy, before.Policy) {
		t.Errorf("it is %+v, %+v", w.Policy, w.Portal.OIDC)
	}
	p := v.get(to).want(200).has("Appearance saved.", "Leave empty to keep the current logo.")
	if !strings.Contains(p.body, "/portal/acme/logo.png") {
		t.Error("the page shows no logo")
	}
	_, form = p.forms()
	if form.Get("name") != "Acme Maps" || form.Get("accent") != "#ffd400" {
		t.Errorf("it shows %v", form)
	}
	// A form sent without a file leaves the logo unchanged, and so does one without the file field.
	v.upload(settingsPath+"/look", with(form, "accent", ""), nil).want(303)
	_, form = v.get(settingsPath).forms()
	v.do("POST", settingsPath+"/look", with(form, "name", "")).want(303)
	if p := s.acme().Portal; p.Accent != "" || p.DisplayName != "" || !bytes.Equal(s.logo(), logo) {
		t.Errorf("it is %q, %q, a logo of %d bytes", p.Accent, p.DisplayName, len(s.logo()))
	}
	_, form = v.get(settingsPath).forms()
	v.upload(settingsPath+"/look", with(form, "nologo", "yes"), nil).want(303)
	if p := s.acme().Portal; p.LogoHash != "" || len(s.logo()) > 0 || p.BaseURL != before.Portal.BaseURL {
		t.Error("the logo stays, or more than it has gone")
	}
	v.get(settingsPath).hasNot("Remove the current logo")
}

// Operators can't change base_url, to which examples send new tokens.
func TestTheLookLeadsNoTokenElsewhere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fixed(s)
	v := s.operator("acme")
	_, look := v.get(settingsPath).forms()
	v.upload(settingsPath+"/look", with(look, "name", "Acme Maps", "url", "https://elsewhere.test", "base_url",
		"https://elsewhere.test"), nil).want(303)
	p := s.owner("acme", "cust_1").post("/portal/acme/keys/new", "/portal/acme/keys", good).want(200)
	if w := s.acme(); w.Portal.DisplayName != "Acme Maps" || strings.Contains(p.body, "elsewhere.test") ||
		!strings.Contains(p.body, "https://api.acme.test/v1") {
		t.Errorf("it is %+v", w.Portal)
	}
}

func TestLookFaults(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fixed(s)
	v := s.operator("acme")
	_, good := v.get(settingsPath).forms()
	before := everything(s)
	for _, c := range []struct{ field, value, says string }{
		{"name", strings.Repeat("ä", 256), "at most 255 characters"},
		{"name", "a\x07b", "control characters"},
		{"accent", "red", "six hexadecimal digits"},
		{"accent", "#FFF", "six hexadecimal digits"},
		{"accent", "#ffffff}", "six hexadecimal digits"},
	} {
		p := v.upload(settingsPath+"/look", with(good, c.field, c.value), nil).want(422).has(c.says)
		if !strings.Contains(p.body, `id="`+c.field+`-fault"`) || p.value(c.field) != c.value {
			t.Errorf("%s %q: the fault is not at its field, or what was typed is gone", c.field, c.value)
		}
	}
	for name, logo := range map[string][]byte{
		"no picture": []byte("<svg/>"), "half a picture": logoOf(t, 64)[:20], "too large a one": logoOf(t, 300),
		"a huge one": bytes.Repeat([]byte{1}, 3<<20),
	} {
		p := v.upload(settingsPath+"/look", good, logo).want(422).has("Choose a PNG file of at most 64 KiB")
		if !strings.Contains(p.body, `id="logo-fault"`) {
			t.Errorf("%s: the fault is not at its field", name)
		}
	}
	p := v.upload(settingsPath+"/look", with(good, "name", "a\x07b", "accent", "red"), logoOf(t, 300)).want(422).has("There are 3 problems")
	for _, id := range []string{"name", "accent", "logo"} {
		if !strings.Contains(p.body, `id="`+id+`-fault"`) {
			t.Errorf("%s has no fault", id)
		}
	}
	v.upload(settingsPath+"/look", good, bytes.Repeat([]byte{1}, 5<<20)).want(http.StatusRequestEntityTooLarge)
	if after := everything(s); after != before {
		t.Errorf("was\n%s, is\n%s", before, after)
	}
}

// Saving settings that somebody else has changed since the form was shown fails visibly. Changes of other
// settings do not conflict.
func TestTwoOperatorsAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fixed(s)
	one, two := s.operator("acme"), s.operator("acme")
	firstPolicy, firstLook := one.get(settingsPath).forms()
	policy, look := two.get(settingsPath).forms()
	one.do("POST", settingsPath+"/policy", with(firstPolicy, "perowner", "3", "scopes", "maps:read")).want(303)
	two.upload(settingsPath+"/look", with(look, "name", "Two"), nil).want(303)
	p := two.do("POST", settingsPath+"/policy", with(policy, "perowner", "5", "scopes", "maps:read Look")).want(409).
		has("Someone else has changed these settings in the meantime", "Your unsaved changes", "maps:read Look",
			"Most keys that one customer can have 5")
	if w := s.acme(); w.Policy.KeysPerOwner != 3 || w.Policy.Scopes[0].Description != "" || w.Portal.DisplayName != "Two" {
		t.Errorf("it is %+v, %s", w.Policy, w.Portal.DisplayName)
	}
	if p.value("perowner") != "3" || p.value("scopes") != "maps:read" {
		t.Error("the form does not show what is there")
	}
	again, _ := p.forms() // the form now has the current version, so saving works
	two.do("POST", settingsPath+"/policy", with(again, "perowner", "5")).want(303)
	one.upload(settingsPath+"/look", with(firstLook, "name", "One"), nil).want(409).has("Display name One")
	if w := s.acme(); w.Policy.KeysPerOwner != 5 || w.Portal.DisplayName != "Two" {
		t.Errorf("it is %d, %s", w.Policy.KeysPerOwner, w.Portal.DisplayName)
	}
	// Other settings that the API has changed stay changed, and do not conflict.
	_, look = one.get(settingsPath).forms()
	portal := policyOf(s, "acme")
	portal.FrameAncestors = nil
	rules := s.acme().Policy
	rules.Webhook = "https://hooks.example.test/y"
	policy, _ = one.get(settingsPath).forms()
	s.update("acme", func(set *store.Workspace) { set.Portal = portal; set.Policy = rules })
	one.upload(settingsPath+"/look", with(look, "name", "Three"), nil).want(303)
	one.do("POST", settingsPath+"/policy", with(policy, "perowner", "6")).want(303)
	if w := s.acme(); len(w.Portal.FrameAncestors) > 0 || w.Portal.DisplayName != "Three" || w.Policy.Webhook != rules.Webhook ||
		w.Policy.KeysPerOwner != 6 {
		t.Errorf("it is %+v, %+v", w.Portal, w.Policy)
	}
	two.do("POST", settingsPath+"/policy", with(again, "version", "x")).want(409)
}

// A token that was pasted into a settings field is not shown again.
func TestNoTokenInSettings(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.operator("acme")
	s.issue("acme", authz.IssueRequest{Owner: "cust_1"})
	token := s.minter.last()
	policy, look := v.get(settingsPath).forms()
	before := everything(s)
	for _, name := range []string{"scopes", "default", "max", "perowner"} {
		v.do("POST", settingsPath+"/policy", with(policy, name, "x "+token)).want(422).has("A token doesn’t belong here.")
	}
	for _, name := range []string{"name", "accent"} {
		v.upload(settingsPath+"/look", with(look, name, token), nil).want(422).has("A token doesn’t belong here.")
	}
	if after := everything(s); after != before || strings.Contains(s.log.String(), token[40:80]) {
		t.Error("something is kept of it")
	}
}
