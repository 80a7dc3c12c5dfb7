package portal_test

import (
	"bytes"
	"image"
	"image/png"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

func TestHowTheProducerLooks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	v.get("/portal/acme/keys").has("The acme").hasNot("Acme Maps")
	v.get("/portal/acme/theme.css").want(http.StatusNotFound)
	v.get("/portal/acme/logo.png").want(http.StatusNotFound)

	var logo bytes.Buffer
	check(t, png.Encode(&logo, image.NewGray(image.Rect(0, 0, 8, 8))))
	portal := policyOf(s, "acme")
	portal.DisplayName, portal.Accent, portal.Logo, portal.BaseURL = "Acme Maps", "#ffd400", logo.Bytes(), "https://api.acme.test/v1?a=b&c=d"
	s.update("acme", func(set *store.Workspace) { set.Portal = portal })
	p := v.get("/portal/acme/keys").want(200).has("Acme Maps")
	if !strings.Contains(p.body, `href="/portal/acme/theme.css?v=`) || !strings.Contains(p.body, `src="/portal/acme/logo.png?v=`) {
		t.Error("neither colour nor logo")
	}
	theme := v.get("/portal/acme/theme.css").want(200)
	if theme.body != ":root { --brand: #ffd400; --on-brand: #000000 }\n" || theme.Header().Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("the theme is %q, %s", theme.body, theme.Header().Get("Content-Type"))
	}
	got := v.get("/portal/acme/logo.png").want(200)
	if !bytes.Equal(got.Body.Bytes(), logo.Bytes()) || got.Header().Get("Content-Type") != "image/png" {
		t.Error("the logo is another")
	}
	v.post("/portal/acme/keys/new", "/portal/acme/keys", good).want(200).has("'https://api.acme.test/v1?a=b&c=d'").hasNot("Replace the URL")
	s.owner("other", "cust_1").post("/portal/other/keys/new", "/portal/other/keys", good).want(200).has("Replace the URL at the end")
}

// Browsers cache the colour and the logo for a while, but load them again after a change.
func TestTheLookIsKept(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	portal := policyOf(s, "acme")
	portal.Accent, portal.Logo = "#ffd400", logoOf(t, 8)
	s.update("acme", func(set *store.Workspace) { set.Portal = portal })
	paths := func() []string {
		found := regexp.MustCompile(`"(/portal/acme/(?:logo\.png|theme\.css)\?v=[^"]*)"`).
			FindAllStringSubmatch(s.owner("acme", "cust_1").get("/portal/acme/keys").body, -1)
		if len(found) != 2 {
			t.Fatalf("the page loads %q", found)
		}
		return []string{found[0][1], found[1][1]}
	}
	before := paths()
	for _, path := range before {
		v := s.stranger()
		h := v.get(path).want(200).Header()
		if h.Get("Cache-Control") != "public, max-age=300" || h.Get("ETag") == "" || h.Get("Vary") != "" || h.Get("Content-Language") != "" {
			t.Errorf("%s: %v", path, h)
		}
		v.header = http.Header{"If-None-Match": {h.Get("ETag")}}
		for _, asked := range []string{path, strings.Split(path, "?")[0]} {
			if p := v.get(asked).want(http.StatusNotModified); p.Body.Len() > 0 || p.Header().Get("ETag") != h.Get("ETag") {
				t.Errorf("%s: %v", asked, p.Header())
			}
		}
		if p := v.do("HEAD", path, nil).want(http.StatusNotModified); p.Body.Len() > 0 {
			t.Error(p.Header())
		}
	}
	s.advance(time.Minute)
	portal.Accent, portal.Logo = "#00205b", logoOf(t, 9)
	s.update("acme", func(set *store.Workspace) { set.Portal = portal })
	for i, path := range paths() {
		v := s.stranger()
		if path == before[i] {
			t.Errorf("%s is asked for as before", path)
		}
		etag := v.get(path).want(200).Header().Get("ETag")
		if old := v.get(before[i]).want(200).Header(); old.Get("Cache-Control") != "no-cache" || old.Get("ETag") != etag {
			t.Errorf("by the address of before: %v", old)
		}
	}
}

// Requests without a session cookie or for a cached picture read the database at most once in a few
// seconds. A logged-in person sees the current state.
func TestStrangersCostLittle(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	portal := policyOf(s, "acme")
	portal.Accent, portal.Logo = "#ffd400", logoOf(t, 8)
	s.update("acme", func(set *store.Workspace) { set.Portal = portal })
	v := s.owner("acme", "cust_1")
	s.advance(time.Minute)
	reads := func(v *visitor, paths ...string) int64 {
		before := s.store.reads.Load()
		for _, path := range paths {
			v.get(path)
		}
		return s.store.reads.Load() - before
	}
	pages := []string{
		"/portal/acme", "/portal/acme/keys", "/portal/acme/operator/keys", "/portal/acme/theme.css",
		"/portal/acme/none", "/portal/",
	}
	if n := reads(s.stranger(), append(pages, pages...)...); n != 1 {
		t.Errorf("a stranger takes %d reads", n)
	}
	made := s.stranger()
	made.header = http.Header{"Cookie": {"__Host-burnkey=x; __Host-burnkey=" + strings.Repeat("A", 44) +
		"; __Host-burnkey-acme=x; __Host-burnkey_login.x.y=x"}}
	if n := reads(made, pages...); n != 0 {
		t.Errorf("a stranger with invalid cookies takes %d reads", n)
	}
	absent := []string{"/portal/none/keys", "/portal/none/logo.png", "/portal/zzz"}
	if n := reads(s.stranger(), absent...) + reads(v, absent...); n != 0 {
		t.Errorf("what is not there takes %d reads", n)
	}
	if n := reads(v, "/portal/acme/logo.png", "/portal/acme/theme.css?v=x"); n != 1 { // the picture itself
		t.Errorf("pictures take %d reads", n)
	}
	known := s.stranger()
	known.header = http.Header{"If-None-Match": {`"other", W/` + v.get("/portal/acme/logo.png").Header().Get("ETag")}}
	if n := reads(known, "/portal/acme/logo.png", "/portal/acme/logo.png?v=x"); n != 0 {
		t.Errorf("a picture that is known takes %d reads", n)
	}
	elsewhere := func(name string) { // as another server does
		_, err := s.store.UpdateWorkspace(t.Context(), "acme", func(w *store.Workspace) error { w.Portal.DisplayName = name; return nil })
		check(t, err)
	}
	elsewhere("Another")
	s.stranger().get("/portal/acme/keys").want(401).hasNot("Another")
	v.get("/portal/acme/keys").want(200).has("Another")
	s.stranger().get("/portal/acme/keys").want(401).has("Another") // since a person has loaded it
	elsewhere("A third")
	s.advance(5 * time.Second)
	s.stranger().get("/portal/acme/keys").want(401).has("A third")
	portal.DisplayName = "A fourth"
	s.update("acme", func(set *store.Workspace) { set.Portal = portal })
	s.stranger().get("/portal/acme/keys").want(401).has("A fourth") // at once, since this server made the change
}

func TestAssets(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.stranger().get("/portal/acme/keys").want(http.StatusUnauthorized)
	paths := regexp.MustCompile(`"(/portal/assets/[^"]*)"`).FindAllStringSubmatch(p.body, -1)
	if len(paths) != 3 {
		t.Fatalf("the page loads %q", paths)
	}
	for _, m := range paths {
		kept := s.stranger().get(m[1]).want(200)
		if kept.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" || kept.Header().Get("ETag") == "" {
			t.Errorf("%s: %v", m[1], kept.Header())
		}
		old := s.stranger()
		if got := old.get(m[1] + "0").want(200).Header().Get("Cache-Control"); got != "no-cache" {
			t.Errorf("of another version: %s", got)
		}
		old.header = http.Header{"If-None-Match": {kept.Header().Get("ETag")}}
		old.get(m[1]).want(http.StatusNotModified)
	}
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	v.header = http.Header{"Accept-Language": {"de-DE,de;q=0.9,en;q=0.5"}}
	p := v.get("/portal/acme/keys").want(200).has("Sie haben noch keine API-Schlüssel", "Abmelden")
	if p.Header().Get("Content-Language") != "de" || !strings.Contains(p.Header().Get("Vary"), "Accept-Language") {
		t.Error(p.Header())
	}
	p = v.get("/portal/acme/keys?lang=en").want(200).has("You have no API keys yet", "Deutsch")
	if set := p.Header().Get("Set-Cookie"); !strings.HasPrefix(set, "__Host-burnkey_lang=en; Path=/; Max-Age=31536000; HttpOnly; Secure") {
		t.Errorf("the choice is kept as %q", set)
	}
	// Every page exists in German, too.
	v.post("/portal/acme/keys/new", "/portal/acme/keys", good).want(200).has("Ihr neuer Schlüssel", "In etwa 6 Sekunden bereit.").
		hasNot("English")
	k := v.newest()
	v.post("/portal/acme/keys/new", "/portal/acme/keys", with(good, "name", "")).want(422).has("Es gibt ein Problem")
	v.get(keyPath(k)).want(200).has("Austauschen", "in 30 Tagen")
	v.get("/portal/acme/history").want(200).has("Schlüssel erstellt", "auf dieser Seite")
	v.get("/portal/acme/none").want(404).has("Seite nicht gefunden")
}

// If a proxy strips a path, links still contain the path.
func TestAPublicURLWithAPath(t *testing.T) {
	t.Parallel()
	s := newSite(t, publicURL+"/burnkey/")
	v := s.stranger()
	link := s.link("acme", authz.LinkRequest{Owner: "cust_1"})
	v.get(strings.TrimPrefix(link, "/burnkey")).want(http.StatusSeeOther).leadsTo("/burnkey/portal/acme/keys")
	p := v.get("/portal/acme/keys").want(200)
	for _, m := range regexp.MustCompile(`(?:href|src|action)="(/[^"]*)"`).FindAllStringSubmatch(p.body, -1) {
		if !strings.HasPrefix(m[1], "/burnkey/portal/") {
			t.Errorf("a link leads to %s", m[1])
		}
	}
	v.post("/portal/acme/keys/new", "/portal/acme/keys", good).want(200)
}

func TestAPanicIsAPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	s.minter.panics = true
	v.post("/portal/acme/keys/new", "/portal/acme/keys", good).want(http.StatusInternalServerError).
		has("Something went wrong").hasNot("goroutine", "mint")
	if !strings.Contains(s.log.String(), "panicked") {
		t.Error("the log does not say so")
	}
}
