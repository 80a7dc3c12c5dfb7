package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz/portal/portaltest"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

// portalLink creates a link, as a producer's backend does when a customer clicks on "API keys". An operator's has no owner.
func (c *client) portalLink(t testing.TB, workspace, owner string, pairs ...any) string {
	t.Helper()
	in := map[string]any{}
	if owner != "" {
		in["owner"] = owner
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		in[pairs[i].(string)] = pairs[i+1]
	}
	var answer struct{ URL string }
	check(t, c.call(http.MethodPost, "/v1/workspaces/"+workspace+"/portal-sessions", in, &answer))
	return answer.URL
}

// mustPatch changes the policy and the portal of a workspace, in the API's form.
func (c *client) mustPatch(t testing.TB, workspace string, policy, portal map[string]any) {
	t.Helper()
	check(t, c.call(http.MethodPatch, "/v1/workspaces/"+workspace, map[string]any{"policy": policy, "portal": portal}, nil))
}

// scopesOfMaps is a policy.
func scopesOfMaps() map[string]any {
	return map[string]any{"scopes": []map[string]any{
		{"name": "maps:read", "description": "Look at maps"}, {"name": "maps:write", "description": "Draw on maps"},
	}}
}

// customer is a person who uses the portal in a browser.
type customer struct {
	*portaltest.Page
	t      testing.TB
	script bool // JavaScript is on
	shots  int
}

func newCustomer(t testing.TB, o portaltest.PageOptions) *customer {
	t.Helper()
	return &customer{Page: portaltest.NewPage(t, o), t: t, script: !o.NoJavaScript}
}

// look checks the rules that apply to every page, and takes a screenshot.
func (c *customer) look(name string) {
	c.t.Helper()
	for _, v := range c.Axe() {
		c.t.Errorf("%s: %s", name, v)
	}
	if pixels := c.Overflow(); pixels > 0 {
		c.t.Errorf("%s: is %d pixels too wide", name, pixels)
	}
	for _, p := range c.Problems() {
		c.t.Errorf("%s: %+v", name, p)
	}
	c.shots++
	c.Screenshot(filepath.Join(c.t.ArtifactDir(), fmt.Sprintf("%02d-%s.png", c.shots, name)), true)
}

// does submits a form by its button. With JavaScript, the form is in a dialog, which must be opened first.
func (c *customer) does(open, do string, fill func()) {
	c.t.Helper()
	if c.script {
		c.Click(portaltest.Role("button", open))
		c.Wait("dialog[open]")
	}
	if fill != nil {
		fill()
	}
	c.Follow(portaltest.Role("button", do))
}

func (c *customer) token() string {
	c.t.Helper()
	token := c.Value("#token")
	if strings.Count(token, ".") != 2 {
		c.t.Fatal("the page shows no token")
	}
	return token
}

// create creates a key with the form.
func (c *customer) create(name string) string {
	c.t.Helper()
	c.Fill(portaltest.Label("Name"), name)
	c.Check(portaltest.Label("maps:read"), true)
	c.Check(portaltest.Label("30 days"), true)
	c.look("new")
	c.Follow(portaltest.Role("button", "Create key"))
	return c.token()
}

// rotate rotates a key in the browser, and stays on the page of the new key.
func (c *customer) rotate() string {
	c.t.Helper()
	c.does("Rotate this key…", "Create new key", func() {
		c.look("rotate")
		c.Check(portaltest.Label("7 days"), true)
	})
	c.look("rotated")
	token := c.token()
	c.Follow(portaltest.Role("link", "I’ve saved the key"))
	return token
}

func TestE2EPortalLifeOfAKey(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]portaltest.PageOptions{
		"desk":               {},
		"without JavaScript": {NoJavaScript: true, Dark: true},
		"telephone":          {Mobile: true, Width: 360, Height: 740},
		"narrow and dark":    {Mobile: true, Width: 320, Height: 568, Dark: true, ReducedMotion: true},
	} {
		t.Run(name, func(t *testing.T) {
			envoytest.Binary(t)
			s := startServer(t)
			admin := s.admin()
			admin.mustCreate(t, "acme")
			g := startGateway(t, s, "acme")
			admin.mustPatch(t, "acme", scopesOfMaps(), map[string]any{
				"display_name": "Acme Maps", "base_url": g.url + "/v1/tiles", "accent": "#ffd400",
			})
			lifeOfAKey(t, newCustomer(t, o), g, admin)
			if strings.Contains(s.log(), "eyJ") || strings.Contains(s.log(), `"level":"ERROR"`) {
				t.Error("the log has a token or an error")
			}
		})
	}
}

func lifeOfAKey(t *testing.T, c *customer, g *gateway, admin *client) {
	t.Helper()
	is := func(token string, code int) {
		t.Helper()
		g.until(t, time.Now(), code, token, patience)
	}
	link := admin.portalLink(t, "acme", "cust_1", "return_url", "http://127.0.0.1:1/settings")
	if status := c.Open(link); status != http.StatusOK {
		t.Fatalf("the link leads to status %d", status)
	}
	c.look("empty")
	c.Follow(portaltest.Role("link", "Create your first key"))
	first := c.create("Web shop")
	c.look("created")
	if c.script {
		c.saves(first)
	}
	is(first, http.StatusOK)
	tryCurl(t, c.Text("#curl"), "ACME_API_KEY="+first+"\n")
	c.Follow(portaltest.Role("link", "I’ve saved the key"))
	c.look("key")
	c.does("Pause this key…", "Pause key", func() { c.Fill(portaltest.Label("Reason"), "lost laptop") })
	c.WaitText("main", "Key paused")
	c.look("paused")
	is(first, http.StatusUnauthorized)
	c.Follow(portaltest.Role("button", "Resume key"))
	c.WaitText("main", "Key resumed")
	is(first, http.StatusOK)

	second := c.rotate()
	is(second, http.StatusOK)
	is(first, http.StatusOK)
	c.look("grace")
	c.does("Undo the rotation…", "Revoke new key", nil)
	c.WaitText("main", "Rotation undone")
	is(second, http.StatusUnauthorized)
	is(first, http.StatusOK)

	third := c.rotate()
	is(third, http.StatusOK)
	is(first, http.StatusOK)
	c.does("Revoke the old key now…", "Revoke old key", nil)
	c.WaitText("main", "Old key revoked")
	c.look("ended")
	is(first, http.StatusUnauthorized)
	is(third, http.StatusOK)

	c.Follow(portaltest.Role("link", "All keys"))
	c.look("keys")
	c.Follow("ul.keys > li:first-child h2 a")
	c.does("Revoke this key…", "Revoke key", func() {
		c.look("revoke")
		c.Fill("#confirm", "Web shop")
	})
	c.WaitText("main", "Key revoked")
	c.look("revoked")
	is(third, http.StatusUnauthorized)
	c.Follow(portaltest.Role("link", "History"))
	c.look("history")

	c.Follow(portaltest.Role("button", "Log out"))
	c.WaitText("main", "You are logged out")
	c.look("out")
	if status := c.Open(link); status != http.StatusGone {
		t.Errorf("the used link is answered %d", status)
	}
	c.Problems() // the browser reports the status
	c.look("used")
}

// saves copies and downloads a token from the page, and waits until the page reports that the token works.
func (c *customer) saves(token string) {
	c.t.Helper()
	c.Click(portaltest.Role("button", "Copy key"))
	c.WaitText("section:has(#token) .said", "Copied.")
	if c.Clipboard() != token {
		c.t.Error("something else was copied")
	}
	name, text := c.Download(portaltest.Role("button", "Download acme.env"))
	if name != "acme.env" || text != "ACME_API_KEY="+token+"\n" {
		c.t.Errorf("saved as %s is something else", name)
	}
	c.WaitText("[data-live] .said", "Ready: the key is accepted.")
	c.look("live")
}

// tryCurl runs the command that the page shows in a folder with acme.env.
func tryCurl(t *testing.T, command, file string) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Log("no curl here: the command on the page was not tried")
		return
	}
	cmd := exec.Command("sh", "-c", command+` --silent --output /dev/null --write-out '%{http_code}'`)
	cmd.Dir = t.TempDir()
	check(t, os.WriteFile(filepath.Join(cmd.Dir, "acme.env"), []byte(file), 0o600))
	out, err := cmd.Output()
	if err != nil || string(out) != "200" {
		t.Errorf("the command on the page: %s, %v", out, err)
	}
}
