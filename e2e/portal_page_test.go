package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz/portal/portaltest"
)

// startPortal starts a server with a workspace acme that has the given portal settings.
func startPortal(t *testing.T, portal map[string]any) (*server, *client) {
	t.Helper()
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	admin.mustPatch(t, "acme", scopesOfMaps(), portal)
	return s, admin
}

func TestE2EPortalPages(t *testing.T) {
	t.Parallel()
	s, admin := startPortal(t, map[string]any{"display_name": "Acme Maps"})
	day := 86400
	soon := admin.mustIssue(t, "acme", "name", "Soon", "expires_in", 5*day, "scopes", []string{"maps:read", "maps:write"})
	for i := range 30 {
		admin.mustIssue(t, "acme", "name", fmt.Sprintf("Key %d", i))
	}
	for _, look := range []struct {
		accent string
		dark   bool
	}{{"", false}, {"", true}, {"#ffffff", false}, {"#000000", true}, {"#7f7f7f", false}} {
		t.Run(fmt.Sprintf("accent %s, dark %v", look.accent, look.dark), func(t *testing.T) {
			admin.mustPatch(t, "acme", scopesOfMaps(), map[string]any{"display_name": "Acme Maps", "accent": look.accent})
			o := portaltest.PageOptions{Dark: look.dark, Locale: map[bool]string{false: "en-GB", true: "de-DE"}[look.dark]}
			c := newCustomer(t, o)
			c.Open(admin.portalLink(t, "acme", "cust_1"))
			everyPage(c, s.url+"/portal/acme/", soon.ID)
			for _, url := range c.Requests() {
				if !strings.HasPrefix(url, s.url+"/portal/") {
					t.Errorf("the page asks for %s", url)
				}
			}
		})
	}
	stranger := newCustomer(t, portaltest.PageOptions{})
	if status := stranger.Open(s.url + "/portal/acme/keys"); status != http.StatusUnauthorized {
		t.Errorf("nobody: %d", status)
	}
	stranger.Problems()
	stranger.look("nobody")
}

// everyPage visits all pages of a customer who has a key with this ID.
func everyPage(c *customer, portal, id string) {
	c.t.Helper()
	for _, page := range []struct {
		name, path string
		status     int
	}{
		{"keys", "keys", 200},
		{"found", "keys?q=key+1", 200},
		{"none", "keys?q=nothing", 200},
		{"next", "keys?after=" + id, 200},
		{"new", "keys/new", 200},
		{"key", "keys/" + id, 200},
		{"history", "history", 200},
		{"nowhere", "keys/x", 404},
	} {
		if status := c.Open(portal + page.path); status != page.status {
			c.t.Errorf("%s: %d", page.path, status)
		}
		if page.status != http.StatusOK {
			c.Problems() // the browser reports the status
		}
		c.look(page.name)
	}
	c.Open(portal + "keys/new")
	c.Follow("button.main")
	c.Problems()
	c.look("faults")
	c.Open(portal + "keys/" + id)
	for _, section := range []string{"section[aria-labelledby=revoke-title]", "section[aria-labelledby=rotate-title]"} {
		c.Click(section + " [data-dialog] > button")
		c.Wait("dialog[open]")
		c.look("dialog")
		c.Press("Escape")
	}
}

// All controls can be reached with the keyboard, in a sensible order, and the focus is never lost.
func TestE2EPortalByKeyboard(t *testing.T) {
	t.Parallel()
	s, admin := startPortal(t, map[string]any{})
	k := admin.mustIssue(t, "acme", "name", "Web shop")
	c := newCustomer(t, portaltest.PageOptions{})
	c.Open(admin.portalLink(t, "acme", "cust_1"))
	order := func(want ...string) {
		t.Helper()
		var got []string
		for range want {
			c.Press("Tab")
			got = append(got, c.Focused().Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the order is %q, want %q", c.URL(), got, want)
		}
	}
	on := func(want string) {
		t.Helper()
		eventually(t, "the focus is on "+want, func() bool { return c.Focused().Name == want })
	}
	order("Skip to content", "Keys", "History", "Log out", "Create key", "Name or ID", "Status", "Search", "Web shop", "English", "Deutsch")
	c.Open(s.url + "/portal/acme/keys/" + k.ID)
	order("Skip to content")
	c.Press("Enter")
	order("All keys", "New key under this one", "Change allowed addresses…", "Change expiry…", "Change scopes…", "Pause this key…")
	order("Name", "Save name", "Rotate this key…", "Revoke this key…")

	c.Press("Enter")
	c.Wait("dialog[open]")
	const confirm = "To confirm, type the name “Web shop” or "
	label := confirm + k.ID[len(k.ID)-8:]
	on(label)
	order("Revoke key", "Cancel")
	c.Press("Enter")
	c.WaitGone("dialog[open]")
	on("Revoke this key…")
	c.Press("Enter")
	c.Wait("dialog[open]")
	c.Press("Escape")
	c.WaitGone("dialog[open]")
	on("Revoke this key…")

	c.Press("Shift+Tab")
	on("Rotate this key…")
	c.Press("Enter")
	c.Wait("dialog[open]")
	if got := c.Focused(); got.Role != "radio" {
		t.Errorf("the focus is on %+v", got)
	}
	c.Press("Escape")
	c.WaitGone("dialog[open]")
	on("Rotate this key…")

	c.Click(portaltest.Role("button", "Revoke this key…"))
	c.Fill("#confirm", "wrong")
	c.Press("Enter")
	c.WaitText("h1", "Web shop")
	c.Wait("[role=alert]")
	on("There is a problem")
	order("This is neither the name of the key nor the end of its ID. Nothing was revoked.")
	c.Press("Enter")
	on(label)
	if got := c.Focused(); got.Description == "" {
		t.Error("what is wrong with the field is not said of it")
	}
	if c.Value("#confirm") != "wrong" {
		t.Error("what was typed is lost")
	}
}

// In a frame, the page works if the workspace lists the parent's origin, and otherwise not.
func TestE2EPortalInAFrame(t *testing.T) {
	t.Parallel()
	parent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w,
			`<!doctype html><html lang="en"><title>Acme</title><h1>Acme</h1>`+
				`<iframe title="keys" src="%s" width="800" height="900"></iframe></html>`, r.FormValue("link"))
	}))
	defer parent.Close()
	origin := strings.Replace(parent.URL, "127.0.0.1", "localhost", 1) // another site
	s, admin := startPortal(t, map[string]any{"frame_ancestors": []string{origin}})

	c := newCustomer(t, portaltest.PageOptions{})
	c.Open(origin + "/?link=" + admin.portalLink(t, "acme", "cust_1"))
	frame := &customer{Page: c.Frame("iframe"), t: t, script: true}
	frame.Follow(portaltest.Role("link", "Create your first key"))
	frame.Fill(portaltest.Label("Name"), "Framed")
	frame.Follow(portaltest.Role("button", "Create key"))
	frame.token()
	frame.Follow(portaltest.Role("link", "I’ve saved the key"))
	frame.Click(portaltest.Role("button", "Revoke this key…"))
	frame.Fill("#confirm", "Framed")
	frame.Follow(portaltest.Role("button", "Revoke key"))
	frame.WaitText("main", "Key revoked")
	kept := c.Cookies()
	if len(kept) != 1 || kept[0].Name != "__Host-burnkey-acme" || !kept[0].HTTPOnly || kept[0].PartitionKey == "" {
		t.Errorf("the browser has kept %+v", kept)
	}
	if problems := c.Problems(); len(problems) > 0 {
		t.Errorf("the browser complains: %+v", problems)
	}

	admin.mustPatch(t, "acme", scopesOfMaps(), map[string]any{"frame_ancestors": []string{"https://app.example.com"}})
	c = newCustomer(t, portaltest.PageOptions{})
	c.Open(origin + "/?link=" + s.url + "/portal/acme/keys")
	eventually(t, "the browser refuses to show it", func() bool {
		return slices.ContainsFunc(c.Problems(), func(p portaltest.Problem) bool { return strings.Contains(p.Text, "frame-ancestors") })
	})
}
