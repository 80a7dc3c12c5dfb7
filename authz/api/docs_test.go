package api_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz/api"
	"github.com/burnkey/burnkey/authz/portal/portaltest"
	"github.com/burnkey/burnkey/jwks"
)

// Each page of the reference is complete, and each link in it leads to a page or to a heading.
func TestReferencePages(t *testing.T) {
	s := newServer(t)
	pages := map[string]string{"/docs": "", "/docs/problems": "", "/docs/problems/fields": "", "/docs/refusals": ""}
	for _, k := range api.Kinds() {
		pages["/docs/problems/"+k.Code] = ""
	}
	for path := range pages {
		a := s.do("GET", path, nil).want(200)
		if !strings.Contains(a.header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: the policy is %q", path, a.header.Get("Content-Security-Policy"))
		}
		pages[path] = string(a.body)
	}
	for path, body := range pages {
		for _, m := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(body, -1) {
			target, fragment, _ := strings.Cut(resolve(t, s.URL+path, m[1]), "#")
			other, ok := pages[target]
			if !ok && target != "/openapi.json" && target != "/docs/style.css" && !strings.Contains(target, "://") && m[1] != "data:," {
				t.Errorf("%s: the link %s leads nowhere", path, m[1])
			}
			if fragment != "" && ok && !strings.Contains(other, `id="`+fragment+`"`) {
				t.Errorf("%s: no heading %s", path, m[1])
			}
		}
	}
	for _, c := range jwks.RefusalCodes() {
		if !strings.Contains(pages["/docs/refusals"], `<h2 id="`+c.Code+`">`) {
			t.Errorf("/docs/refusals does not explain %s", c.Code)
		}
	}
	if body := pages["/docs"]; !strings.Contains(body, "Issue a key") || !strings.Contains(body, "Management keys") {
		t.Error("/docs is incomplete")
	}
	s.do("GET", "/docs/problems/nothing", nil).want(404)
	s.do("GET", "/docs/problems/..%2Fhttp", nil).want(404)
	s.do("GET", "/docs/problems/index", nil).want(200)
}

func resolve(t *testing.T, page, href string) string {
	t.Helper()
	r, err := http.NewRequest("GET", page, nil)
	must(t, err)
	to, err := r.URL.Parse(href)
	must(t, err)
	return strings.TrimPrefix(to.String(), r.URL.Scheme+"://"+r.URL.Host)
}

// A browser shows the pages in light and dark, on a narrow screen and without JavaScript.
func TestReferenceInABrowser(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for name, o := range map[string]portaltest.PageOptions{
		"light":  {},
		"dark":   {Dark: true},
		"narrow": {Width: 360, Height: 740, Mobile: true, NoJavaScript: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := portaltest.NewPage(t, o)
			for _, path := range []string{"/docs", "/docs/problems", "/docs/problems/invalid_input", "/docs/problems/fields", "/docs/refusals"} {
				if status := p.Open(s.URL + path); status != http.StatusOK {
					t.Fatalf("%s: %d", path, status)
				}
				if over := p.Overflow(); over > 0 {
					t.Errorf("%s is %d pixels wider than the screen", path, over)
				}
				for _, request := range p.Requests() {
					if !strings.HasPrefix(request, s.URL) && !strings.HasPrefix(request, "data:") {
						t.Errorf("%s requests %s", path, request)
					}
				}
				if !o.NoJavaScript {
					for _, v := range p.Axe() {
						t.Errorf("%s: %s", path, v)
					}
				}
				for _, problem := range p.Problems() {
					t.Errorf("%s: %+v", path, problem)
				}
			}
		})
	}
}
