package e2e_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz/portal/portaltest"
)

// site serves the documentation that `make docs` has built, and returns its URL and its pages.
func site(t *testing.T) (url string, pages []string) {
	t.Helper()
	dir := os.Getenv("BURNKEY_SITE")
	if dir == "" {
		t.Skip("BURNKEY_SITE is not set: run make e2e")
	}
	check(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".html" && filepath.Base(path) != "404.html" {
			page, err := filepath.Rel(dir, path)
			check(t, err)
			pages = append(pages, "/"+filepath.ToSlash(page))
		}
		return err
	}))
	if len(pages) < 50 {
		t.Fatalf("only %d pages in %s", len(pages), dir)
	}
	s := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(s.Close)
	return s.URL, pages
}

// clean checks that the page requested nothing from another host, and that the browser reported nothing.
func clean(t *testing.T, p *portaltest.Page, url string) {
	t.Helper()
	for _, request := range p.Requests() {
		if !strings.HasPrefix(request, url) && !strings.HasPrefix(request, "data:") && !strings.HasPrefix(request, "blob:"+url) {
			t.Errorf("%s requests %s", p.URL(), request)
		}
	}
	for _, problem := range p.Problems() {
		t.Errorf("%s: %+v", p.URL(), problem)
	}
}

// TestE2ESite reads every page of the documentation in a browser. The other cases than "light", and axe, check what
// differs little between pages, so they read every eighth page, or every BURNKEY_E2E_SITE_STEPth.
func TestE2ESite(t *testing.T) {
	t.Parallel()
	url, pages := site(t)
	step := scale(t, "BURNKEY_E2E_SITE_STEP", 8, 20)
	for name, o := range map[string]portaltest.PageOptions{
		"light":          {},
		"dark":           {Dark: true},
		"no JavaScript":  {NoJavaScript: true},
		"narrow":         {Width: 360, Height: 740, Mobile: true},
		"narrow, static": {Width: 360, Height: 740, Mobile: true, NoJavaScript: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := portaltest.NewPage(t, o)
			for i, page := range pages {
				sampled := i%step == 0
				if name != "light" && !sampled {
					continue
				}
				if status := p.Open(url + page); status != http.StatusOK {
					t.Fatalf("%s: %d", page, status)
				}
				if over := p.Overflow(); over > 0 {
					t.Errorf("%s is %d pixels wider than the screen", page, over)
				}
				clean(t, p, url)
				if o.Width > 0 || o.NoJavaScript || !sampled {
					continue
				}
				for _, v := range p.Axe() {
					t.Errorf("%s: %s", page, v)
				}
			}
		})
	}
}

// TestE2ESiteSearch searches the documentation, also where it is opened from a folder.
func TestE2ESiteSearch(t *testing.T) {
	t.Parallel()
	url, _ := site(t)
	dir, err := filepath.Abs(os.Getenv("BURNKEY_SITE"))
	check(t, err)
	for name, home := range map[string]string{"served": url, "folder": "file://" + dir} {
		t.Run(name, func(t *testing.T) {
			p := portaltest.NewPage(t, portaltest.PageOptions{})
			if err := p.TryOpen(home + "/index.html"); err != nil {
				t.Fatal(err)
			}
			p.Press("/")
			for _, key := range strings.Split("tombstone", "") {
				p.Press(key)
			}
			p.Wait("a[href*='versions.html']")
			clean(t, p, home)
		})
	}
}
