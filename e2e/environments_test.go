package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

// A key of an environment never passes where another environment is required, and each passes at its own. Only the
// issuer separates them here: all of these gateways accept any audience.
func TestE2EEnvironmentsAreApart(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	newCLI(t, s).ok("workspace", "create", "acme-test", "--environment", "test", "--environment-of", "acme")
	live, test := admin.mustIssue(t, "acme"), admin.mustIssue(t, "acme-test")
	file := filepath.Join(t.TempDir(), "gateway.key")
	check(t, os.WriteFile(file, []byte(admin.mustIssue(t, "burnkey", "scopes", []string{"gateway"}).Token+"\n"), 0o600))
	service := startAsked(t, s, "--key-file", file, "--environment", "live")
	for name, c := range map[string]struct {
		gateway     *gateway
		good, wrong string
	}{
		"pull, live":    {startGateway(t, s, "acme"), live.Token, test.Token},
		"pull, test":    {startGateway(t, s, "acme-test"), test.Token, live.Token},
		"gateway, live": {startEnvoy(t, "--mode", "gateway", "--gateway", service.addr), live.Token, test.Token},
	} {
		c.gateway.until(t, time.Now(), http.StatusOK, c.good, patience)
		reached := c.gateway.requests.Load()
		if code := c.gateway.get(t, c.wrong); code != http.StatusUnauthorized || c.gateway.requests.Load() != reached {
			t.Errorf("%s: a key of the other environment gets %d", name, code)
		}
	}
	for flags, good := range map[string]string{
		"--workspace acme": live.Token, "--workspace acme-test": test.Token, "--environment test --key-file " + file: test.Token,
	} {
		ask := startAsked(t, s, strings.Fields(flags)...).asker(t)
		eventually(t, flags+" accepts its own keys", func() bool { return ask.from(t.Context(), here, good) == http.StatusOK })
		for _, token := range []string{live.Token, test.Token} {
			if got := ask.from(t.Context(), here, token); (got == http.StatusOK) != (token == good) {
				t.Errorf("%s: the key of the live environment: %t, gets %d", flags, token == live.Token, got)
			}
		}
	}
	// A service that follows all workspaces leaves the choice to the route.
	every := startAsked(t, s, "--key-file", file).asker(t)
	eventually(t, "it has the keys", func() bool { return every.from(t.Context(), here, test.Token) == http.StatusOK })
	if code := every.from(t.Context(), here, test.Token, "workspace", "acme"); code != http.StatusUnauthorized {
		t.Errorf("a test key on a route for acme gets %d", code)
	}
}

// Environments on the command line.
func TestE2ECLIEnvironments(t *testing.T) {
	t.Parallel()
	c := newCLI(t, startServer(t))
	c.ok("workspace", "create", "acme")
	c.ok("workspace", "update", "acme", "--keys-per-owner", "7")
	says(t, c.ok("workspace", "create", "acme-test", "--environment", "test", "--environment-of", "acme"),
		"test of acme", "policy, portal, plans without changes", "keys per owner", "7")
	says(t, c.ok("workspace", "list"), "ENVIRONMENT", "test of acme", "live")
	list := c.ok("workspace", "list", "--environment-of", "acme")
	if strings.Contains(list, "\nacme ") || !strings.Contains(list, "acme-test") {
		t.Errorf("the environments are\n%s", list)
	}
	says(t, c.ok("workspace", "show", "acme"), "environment test", "acme-test")
	c.run("workspace", "create", "x", "--environment-of", "acme").fails(t, "environment", "must be 1 to 31 characters")
	c.run("workspace", "create", "x", "--environment", "test", "--environment-of", "acme").fails(t, "environment", "must differ")
	c.run("workspace", "create", "x", "--environment", "x", "--environment-of", "acme", "--allow-never-expires=false").
		fails(t, "allow_never_expires", "must be absent")

	says(t, c.ok("workspace", "update", "acme-test", "--keys-per-owner", "8"), "portal, plans without changes", "8")
	c.run("workspace", "update", "acme-test", "--inherit", "policy", "--keys-per-owner", "9").fails(t, "--inherit", "policy")
	c.run("workspace", "update", "acme-test", "--inherit", "plans").fails(t, "--inherit", "must be policy or portal")
	if text := c.ok("workspace", "update", "acme-test", "--inherit", "policy"); !strings.Contains(text, "7") {
		t.Errorf("inherited again:\n%s", text)
	}
	c.ok("plan", "create", "free", "-w", "acme", "--limit", "burst=100/60s")
	says(t, c.ok("plan", "show", "free", "-w", "acme-test"), "burst=100/60s", "inherited")
	c.run("plan", "delete", "free", "-w", "acme-test").fails(t, "first workspace", "409")
	says(t, c.ok("portal", "link", "-w", "acme", "--owner", "cust_1", "--environment", "acme-test"), "/portal/link/")
	c.run("portal", "link", "-w", "acme", "--owner", "cust_1", "--environment", "burnkey").fails(t, "environments", "environments")
	c.run("gateway", "--workspace", "acme", "--any-audience", "--environment", "live").fails(t, "--environment", "--key-file")
}
