package portal_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/portal"
	"github.com/burnkey/burnkey/authz/portal/portaltest"
	"github.com/burnkey/burnkey/store"
)

// localURL is the public URL of a portal whose provider runs on this machine. No server listens at this
// URL.
const localURL = "http://127.0.0.1:1"

var users = map[string]map[string]any{
	"ada":  {"email": "ada@acme.test", "email_verified": true, "customer_id": "cust_1", "groups": []string{"developers"}},
	"ben":  {"email": "ben@acme.test", "email_verified": false, "customer_id": "cust_2"},
	"root": {"email": "root@burnkey.test", "email_verified": true, "groups": []string{"developers", "operators"}},
	"eve":  {"email": "eve@acme.test", "email_verified": true, "groups": []string{"developers"}},
	"odd":  {"customer_id": " cust_1"},
	"num":  {"customer_id": 1.5},
}

// newLoginSite returns a site whose two workspaces use one new provider.
func newLoginSite(t *testing.T, c portaltest.OIDCConfig, clientID string, secrets map[string]authz.Secret) *site {
	t.Helper()
	c.RedirectURIs = []string{
		localURL + "/portal/acme/callback", localURL + "/portal/other/callback", localURL + "/portal/burnkey/callback",
		localURL + "/portal/acme-test/callback",
	}
	c.LogoutURIs = []string{localURL + "/portal/acme/loggedout"}
	c.Users = users
	op := portaltest.NewOIDCProvider(t, c)
	s := newSiteWith(t, portal.Options{PublicURL: localURL, ClientSecrets: secretsFor(op.Issuer, secrets)})
	for _, ws := range []string{"acme", "other"} {
		s.provide(ws, op.Issuer, clientID)
	}
	return s
}

// secretsFor returns client secrets for one issuer.
func secretsFor(issuer string, secrets map[string]authz.Secret) map[string]portal.ClientSecret {
	of := make(map[string]portal.ClientSecret, len(secrets))
	for workspace, secret := range secrets {
		of[workspace] = portal.ClientSecret{Issuer: issuer, Secret: secret}
	}
	return of
}

func (s *site) provide(workspace, issuer, clientID string) {
	s.t.Helper()
	s.update(workspace, func(set *store.Workspace) {
		set.Portal = store.Portal{OIDC: &store.OIDC{
			Issuer: issuer, ClientID: clientID, OwnerClaim: "customer_id", OperatorClaim: "groups", OperatorValue: "operators",
		}}
	})
}

// login is a login in progress, as seen by the browser.
type login struct {
	*visitor
	name, cookie string
	to           *url.URL // URL at the provider
}

// begin starts a login, and stops at the redirect to the provider.
func (v *visitor) begin(workspace string, query ...string) *login {
	v.t.Helper()
	v.advance(time.Minute) // so that a refusal is recorded
	p := v.get("/portal/" + workspace + "/login" + strings.Join(query, "")).want(http.StatusSeeOther)
	l := &login{visitor: v}
	for _, c := range p.Result().Cookies() {
		if strings.HasPrefix(c.Name, "__Host-burnkey_login.") && c.MaxAge >= 0 {
			l.name, l.cookie = c.Name, c.Value
			if c.MaxAge != 600 || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
				v.t.Errorf("the cookie is %+v", c)
			}
		}
	}
	var err error
	l.to, err = url.Parse(p.Header().Get("Location"))
	check(v.t, err)
	if len(l.cookie) != 43 || l.to.Query().Get("code_challenge_method") != "S256" || strings.Contains(l.to.String(), l.cookie) {
		v.t.Fatalf("the cookie is %q, and the login leads to %s", l.cookie, l.to)
	}
	return l
}

// set changes a query parameter of the provider's URL.
func (l *login) set(name, value string) {
	query := l.to.Query()
	query.Set(name, value)
	l.to.RawQuery = query.Encode()
}

// as logs in as sub at the provider, and returns the path of the callback.
func (l *login) as(sub string) (path string) {
	l.t.Helper()
	jar, err := cookiejar.New(nil)
	check(l.t, err)
	client := &http.Client{
		Jar: jar, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			if strings.HasPrefix(r.URL.String(), localURL+"/") {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
	response, err := client.Get(l.to.String())
	for _, form := range []url.Values{{"login": {sub}}, {"allow": {"yes"}}} {
		check(l.t, err)
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			break
		}
		response, err = client.PostForm(response.Request.URL.String(), form)
	}
	check(l.t, err)
	_ = response.Body.Close()
	back, ok := strings.CutPrefix(response.Header.Get("Location"), localURL)
	if !ok {
		l.t.Fatalf("the provider answers %s, and leads to %q", response.Status, back)
	}
	return back
}

// stay requests a path with the login's cookie.
func (l *login) stay(path string) *page {
	l.t.Helper()
	l.header = http.Header{}
	if l.cookie != "" {
		l.header.Set("Cookie", l.name+"="+l.cookie)
	}
	defer func() { l.header = http.Header{} }()
	return l.get(path)
}

// back requests a path with the login's cookie, and checks that the answer deletes the cookie.
func (l *login) back(path string) *page {
	l.t.Helper()
	p := l.stay(path)
	gone := false
	for _, c := range p.Result().Cookies() {
		gone = gone || c.Name == l.name && c.MaxAge < 0 && c.Value == "" && c.Secure && c.Path == "/"
	}
	if !gone {
		l.t.Error("the login's cookie stays")
	}
	return p
}

// logIn logs in as sub through a provider that behaves correctly.
func (s *site) logIn(workspace, sub string) *visitor {
	s.t.Helper()
	l := s.stranger().begin(workspace)
	p := l.back(l.as(sub)).want(http.StatusSeeOther)
	if sub == "root" { // an operator
		p.leadsTo("/portal/" + workspace + "/operator/overview")
	} else {
		p.leadsTo("/portal/" + workspace + "/keys")
	}
	return l.visitor
}

// refused checks that nobody was logged in and that the audit has the reason or, if empty, no refusal.
func (s *site) refused(p *page, status int, reason string) {
	s.t.Helper()
	p.want(status)
	for _, c := range p.Result().Cookies() {
		if isSession(c.Name) && c.MaxAge >= 0 {
			s.t.Errorf("%s: sets a session", p.what)
		}
	}
	entries, _, err := s.Audit(s.t.Context(), "acme", store.AuditFilter{Limit: 1})
	check(s.t, err)
	if reason == "" {
		if len(entries) > 0 && entries[0].Action == store.ActionLoginRefuse {
			s.t.Errorf("recorded: %s", entries[0].Detail)
		}
		return
	}
	if len(entries) == 0 || entries[0].Action != store.ActionLoginRefuse || string(entries[0].Detail) != `{"reason":"`+reason+`"}` ||
		entries[0].Actor.Kind != store.ActorOIDC || entries[0].Actor.From == "" {
		s.t.Errorf("recorded: %+v, want %s", entries, reason)
	}
}

var errNoSession = errors.New("no cookie of a session")

func (v *visitor) session() (store.Session, error) {
	if v.cookie == nil {
		return store.Session{}, errNoSession
	}
	return v.Session(v.t.Context(), authz.Secret(v.cookie.Value))
}

func optionsAt(url string) portal.Options { return portal.Options{PublicURL: url} }
