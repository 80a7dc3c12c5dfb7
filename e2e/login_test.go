package e2e_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz/portal/portaltest"
)

// newLoginServer starts a server with a workspace acme. Its customers log in with a real OpenID provider on
// another site, at which the server has a client secret.
func newLoginServer(t *testing.T) (*server, *portaltest.OIDCProvider) {
	t.Helper()
	s := newServer(t)
	op := portaltest.NewOIDCProvider(t, portaltest.OIDCConfig{
		Host: "localhost", RedirectURIs: []string{s.url + "/portal/acme/callback"}, LogoutURIs: []string{s.url + "/portal/acme/loggedout"},
		Users: map[string]map[string]any{
			"ada": {"customer_id": "cust_1", "email": "ada@acme.test", "email_verified": true},
			"eve": {"email": "eve@acme.test", "email_verified": false},
		},
	})
	secrets := filepath.Join(s.dir, "secrets.json")
	check(t, os.WriteFile(secrets, []byte(`{"acme":{"issuer":"`+op.Issuer+`","client_secret":"`+portaltest.ClientSecret+`"}}`), 0o600))
	s.flags = append(s.flags, "--oidc-secrets", secrets)
	s.start()
	admin := s.admin()
	check(t, admin.call(http.MethodPost, "/v1/workspaces", map[string]any{"id": "acme", "name": "Acme"}, nil))
	check(t, admin.call(http.MethodPatch, "/v1/workspaces/acme", map[string]any{"portal": map[string]any{"oidc": map[string]any{
		"issuer": op.Issuer, "client_id": portaltest.ConfidentialClient, "owner_claim": "customer_id",
		"operator_claim": "groups", "operator_value": "operators",
	}}}, nil))
	for owner, name := range map[string]string{"cust_1": "Web shop", "cust_2": "Warehouse"} {
		_, err := admin.issue("acme", map[string]any{"owner": owner, "name": name})
		check(t, err)
	}
	return s, op
}

// A customer logs in at the producer's provider and sees their own keys. After logging out, the customer has no
// session, even after going back in the browser.
func TestE2ELogin(t *testing.T) {
	t.Parallel()
	s, op := newLoginServer(t)
	for name, o := range map[string]portaltest.PageOptions{
		"with JavaScript": {}, "without JavaScript": {NoJavaScript: true, Width: 360, Height: 700},
	} {
		t.Run(name, func(t *testing.T) { logsInAndOut(t, s, op, portaltest.NewPage(t, o)) })
	}
}

func logsInAndOut(t *testing.T, s *server, op *portaltest.OIDCProvider, p *portaltest.Page) {
	keys := s.url + "/portal/acme/keys"
	if status := p.Open(keys); status != http.StatusUnauthorized {
		t.Fatalf("nobody is answered %d", status)
	}
	accessible(t, p)
	p.Follow(portaltest.Role("link", "Log in"))
	op.LogIn(p, "ada")
	p.WaitURL(keys)
	says(t, p.Text("main"), "Web shop")
	if strings.Contains(p.Text("body"), "Warehouse") {
		t.Error("another's key is shown")
	}
	secret := sessionSecret(t, p)
	p.Follow(portaltest.Role("link", "History"))
	says(t, p.Text("main"), "Logged in")
	p.Open(keys)

	p.Click(portaltest.Role("button", "Log out"))
	op.LogOut(p)
	p.WaitURL(s.url + "/portal/acme/loggedout")
	says(t, p.Text("main"), "You are logged out", "Log in")
	accessible(t, p)
	for tries := 5; p.URL() != keys; tries-- {
		if tries == 0 {
			t.Fatalf("the way back leads to %s", p.URL())
		}
		p.Back()
	}
	says(t, p.Text("main"), "You are not logged in")
	if status := p.Open(keys); status != http.StatusUnauthorized {
		t.Errorf("after the logout the keys are answered %d", status)
	}
	p.Follow(portaltest.Role("link", "Log in"))
	p.Wait(portaltest.Label("User")) // the provider has logged them out, too

	files, err := filepath.Glob(s.databaseFile() + "*")
	check(t, err)
	for _, file := range append(files, s.logFile) {
		text, err := os.ReadFile(file)
		check(t, err)
		if bytes.Contains(text, []byte(secret)) || bytes.Contains(text, []byte(portaltest.ClientSecret)) || bytes.Contains(text,
			[]byte("code=")) {
			t.Errorf("a secret is in %s", filepath.Base(file))
		}
	}
}

// sessionSecret returns the value of the only secret cookie that the browser has from this server.
func sessionSecret(t *testing.T, p *portaltest.Page) (secret string) {
	t.Helper()
	for _, c := range p.Cookies() {
		if !strings.HasPrefix(c.Name, "__Host-burnkey") {
			continue
		}
		if c.Name != "__Host-burnkey-acme" || !c.HTTPOnly || !c.Secure || c.SameSite != "Lax" || c.Path != "/" {
			t.Errorf("there is the cookie %s %+v", c.Name, c)
		}
		secret = c.Value
	}
	if len(secret) != 43 {
		t.Fatal("there is no session")
	}
	return secret
}

func accessible(t *testing.T, p *portaltest.Page) {
	t.Helper()
	for _, v := range p.Axe() {
		t.Errorf("at %s: %s", p.URL(), v)
	}
	if pixels := p.Overflow(); pixels > 0 {
		t.Errorf("at %s: %d pixels too wide", p.URL(), pixels)
	}
}

// A person who has an account at the provider, but no keys, can log in as another person. By default, the
// provider would log in the same person again.
func TestE2ELoginAsSomebodyElse(t *testing.T) {
	t.Parallel()
	s, op := newLoginServer(t)
	p := portaltest.NewPage(t, portaltest.PageOptions{Locale: "de", Dark: true})
	keys := s.url + "/portal/acme/keys"
	p.Open(keys)
	p.Follow(portaltest.Role("link", "Anmelden"))
	op.LogIn(p, "eve")
	p.WaitURL(s.url + "/portal/acme/callback*")
	says(t, p.Text("main"), "Kein Zugriff auf Schlüssel")
	accessible(t, p)
	p.Follow(portaltest.Role("link", "Mit einem anderen Konto anmelden"))
	op.LogIn(p, "ada")
	p.WaitURL(keys)
	says(t, p.Text("main"), "Web shop")

	var audit struct {
		Entries []struct {
			Action string
			Actor  struct{ Kind, ID string }
			Detail map[string]any
		}
	}
	check(t, s.admin().call(http.MethodGet, "/v1/workspaces/acme/audit?action=login.refuse", nil, &audit))
	if len(audit.Entries) != 1 || audit.Entries[0].Actor.Kind != "oidc" || audit.Entries[0].Actor.ID != "eve" ||
		audit.Entries[0].Detail["reason"] != "owner" {
		t.Errorf("what is noted is %+v", audit.Entries)
	}
}
