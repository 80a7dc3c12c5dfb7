package portal

import (
	"bytes"
	"embed"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/portal/language"
	"github.com/burnkey/burnkey/store"
)

//go:embed templates
var templateFiles embed.FS

// readPages parses each page with the shared templates, once for all portals.
var readPages = sync.OnceValue(func() map[string]*template.Template {
	const shared, each = "templates/shared/*.html", "templates/*.html"
	files, _ := fs.Glob(templateFiles, each) // the pattern is valid
	pages := make(map[string]*template.Template, len(files))
	for _, file := range files {
		t := template.New("page").Option("missingkey=error")
		pages[strings.TrimSuffix(path.Base(file), ".html")] = template.Must(t.ParseFS(templateFiles, shared, file))
	}
	return pages
})

// view is the data of a page's template. Its methods use the page's language.
type view struct {
	Page    string // the name of its template
	Title   string
	Notice  string // the action just done, or empty
	Faults  faults
	Content any
	visit   *visit
}

// part is the data of a shared template: the page, and the template's own data.
type part struct {
	*view
	Of any
}

// With returns the data for a shared template.
func (p *view) With(data any) part { return part{p, data} }

// pages has the links to the other pages of a list.
type pages struct {
	Next  string // query of the next page, or empty
	First bool   // this is the first page
}

// pagesOf returns the links of a list. The filter consists of pairs of name and value.
func pagesOf(after, next uuid.UUID, filter ...string) pages {
	p := pages{First: after == uuid.Nil}
	if next != uuid.Nil {
		p.Next = query(append(filter, "after", next.String())...)
	}
	return p
}

// render answers with a page, whose title is a message key. The page is complete before its first byte is
// sent.
func (v *visit) render(status int, page, title string, content any, bad ...fault) error {
	return v.renderView(status, &view{Page: page, Title: v.language.Text(title), Content: content, Faults: bad})
}

func (v *visit) renderView(status int, shown *view) error {
	shown.visit = v
	var body bytes.Buffer
	if err := v.pages[shown.Page].ExecuteTemplate(&body, "layout", shown); err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(body.Bytes()) // the browser may have gone
	return nil
}

// T returns a message; see language.Text.
func (p *view) T(key string, pairs ...any) string { return p.visit.language.Text(key, pairs...) }

// N returns the form of a message for the number n.
func (p *view) N(key string, n int, pairs ...any) string {
	return p.visit.language.Count(key, n, pairs...)
}

// Date formats a date in UTC and names the time zone.
func (p *view) Date(t time.Time) string { return p.visit.language.Day(t) }

// Moment formats a time in UTC to the minute.
func (p *view) Moment(t time.Time) string { return p.visit.language.Moment(t) }

// Machine formats a time for HTML's time element. From it, portal.js makes a title with the time in the
// reader's time zone.
func (p *view) Machine(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Until formats how long it is until a time.
func (p *view) Until(t time.Time) string { return p.visit.language.Until(t.Sub(p.visit.now())) }

// Path returns a path in the workspace.
func (p *view) Path(parts ...string) string { return p.visit.path(parts...) }

// Root returns a path outside of workspaces.
func (p *view) Root(part string) string { return p.visit.base + "/" + part }

// Asset returns the path of an asset's current version.
func (p *view) Asset(name string) string {
	return p.visit.base + "/assets/" + name + "?v=" + p.visit.assets[name].version
}

// Lang returns the code of the page's language.
func (p *view) Lang() string { return p.visit.language.Code }

// Languages returns all languages.
func (p *view) Languages() []*language.Language { return p.visit.languages.All }

// CanSwitch reports whether the page can be loaded again in another language. The answer to a form or a
// login can't.
func (p *view) CanSwitch() bool {
	return p.visit.r.Method == http.MethodGet && !strings.HasSuffix(p.visit.r.Pattern, "/callback")
}

// Name returns the producer's name.
func (p *view) Name() string {
	w := &p.visit.workspace
	switch {
	case w.Portal.DisplayName != "":
		return w.Portal.DisplayName
	case w.Name != "":
		return w.Name
	}
	return p.T("name.none")
}

// ID returns the workspace's id.
func (p *view) ID() string { return p.visit.workspace.ID }

// Logo reports whether the workspace has a logo.
func (p *view) Logo() bool { return p.visit.workspace.Portal.LogoHash != "" }

// Themed reports whether the workspace has a colour of its own.
func (p *view) Themed() bool { return p.visit.workspace.Portal.Accent != "" }

// SignedIn reports whether there is a session.
func (p *view) SignedIn() bool { return p.visit.secret != "" }

// Session returns the session, which does not contain its secret.
func (p *view) Session() store.Session { return p.visit.session }

// MaxText and MaxScope are the maximum lengths of fields, in characters.
func (p *view) MaxText() int  { return authz.MaxText }
func (p *view) MaxScope() int { return authz.MaxScope }

// CSRF returns the value that forms carry.
func (p *view) CSRF() string { return p.visit.csrf() }

// Fault returns the text of a field's fault, or an empty string.
func (p *view) Fault(field string) string { return p.Faults.of(field) }
