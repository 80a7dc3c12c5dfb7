package portaltest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz/portal/portaltest"
)

const good = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Keys</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>:root { color-scheme: light dark } body { color: CanvasText; background-color: Canvas }</style></head><body><main><h1>Keys</h1>
<p>of acme</p>
<form method="post" action="/done"><label for="name">Name</label> <input id="name" name="name" aria-describedby="hint">
<p id="hint">Only you see it.</p>
<label for="expiry">Expiry</label> <select id="expiry" name="expiry"><option>never</option><option value="30">30 days</option></select>
<label><input type="checkbox" name="scope" value="maps"> maps</label> <button>Create key</button></form>
<button id="copy" type="button">Copy</button> <a href="/file">Download</a>
<p id="later" hidden>live at last</p></main><script src="/good.js"></script></body></html>`

const goodScript = `
document.getElementById('copy').addEventListener('click', async () => {
	await navigator.clipboard.writeText('a token')
	document.getElementById('later').hidden = false
})
document.documentElement.dataset.script = 'ran'`

// site serves the tests' pages at 127.0.0.1.
func site(t *testing.T) *httptest.Server {
	t.Helper()
	html := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = fmt.Fprint(w, text)
		}
	}
	strict := func(next http.Handler) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; form-action 'self'")
			next.ServeHTTP(w, r)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/good", html(good))
	mux.HandleFunc("/good.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = fmt.Fprint(w, goodScript)
	})
	mux.HandleFunc("/done", func(w http.ResponseWriter, r *http.Request) {
		text := strings.Join([]string{r.PostFormValue("name"), r.PostFormValue("expiry"), r.PostFormValue("scope")}, " ")
		html("<title>Done</title><h1>"+text+"</h1>")(w, r)
	})
	mux.HandleFunc("/file", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Disposition", `attachment; filename="acme.env"`)
		_, _ = fmt.Fprint(w, "KEY=1\n")
	})
	mux.Handle("/strict", strict(html(`<!doctype html><html lang="en"><title>Strict</title><main><h1>Strict</h1>
<p style="color: #777; background-color: #999">styled</p><script>document.title = "inline"</script></main>`)))
	mux.Handle("/bad", strict(html(`<!doctype html><html><title>Bad</title><img src="x.png"><input></html>`)))
	mux.Handle("/frame", html(`<!doctype html><html lang="en"><title>Parent</title><iframe title="keys"></iframe>
<script>document.querySelector('iframe').src = location.search.slice(1)</script>`))
	mux.HandleFunc("/cookies", func(w http.ResponseWriter, r *http.Request) {
		for _, c := range []*http.Cookie{
			{Name: "__Host-lax", Value: "1", Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode},
			{Name: "__Host-part", Value: "2", Path: "/", Secure: true, SameSite: http.SameSiteNoneMode, Partitioned: true},
			{Name: "__Host-bad", Value: "3", Path: "/"},
		} {
			http.SetCookie(w, c)
		}
		html("<h1>"+r.Header.Get("Cookie")+"</h1>")(w, r)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// onLocalhost returns the server's URL with the host localhost, which browsers regard as a different site
// from 127.0.0.1.
func onLocalhost(s *httptest.Server) string {
	return strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
}

func TestMain(m *testing.M) { os.Exit(portaltest.Main(m).Run()) }

func TestBrowser(t *testing.T) {
	s := site(t)
	for _, test := range []struct {
		name string
		do   func(*testing.T, *httptest.Server)
	}{
		{"a form by keyboard and pointer", form},
		{"without JavaScript", withoutJavaScript},
		{"clipboard", clipboard},
		{"download", download},
		{"axe", axe},
		{"policy", policy},
		{"cookies", cookies},
		{"frames", frames},
		{"dark, narrow and still", media},
		{"requests", requests},
		{"no other machine", noOtherMachine},
	} {
		t.Run(test.name, func(t *testing.T) { test.do(t, s) })
	}
}

func form(t *testing.T, s *httptest.Server) {
	p := portaltest.NewPage(t, portaltest.PageOptions{})
	if status := p.Open(s.URL + "/good"); status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	p.Press("Tab")
	want := portaltest.Element{Role: "textbox", Name: "Name", Description: "Only you see it."}
	if got := p.Focused(); got != want {
		t.Errorf("focus is on %+v, want %+v", got, want)
	}
	p.Fill(portaltest.Label("Name"), "CI")
	p.Choose(portaltest.Label("Expiry"), "30 days")
	p.Check(portaltest.Label("maps"), true)
	if got := p.Value(portaltest.Label("Expiry")); got != "30" {
		t.Errorf("expiry %q", got)
	}
	if got, ok := p.Attribute("#name", "aria-describedby"); got != "hint" || !ok {
		t.Errorf("attribute %q, %v", got, ok)
	}
	if _, ok := p.Attribute("#name", "required"); ok {
		t.Error("an attribute that does not exist")
	}
	p.Follow(portaltest.Role("button", "Create key"))
	if got := p.Text("h1"); got != "CI 30 maps" {
		t.Errorf("posted %q", got)
	}
	p.Back()
	p.WaitURL("**/good")
	p.Wait("h1")
	p.WaitGone("#later")
	if p.Count("h1") != 1 {
		t.Error("the browser did not go back")
	}
	if status := p.Open(s.URL + "/none"); status != http.StatusNotFound {
		t.Errorf("status %d", status)
	}
}

func withoutJavaScript(t *testing.T, s *httptest.Server) {
	for _, off := range []bool{false, true} {
		p := portaltest.NewPage(t, portaltest.PageOptions{NoJavaScript: off})
		p.Open(s.URL + "/good")
		if _, ran := p.Attribute("html", "data-script"); ran == off {
			t.Errorf("JavaScript off: %v; ran: %v", off, ran)
		}
		p.Fill(portaltest.Label("Name"), "off")
		if got := p.Focused(); off && got.Name != "Name" {
			t.Errorf("focus is on %+v", got)
		}
		if violations := p.Axe(); len(violations) > 0 {
			t.Errorf("axe: %v", violations)
		}
		p.Press("Enter")
		p.WaitText("h1", "off never")
		p.Open(s.URL + "/good")
		if _, ran := p.Attribute("html", "data-script"); ran == off {
			t.Errorf("JavaScript off: %v; ran, after axe: %v", off, ran)
		}
	}
}

func clipboard(t *testing.T, s *httptest.Server) {
	p := portaltest.NewPage(t, portaltest.PageOptions{})
	p.Open(s.URL + "/good")
	p.WaitGone("#later")
	p.Click(portaltest.Role("button", "Copy"))
	p.Wait("#later")
	if got := p.Clipboard(); got != "a token" {
		t.Errorf("clipboard %q", got)
	}
}

func download(t *testing.T, s *httptest.Server) {
	p := portaltest.NewPage(t, portaltest.PageOptions{})
	p.Open(s.URL + "/good")
	if name, text := p.Download(portaltest.Role("link", "Download")); name != "acme.env" || text != "KEY=1\n" {
		t.Errorf("%q holds %q", name, text)
	}
}

func axe(t *testing.T, s *httptest.Server) {
	for _, dark := range []bool{false, true} {
		p := portaltest.NewPage(t, portaltest.PageOptions{Dark: dark})
		p.Open(s.URL + "/good")
		if violations := p.Axe(); len(violations) > 0 {
			t.Errorf("a good page, dark %v: %v", dark, violations)
		}
		p.Open(s.URL + "/bad")
		var ids []string
		for _, v := range p.Axe() {
			ids = append(ids, v.ID)
			if v.Impact == "" || v.Help == "" || len(v.Nodes) == 0 || v.Nodes[0].HTML == "" || !strings.Contains(v.String(), v.ID) {
				t.Errorf("incomplete: %+v", v)
			}
		}
		for _, want := range []string{"html-has-lang", "image-alt", "label"} {
			if !slices.Contains(ids, want) {
				t.Errorf("axe found %q, not %s", ids, want)
			}
		}
	}
}

func policy(t *testing.T, s *httptest.Server) {
	p := portaltest.NewPage(t, portaltest.PageOptions{})
	p.Open(s.URL + "/good")
	p.Axe()
	if problems := p.Problems(); len(problems) > 0 {
		t.Errorf("a page without a fault: %+v", problems)
	}
	p.Open(s.URL + "/strict")
	if title := p.Text("title"); title != "Strict" {
		t.Errorf("an inline script ran: %q", title)
	}
	problems := p.Problems()
	if len(problems) != 2 { // the style and the script
		t.Errorf("got %d problems: %+v", len(problems), problems)
	}
	for _, problem := range problems {
		if problem.Kind != "csp" {
			t.Errorf("got %+v", problem)
		}
	}
	if violations := p.Axe(); len(violations) > 0 {
		t.Errorf("axe: %v", violations)
	}
	if again := p.Problems(); len(again) > 0 {
		t.Errorf("axe itself caused %+v", again)
	}
}

// Chromium treats loopback addresses as secure: without TLS, it still stores and sends Secure cookies
// there, and enforces the rules for the prefix __Host-.
func cookies(t *testing.T, s *httptest.Server) {
	for _, origin := range []string{s.URL, onLocalhost(s)} {
		p := portaltest.NewPage(t, portaltest.PageOptions{})
		p.Open(origin + "/cookies")
		got := map[string]portaltest.Cookie{}
		for _, c := range p.Cookies() {
			got[c.Name] = c
		}
		lax, part := got["__Host-lax"], got["__Host-part"]
		if len(got) != 2 || lax.SameSite != "Lax" || !lax.Secure || !lax.HTTPOnly || part.SameSite != "None" || part.PartitionKey == "" {
			t.Errorf("%s: kept %+v", origin, got)
		}
		p.Reload()
		if text := p.Text("h1"); !strings.Contains(text, "__Host-lax=1") || !strings.Contains(text, "__Host-part=2") {
			t.Errorf("%s: sent %q", origin, text)
		}
		tab := p.Tab()
		tab.Open(origin + "/cookies")
		if text := tab.Text("h1"); !strings.Contains(text, "__Host-lax=1") {
			t.Errorf("%s: another tab sent %q", origin, text)
		}
	}
}

func frames(t *testing.T, s *httptest.Server) {
	p := portaltest.NewPage(t, portaltest.PageOptions{})
	p.Open(onLocalhost(s) + "/frame?" + s.URL + "/good")
	f := p.Frame("iframe")
	f.WaitURL("**/good")
	f.Fill(portaltest.Label("Name"), "framed")
	if got := f.Focused(); got.Description != "Only you see it." {
		t.Errorf("focus is on %+v", got)
	}
	if violations := f.Axe(); len(violations) > 0 {
		t.Errorf("axe: %v", violations)
	}
	f.Follow(portaltest.Role("button", "Create key"))
	if got := f.Text("h1"); got != "framed never" {
		t.Errorf("posted %q", got)
	}
	if got := p.URL(); !strings.Contains(got, "/frame?") {
		t.Errorf("the parent is at %s", got)
	}

	// In a frame of another site, Chromium stores only a partitioned cookie. The partition is that of the
	// embedding site.
	p.Open(onLocalhost(s) + "/frame?" + s.URL + "/cookies")
	f.WaitURL("**/cookies")
	kept := p.Cookies()
	if len(kept) != 1 || kept[0].Name != "__Host-part" || !strings.HasPrefix(kept[0].PartitionKey, "http://localhost") {
		t.Errorf("kept %+v", kept)
	}
}

func media(t *testing.T, s *httptest.Server) {
	p := portaltest.NewPage(t, portaltest.PageOptions{Dark: true, ReducedMotion: true, Mobile: true, Width: 320, Height: 640, Locale: "de"})
	p.Open(s.URL + "/good")
	var got struct {
		Dark, Still, Touch bool
		Width              int
		Language           string
	}
	p.Evaluate(`({ dark: matchMedia("(prefers-color-scheme: dark)").matches, language: navigator.language,
		still: matchMedia("(prefers-reduced-motion: reduce)").matches, touch: navigator.maxTouchPoints > 0, width: innerWidth })`, &got)
	if !got.Dark || !got.Still || !got.Touch || got.Width != 320 || got.Language != "de" {
		t.Errorf("got %+v", got)
	}
	if pixels := p.Overflow(); pixels != 0 {
		t.Errorf("%d pixels too wide", pixels)
	}
	file := filepath.Join(t.ArtifactDir(), "narrow.png")
	p.Screenshot(file, true)
	if png, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(png), "\x89PNG") {
		t.Errorf("screenshot: %v, %d bytes", err, len(png))
	}
	p.Resize(40, 640)
	if p.Overflow() == 0 {
		t.Error("fits into 40 pixels")
	}
}

func requests(t *testing.T, s *httptest.Server) {
	p := portaltest.NewPage(t, portaltest.PageOptions{})
	p.Open(s.URL + "/good")
	if got, want := p.Requests(), []string{s.URL + "/good", s.URL + "/good.js"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := p.Requests(); len(got) != 0 {
		t.Errorf("again: %q", got)
	}
}

func noOtherMachine(t *testing.T, _ *httptest.Server) {
	err := portaltest.NewPage(t, portaltest.PageOptions{}).TryOpen("http://burnkey.test/")
	if err == nil || !strings.Contains(err.Error(), "ERR_NAME_NOT_RESOLVED") {
		t.Errorf("got %v", err)
	}
}
