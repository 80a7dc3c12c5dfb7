package portal_test

import (
	"bytes"
	"context"
	"errors"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/mint"
	"github.com/burnkey/burnkey/authz/portal"
	"github.com/burnkey/burnkey/authz/portal/portaltest"
	"github.com/burnkey/burnkey/internal/outbound"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(portaltest.Main(m)) }

const publicURL = "https://keys.example.test"

// site is a portal with its service, publisher and database.
type site struct {
	http.Handler
	*authz.Service
	t      *testing.T
	minter *press
	store  *faulty

	publisher *publish.Publisher
	file      string // database file
	public    string // URL
	log       bytes.Buffer

	mu  sync.Mutex
	now time.Time
}

// faulty is a store that fails while err is set, and that counts reads of workspaces and sessions.
type faulty struct {
	store.Store
	err   error
	reads atomic.Int64
}

func (f *faulty) Session(ctx context.Context, hash [32]byte, now time.Time) (store.Session, error) {
	f.reads.Add(1)
	return f.Store.Session(ctx, hash, now)
}

func (f *faulty) Workspace(ctx context.Context, id string) (store.Workspace, error) {
	f.reads.Add(1)
	if f.err != nil {
		return store.Workspace{}, f.err
	}
	return f.Store.Workspace(ctx, id)
}

func (f *faulty) Logo(ctx context.Context, id string) ([]byte, error) {
	f.reads.Add(1)
	return f.Store.Logo(ctx, id)
}

// newSite returns a site with the workspaces acme and other. Its clock is fake.
func newSite(t *testing.T, url ...string) *site {
	t.Helper()
	return newSiteWith(t, portal.Options{PublicURL: append(url, publicURL)[0]})
}

func newSiteWith(t *testing.T, o portal.Options) *site {
	t.Helper()
	s := &site{t: t, file: filepath.Join(t.TempDir(), "burnkey.db"), public: o.PublicURL}
	check(t, os.WriteFile(s.file, newDatabase(), 0o600))
	t.Cleanup(s.open(t.Context()))
	public, err := url.Parse(s.public)
	check(t, err)
	o.Providers = outbound.New(outbound.Options{Local: outbound.IsLoopback(public)})
	t.Cleanup(o.Providers.CloseIdleConnections)
	o.Service, o.Publisher, o.Log = s.Service, s.publisher, slog.New(slog.NewTextHandler(&s.log, nil))
	s.Handler, err = portal.New(o)
	check(t, err)
	return s
}

// open opens the site's database file, and returns a function that closes the file.
func (s *site) open(ctx context.Context) (done func()) {
	db, err := sqlite.Open(ctx, s.file)
	must(err)
	s.minter, s.store, s.now = new(press), &faulty{Store: db}, time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	s.publisher = publish.NewPublisher(s.store, nil)
	must(s.publisher.Load(ctx))
	s.Service = authz.New(authz.Options{Store: s.store, Minter: s.minter, Publisher: s.publisher, PublicURL: s.public, Now: s.clock})
	return func() { must(db.Close()) }
}

// newDatabase returns the content of a database file with two workspaces. It is created once, since
// migrations take long.
var newDatabase = sync.OnceValue(func() []byte {
	dir, err := os.MkdirTemp("", "portal-")
	must(err)
	defer func() { must(os.RemoveAll(dir)) }()
	s := &site{file: filepath.Join(dir, "burnkey.db"), public: publicURL}
	done := s.open(context.Background())
	for _, id := range []string{"acme", "other"} {
		_, err := s.CreateWorkspace(context.Background(), authz.WorkspaceRequest{ID: id, Name: "The " + id})
		must(err)
	}
	done()
	file, err := os.ReadFile(s.file)
	must(err)
	return file
})

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (s *site) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *site) advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

func (s *site) update(workspace string, change func(*store.Workspace)) {
	s.t.Helper()
	_, err := s.UpdateWorkspace(s.t.Context(), workspace, func(w *store.Workspace) error { change(w); return nil })
	check(s.t, err)
}

// issue issues a key as a producer's backend would, through authz.
func (s *site) issue(workspace string, r authz.IssueRequest) store.Key {
	s.t.Helper()
	issued, err := s.Issue(s.t.Context(), workspace, r)
	check(s.t, err)
	return issued.Key
}

func (s *site) link(workspace string, r authz.LinkRequest) string {
	s.t.Helper()
	secret, _, err := s.PortalLink(s.t.Context(), workspace, r)
	check(s.t, err)
	return strings.TrimPrefix(s.PortalLinkURL(secret), publicURL)
}

// press is a fake minter: its keys can be published, but its signatures are invalid.
type press struct {
	mu     sync.Mutex
	err    error
	panics bool
	late   func() // called before a key is minted
	tokens []jwks.Token
}

func (p *press) Mint(_ context.Context, _ mint.Asker, claims func() (mint.Claims, error)) (mint.Minted, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.panics && claims != nil {
		panic("the minter")
	}
	if p.err != nil {
		return mint.Minted{}, p.err
	}
	key, err := jwks.FromModulus(testkit.Modulus())
	if err != nil || claims == nil {
		return mint.Minted{Key: key}, err
	}
	if p.late != nil {
		p.late()
	}
	payload, err := claims()
	token := jwks.Token(testkit.Sign(nil, testkit.Header(key.KID().String()), string(payload.Payload)))
	p.tokens = append(p.tokens, token)
	return mint.Minted{Key: key, Token: token}, err
}

func (p *press) last() string { return p.tokens[len(p.tokens)-1].Reveal() }

// visitor is a browser with at most one cookie.
type visitor struct {
	*site
	cookie *http.Cookie
	// header replaces or, without values, removes header fields of every request.
	header http.Header
}

// owner returns a visitor who has logged in with an owner's link.
func (s *site) owner(workspace, owner string, r ...authz.LinkRequest) *visitor {
	s.t.Helper()
	request := append(r, authz.LinkRequest{})[0]
	request.Owner = owner
	v := &visitor{site: s, header: http.Header{}}
	a := v.get(s.link(workspace, request)).want(http.StatusSeeOther)
	a.leadsTo("/portal/" + workspace + "/keys")
	if v.cookie == nil {
		s.t.Fatal("the link sets no cookie")
	}
	return v
}

// overseer returns a global operator.
func (s *site) overseer() *visitor { return s.operator(authz.Home) }

// operator returns a visitor with an operator's session.
func (s *site) operator(workspace string) *visitor {
	s.t.Helper()
	secret, _, err := s.StartLogin(s.t.Context(), workspace, authz.Login{Role: store.RoleOperator, Subject: "staff"})
	check(s.t, err)
	return &visitor{site: s, header: http.Header{}, cookie: &http.Cookie{Name: "__Host-burnkey-" + workspace, Value: secret.Reveal()}}
}

// isSession reports whether a cookie has the name of a workspace's session cookie.
func isSession(name string) bool {
	return strings.HasPrefix(name, "__Host-burnkey-") || name == "__Host-burnkey"
}

func (s *site) stranger() *visitor { return &visitor{site: s, header: http.Header{}} }

// page is an answer.
type page struct {
	*httptest.ResponseRecorder
	t    *testing.T
	what string
	body string
}

func (v *visitor) get(path string) *page {
	v.t.Helper()
	return v.do(http.MethodGet, path, nil)
}

// post sends a form to path, with the hidden fields of the page at from.
func (v *visitor) post(from, path string, form url.Values) *page {
	v.t.Helper()
	sent := url.Values{}
	for name, values := range form {
		sent[name] = values
	}
	p := v.get(from).want(http.StatusOK)
	for _, name := range []string{"csrf", "once"} {
		if !sent.Has(name) {
			sent.Set(name, p.hidden(name))
		}
	}
	return v.do(http.MethodPost, path, sent)
}

func (v *visitor) do(method, path string, form url.Values) *page {
	v.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	return v.send(method, path, body)
}

func (v *visitor) send(method, path string, body io.Reader) *page {
	v.t.Helper()
	r := httptest.NewRequest(method, publicURL+path, body)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", publicURL)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for name, values := range v.header {
		r.Header[name] = values
		if len(values) == 0 {
			r.Header.Del(name)
		}
	}
	if v.cookie != nil {
		r.AddCookie(v.cookie)
	}
	w := httptest.NewRecorder()
	v.ServeHTTP(w, r)
	runtime.Gosched() // a goroutine in authz notes the end of the request; let that goroutine run first
	for _, c := range w.Result().Cookies() {
		switch {
		case !isSession(c.Name):
		case c.MaxAge >= 0:
			v.cookie = c
		case v.cookie != nil && c.Name == v.cookie.Name && c.Partitioned == v.cookie.Partitioned:
			v.cookie = nil
		}
	}
	p := &page{ResponseRecorder: w, t: v.t, what: method + " " + path, body: w.Body.String()}
	p.safe()
	return p
}

var (
	values    = regexp.MustCompile(`="[^"]*"`)
	forbidden = regexp.MustCompile(`(?i)^<(style|base|object|embed)|\s(style|on[a-z]+|srcdoc)\b`)
	loaded    = regexp.MustCompile(`\s(?:src|href|action)="([^"]*)"`)
	ourScript = regexp.MustCompile(`^<script src="(/burnkey)?/portal/assets/[a-z.]+\?v=[0-9a-f]+" defer>$`)
	forAll    = regexp.MustCompile(`^(GET|HEAD) /portal/(assets/|[a-z]+/(logo\.png|theme\.css)(\?|$))`)
	schemes   = regexp.MustCompile(`^([?#/]|https?:)`)
)

// elementsOf returns the start tags of a page. A regular expression would be slow on all pages.
func elementsOf(body string) (elements []string) {
	for part := range strings.SplitSeq(body, "<") {
		if end := strings.IndexByte(part, '>'); end > 0 && part[0] != '/' && part[0] != '!' {
			elements = append(elements, "<"+part[:end+1])
		}
	}
	return elements
}

// safe checks the rules that every answer must follow.
func (p *page) safe() {
	p.t.Helper()
	h := p.Header()
	csp := h.Get("Content-Security-Policy")
	for _, want := range []string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "base-uri 'none'",
		"form-action 'self'", "frame-ancestors ",
	} {
		if !strings.Contains(csp, want) || strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
			p.t.Errorf("%s: the policy is %q", p.what, csp)
			break
		}
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"} {
		if got := h.Get(name); got != want {
			p.t.Errorf("%s: %s is %q", p.what, name, got)
		}
	}
	if !forAll.MatchString(p.what) && h.Get("Cache-Control") != "no-store" {
		p.t.Errorf("%s: may be cached", p.what)
	}
	if !strings.HasPrefix(h.Get("Content-Type"), "text/html") {
		return
	}
	if h.Get("Content-Language") == "" || !strings.Contains(p.body, `<html lang="`+h.Get("Content-Language")+`">`) {
		p.t.Errorf("%s: is in no language", p.what)
	}
	for _, element := range elementsOf(p.body) {
		if forbidden.MatchString(values.ReplaceAllString(element, "")) {
			p.t.Errorf("%s: has %s", p.what, element)
		}
		if strings.HasPrefix(element, "<script") && !ourScript.MatchString(element) {
			p.t.Errorf("%s: has a script: %s", p.what, element)
		}
		if m := loaded.FindStringSubmatch(element); m != nil && !schemes.MatchString(m[1]) {
			p.t.Errorf("%s: leads to %s", p.what, m[1])
		}
	}
	for _, bad := range []string{"ZgotmplZ", "<no value>", "goroutine "} {
		if strings.Contains(p.body, bad) {
			p.t.Errorf("%s: has %s", p.what, bad)
		}
	}
	if strings.Contains(p.body, jwks.TokenPrefix) && !strings.Contains(p.body, `id="token"`) {
		p.t.Errorf("%s: has a token", p.what)
	}
}

func (p *page) want(status int) *page {
	p.t.Helper()
	if p.Code != status {
		p.t.Fatalf("%s answers %d, want %d: %s", p.what, p.Code, status, p.told())
	}
	return p
}

func (p *page) leadsTo(path string) {
	p.t.Helper()
	if got := p.Header().Get("Location"); got != path {
		p.t.Fatalf("%s leads to %q, want %q", p.what, got, path)
	}
}

// saysDone checks that the answer redirects to path with a query for the notice what, and returns the
// URL.
func (p *page) saysDone(path, what string) string {
	p.t.Helper()
	to := p.Header().Get("Location")
	if !strings.HasPrefix(to, path+"?") || !strings.Contains(to, "done="+what+"&") {
		p.t.Fatalf("%s leads to %q, want %q where it says %s", p.what, to, path, what)
	}
	return to
}

// text returns the page's readable text.
func (p *page) text() string {
	return strings.Join(strings.Fields(html.UnescapeString(elementsAll.ReplaceAllString(p.body, " "))), " ")
}

// told returns the text with tokens redacted, for a test's output.
func (p *page) told() string { return redact(p.text()) }

func redact(text string) string { return tokens.ReplaceAllString(text, "[token]") }

var tokens = regexp.MustCompile(regexp.QuoteMeta(jwks.TokenPrefix) + `[A-Za-z0-9_.-]*`)

var elementsAll = regexp.MustCompile(`<[^>]*>`)

func (p *page) has(texts ...string) *page {
	p.t.Helper()
	for _, text := range texts {
		if !strings.Contains(p.text(), text) {
			p.t.Errorf("%s: does not say %q: %s", p.what, redact(text), p.told())
		}
	}
	return p
}

func (p *page) hasNot(texts ...string) *page {
	p.t.Helper()
	for _, text := range texts {
		if strings.Contains(p.text(), text) {
			p.t.Errorf("%s: says %q", p.what, text)
		}
	}
	return p
}

// hidden returns the value of the first hidden field with this name, or an empty string.
func (p *page) hidden(name string) string {
	m := regexp.MustCompile(`<input type="hidden" name="` + name + `" value="([^"]*)">`).FindStringSubmatch(p.body)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[1])
}

var check = testkit.Check

var errBroken = errors.New("the database is away")
