package portal_test

import (
	"bytes"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/portal/portaltest"
	"github.com/burnkey/burnkey/store"
)

func TestLogIn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config  portaltest.OIDCConfig
		client  string
		secrets map[string]authz.Secret
	}{
		"a public client":     {client: portaltest.PublicClient},
		"a client's secret":   {client: portaltest.ConfidentialClient, secrets: map[string]authz.Secret{"acme": portaltest.ClientSecret}},
		"claims by UserInfo":  {config: portaltest.OIDCConfig{UserinfoOnly: true}, client: portaltest.PublicClient},
		"the other host name": {config: portaltest.OIDCConfig{Host: "localhost"}, client: portaltest.PublicClient},
	} {
		t.Run(name, func(t *testing.T) {
			s := newLoginSite(t, c.config, c.client, c.secrets)
			s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Ada’s"})
			s.issue("acme", authz.IssueRequest{Owner: "cust_2", Name: "Ben’s"})
			for sub, want := range map[string]store.Session{
				"ada":  {Owner: "cust_1", Role: store.RoleOwner, Subject: "ada@acme.test"},
				"ben":  {Owner: "cust_2", Role: store.RoleOwner, Subject: "ben"}, // the address is not verified
				"root": {Role: store.RoleOperator, Subject: "root@burnkey.test"},
			} {
				v := s.logIn("acme", sub)
				got, err := v.session()
				check(t, err)
				if got.Owner != want.Owner || got.Role != want.Role || got.Subject != want.Subject || got.Workspace != "acme" {
					t.Errorf("%s is %+v", sub, got)
				}
				kind := store.ActorOIDC
				if want.Role == store.RoleOperator {
					kind = store.ActorOperator
				}
				entries, _, err := s.Audit(t.Context(), "acme", store.AuditFilter{ActorID: want.Subject, Limit: 10})
				check(t, err)
				if len(entries) != 1 || entries[0].Action != store.ActionSessionStart || entries[0].Actor.Kind != kind {
					t.Errorf("%s: recorded %+v", sub, entries)
				}
				p := v.get("/portal/acme/keys")
				switch sub {
				case "ada":
					p.want(http.StatusOK).has("Ada’s").hasNot("Ben’s")
				case "ben":
					p.want(http.StatusOK).has("Ben’s").hasNot("Ada’s")
				default:
					p.want(http.StatusForbidden).has("Log in as someone else")
				}
				v.get("/portal/other/keys").want(http.StatusUnauthorized)
			}
		})
	}
}

// In the audit, actions in a session that began with a login name the person.
func TestAuditOfALogin(t *testing.T) {
	t.Parallel()
	s := newLoginSite(t, portaltest.OIDCConfig{}, portaltest.PublicClient, nil)
	v := s.logIn("acme", "ada")
	v.header = http.Header{"Origin": {localURL}}
	k := v.create()
	entries, _, err := s.Audit(t.Context(), "acme", store.AuditFilter{Key: k.ID, Limit: 10})
	check(t, err)
	if len(entries) != 1 || entries[0].Actor.Kind != store.ActorOIDC || entries[0].Actor.ID != "ada@acme.test" || entries[0].Actor.From == "" {
		t.Errorf("recorded: %+v", entries)
	}
}

// Manipulated logins are refused, even though the provider's answers are genuine.
func TestLoginsThatAreRefused(t *testing.T) {
	t.Parallel()
	s := newLoginSite(t, portaltest.OIDCConfig{}, portaltest.PublicClient, nil)
	t.Run("another nonce", func(t *testing.T) {
		l := s.stranger().begin("acme")
		l.set("nonce", "another")
		s.refused(l.back(l.as("ada")).has("You weren’t logged in", "Try again"), http.StatusForbidden, "nonce")
	})
	t.Run("another state", func(t *testing.T) {
		l := s.stranger().begin("acme")
		l.set("state", "another")
		s.update("acme", func(set *store.Workspace) { set.Name += "." }) // so that the latest audit entry is not a refusal
		s.refused(l.stay(l.as("ada")).has("This login can’t be completed", "Try again"), http.StatusForbidden, "")
	})
	t.Run("another challenge", func(t *testing.T) {
		l := s.stranger().begin("acme")
		l.set("code_challenge", strings.Repeat("A", 43))
		s.refused(l.back(l.as("ada")), http.StatusForbidden, "code")
	})
	t.Run("another browser", func(t *testing.T) {
		l, another := s.stranger().begin("acme"), s.stranger().begin("acme")
		s.update("acme", func(set *store.Workspace) { set.Name += "." })
		s.refused(another.stay(l.as("ada")), http.StatusForbidden, "")
		another.cookie = ""
		s.refused(another.stay(l.as("ada")), http.StatusForbidden, "")
	})
	t.Run("another workspace's", func(t *testing.T) {
		l := s.stranger().begin("other")
		s.update("acme", func(set *store.Workspace) { set.Name += "." })
		path := strings.Replace(l.as("ada"), "/portal/other/", "/portal/acme/", 1)
		s.refused(l.stay(path), http.StatusForbidden, "")
	})
	t.Run("another workspace's code", func(t *testing.T) {
		l, mine := s.stranger().begin("other"), s.stranger().begin("acme")
		answer, err := url.Parse(l.as("ada"))
		check(t, err)
		query := answer.Query()
		query.Set("state", mine.to.Query().Get("state"))
		s.refused(mine.back("/portal/acme/callback?"+query.Encode()), http.StatusForbidden, "code")
	})
	t.Run("denied", func(t *testing.T) {
		l := s.stranger().begin("acme")
		l.header = http.Header{}
		s.refused(l.back(l.as("nobody")).has("login service rejected it"), http.StatusForbidden, "denied")
	})
	t.Run("no owner", func(t *testing.T) {
		for sub, reason := range map[string]string{"eve": "owner", "num": "owner", "odd": "claims"} {
			l := s.stranger().begin("acme")
			s.refused(l.back(l.as(sub)), http.StatusForbidden, reason)
		}
		l := s.stranger().begin("acme")
		l.back(l.as("eve")).want(http.StatusForbidden).has("No access to keys", "Log in as someone else")
	})
	t.Run("another answer's place", func(t *testing.T) {
		for name, reason := range map[string]string{"iss": "iss", "code": "code"} {
			l := s.stranger().begin("acme")
			answer, err := url.Parse(l.as("ada"))
			check(t, err)
			query := answer.Query()
			query.Del(name)
			s.refused(l.back("/portal/acme/callback?"+query.Encode()), http.StatusForbidden, reason)
			query.Set("iss", "https://another.example")
			s.refused(l.back("/portal/acme/callback?"+query.Encode()), http.StatusForbidden, "iss")
		}
		l := s.stranger().begin("acme")
		s.update("acme", func(set *store.Workspace) { set.Name += "." })
		s.refused(l.stay(l.as("ada")+"&state=another"), http.StatusForbidden, "")
	})
	if strings.Contains(s.log.String(), "code=") || strings.Contains(s.log.String(), "eyJ") {
		t.Errorf("the log has a code or a token: %s", s.log.String())
	}
}

func TestASessionOfALoginEnds(t *testing.T) {
	t.Parallel()
	s := newLoginSite(t, portaltest.OIDCConfig{}, portaltest.PublicClient, nil)
	v := s.logIn("acme", "ada")
	s.advance(authz.LoginLife - 1)
	v.get("/portal/acme/keys").want(http.StatusOK)
	s.advance(1)
	p := v.get("/portal/acme/keys").want(http.StatusUnauthorized).has("Your session has ended", "Log in")
	if !strings.Contains(p.body, `href="/portal/acme/login"`) {
		t.Error("no way to the login")
	}
}

// A login ends the session before it.
func TestALoginEndsTheSessionBefore(t *testing.T) {
	t.Parallel()
	s := newLoginSite(t, portaltest.OIDCConfig{}, portaltest.PublicClient, nil)
	v := s.logIn("acme", "ada")
	former := *v.cookie
	l := v.begin("acme", "?other")
	l.back(l.as("ben")).want(http.StatusSeeOther)
	now, err := v.session()
	check(t, err)
	if now.Owner != "cust_2" {
		t.Errorf("the session is %+v", now)
	}
	v.cookie = &former
	v.get("/portal/acme/keys").want(http.StatusUnauthorized)
}

func TestLogOutOfALogin(t *testing.T) {
	t.Parallel()
	s := newLoginSite(t, portaltest.OIDCConfig{}, portaltest.PublicClient, nil)
	v := s.logIn("acme", "ada")
	former := *v.cookie
	v.header = http.Header{"Origin": {localURL}}
	p := v.post("/portal/acme/keys", "/portal/logout", nil).want(http.StatusOK).has("You are logged out", "Log out there too")
	to, found := strings.CutPrefix(p.Header().Get("Refresh"), "0; url=")
	u, err := url.Parse(to)
	check(t, err)
	if !found || !strings.HasSuffix(u.Path, "/session/end") || u.Query().Get("client_id") != portaltest.PublicClient ||
		u.Query().Get("post_logout_redirect_uri") != localURL+"/portal/acme/loggedout" || len(u.Query()) != 2 {
		t.Errorf("it leads on to %q", p.Header().Get("Refresh"))
	}
	entries, _, err := s.Audit(t.Context(), "acme", store.AuditFilter{Action: store.ActionSessionEnd, Limit: 10})
	check(t, err)
	if len(entries) != 1 || entries[0].Actor.Kind != store.ActorOIDC || entries[0].Actor.ID != "ada@acme.test" {
		t.Errorf("recorded: %+v", entries)
	}
	v.cookie = &former
	v.get("/portal/acme/keys").want(http.StatusUnauthorized)
	v.cookie = nil
	p = v.get("/portal/acme/loggedout").want(http.StatusOK).has("You are logged out", "Log in")
	if p.Header().Get("Refresh") != "" {
		t.Error("it leads on again")
	}
	// A session that began with a link has none at a provider.
	w := s.stranger()
	w.get(strings.TrimPrefix(s.link("acme", authz.LinkRequest{Owner: "cust_1"}), localURL)).want(http.StatusSeeOther)
	w.header = http.Header{"Origin": {localURL}}
	if p := w.post("/portal/acme/keys", "/portal/logout", nil).want(http.StatusOK); p.Header().Get("Refresh") != "" {
		t.Error("a link's session leads on")
	}
}

// The database contains no secret with which somebody could complete a login.
func TestNoSecretOfALoginIsKept(t *testing.T) {
	t.Parallel()
	s := newLoginSite(t, portaltest.OIDCConfig{}, portaltest.ConfidentialClient, map[string]authz.Secret{"acme": portaltest.ClientSecret})
	l := s.stranger().begin("acme")
	path := l.as("ada")
	l.back(path).want(http.StatusSeeOther)
	refused := s.stranger().begin("acme")
	refused.back(refused.as("eve")).want(http.StatusForbidden)
	answer, err := url.Parse(path)
	check(t, err)
	secrets := map[string]string{
		"session": l.visitor.cookie.Value, "cookie": l.cookie, "another cookie": refused.cookie, "code": answer.Query().Get("code"),
		"state": answer.Query().Get("state"), "nonce": l.to.Query().Get("nonce"), "client secret": portaltest.ClientSecret,
	}
	files, err := filepath.Glob(s.file + "*")
	check(t, err)
	var kept []byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		check(t, err)
		kept = append(kept, text...)
	}
	if !bytes.Contains(kept, []byte("ada@acme.test")) {
		t.Fatalf("the session itself is not found in %q", files)
	}
	for name, secret := range secrets {
		if len(secret) < 20 {
			t.Errorf("the %s is %q", name, secret)
		}
		if bytes.Contains(kept, []byte(secret)) || strings.Contains(s.log.String(), secret) {
			t.Errorf("the %s is in the database or the log", name)
		}
	}
}

func TestWaysToTheLogin(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ways := regexp.MustCompile(`href="/portal/acme/login(\?other)?"`)
	offers := func(v *visitor, path string) bool { return ways.MatchString(v.get(path).body) }
	if offers(s.stranger(), "/portal/acme/keys") || offers(s.operator("acme"), "/portal/acme/keys") ||
		offers(s.stranger(), "/portal/acme/loggedout") {
		t.Error("a login is offered where there is no provider")
	}
	for _, path := range []string{"/portal/acme/login", "/portal/acme/callback?state=x&code=y"} {
		s.stranger().get(path).want(http.StatusNotFound)
	}
	s.provide("acme", "https://login.example.test", "burnkey")
	if !offers(s.stranger(), "/portal/acme/keys") || !offers(s.operator("acme"), "/portal/acme/keys") ||
		!offers(s.stranger(), "/portal/acme/loggedout") {
		t.Error("no login is offered")
	}
	if offers(s.stranger(), "/portal/other/keys") || offers(s.owner("acme", "cust_1"), "/portal/acme/keys/none") {
		t.Error("a login is offered where it is no help")
	}
	framed := s.stranger()
	framed.header = http.Header{"Sec-Fetch-Dest": {"iframe"}}
	if offers(framed, "/portal/acme/keys") {
		t.Error("a login is offered in a frame")
	}
	// HEAD, prefetches and other requests that are not navigation neither begin nor end a login.
	for name, c := range map[string]struct {
		method string
		header http.Header
	}{
		"HEAD":      {"HEAD", nil},
		"prefetch":  {"GET", http.Header{"Sec-Purpose": {"prefetch"}}},
		"a frame":   {"GET", http.Header{"Sec-Fetch-Dest": {"iframe"}}},
		"a picture": {"GET", http.Header{"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}}},
		"a form":    {"POST", nil},
	} {
		for _, path := range []string{"/portal/acme/login", "/portal/acme/callback?state=x&code=y"} {
			v := s.stranger()
			if c.header != nil {
				v.header = c.header
			}
			if p := v.do(c.method, path, nil); len(p.Result().Cookies()) > 0 || p.Header().Get("Location") != "" {
				t.Errorf("%s of %s: %d %v", name, path, p.Code, p.Header())
			}
		}
	}
}

func TestLoginsSpeakGerman(t *testing.T) {
	t.Parallel()
	s := newSiteWith(t, optionsAt(localURL))
	s.provide("acme", "http://127.0.0.1:1", "burnkey")
	v := s.stranger()
	v.header = http.Header{"Accept-Language": {"de"}}
	v.get("/portal/acme/keys").want(http.StatusUnauthorized).has("Anmelden")
	v.get("/portal/acme/login").want(http.StatusServiceUnavailable).has("Anmeldung zurzeit nicht möglich", "Erneut versuchen")
	v.get("/portal/acme/callback").want(http.StatusForbidden).has("Diese Anmeldung lässt sich nicht abschließen")
}
