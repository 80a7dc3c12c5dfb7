package e2e_test

import (
	"strings"
	"testing"
)

// Keys are changed, suspended and resumed on the command line, one by one and many at once.
func TestE2ECLIKeyUpdate(t *testing.T) {
	s := startServer(t)
	c := newCLI(t, s)
	c.ok("workspace", "create", "acme")
	var one, two key
	c.json(&one, "key", "issue", "-w", "acme", "--owner", "a", "--scope", "read", "--scope", "write",
		"--allowed-ip", "192.0.2.7", "--limit", "burst=100/60s")
	c.json(&two, "key", "issue", "-w", "acme", "--owner", "b")
	update := func(flags ...string) []string {
		return append([]string{"key", "update", one.ID, "-w", "acme"}, flags...)
	}
	says(t, c.ok("key", "show", one.ID, "-w", "acme"), "192.0.2.7/32", "burst=100/60s", "allowed_ips: gateway, limits: gateway")

	says(t, c.ok(update("--enabled=false", "--reason", "found in a repository")...), "suspended", "by the producer", "found in a repository")
	if s.mustPublished("acme").has(one.KID) {
		t.Error("the suspended key is published")
	}
	says(t, c.ok("key", "list", "-w", "acme", "--status", "suspended"), one.ID)
	c.run("key", "rotate", one.ID, "-w", "acme").fails(t, "has been suspended since", "Resume it first")
	resumed := c.ok(update("--enabled", "--scope", "read", "--allowed-ip", "", "--limit", "monthly=5/month", "--expires-in", "1h")...)
	says(t, resumed, "active", "monthly=5/month", "expires_at: all, limits: gateway, scopes: gateway")
	if !s.mustPublished("acme").has(one.KID) || strings.Contains(resumed, "192.0.2.7") {
		t.Errorf("resumed:\n%s", resumed)
	}
	says(t, c.ok(update("--scope", "", "--expires-at", "", "--limit", "")...), "read write")
	if shown := c.ok("key", "show", one.ID, "-w", "acme"); strings.Contains(shown, "enforced by") {
		t.Errorf("after the reset:\n%s", shown)
	}
	c.run(update()...).fails(t, "nothing to change")
	c.run(update("--limit", "burst=x")...).fails(t, "--limit", "burst=100/60s")
	c.run(update("--limit", "burst=0/60s")...).fails(t, "limits[0].requests")
	c.run(update("--plan", "gold")...).fails(t, "plan", "must be a plan of the workspace")
	c.run(update("--allowed-ip", "192.0.2.300")...).fails(t, "allowed_ips", "must be an address or a network")
	c.run(update("--expires-at", "2020-01-31")...).fails(t, "expires_at", "must be in the future")

	many := func(flags ...string) []string {
		return append([]string{"key", "update-many", "-w", "acme", "--enabled=false"}, flags...)
	}
	c.run(many("--owner", "b")...).fails(t, "nothing was changed", "(1)", "--yes")
	says(t, c.ok(many("--owner", "b", "--dry-run")...), two.ID, "active")
	says(t, c.ok(many("--created-before", "2100-01-01", "--yes")...), one.ID, two.ID, "suspended")
	if r := c.run(many("--created-before", "2100-01-01", "--yes")...); r.code != 0 || r.stderr != "No keys.\n" {
		t.Errorf("again: %q, %q", r.stdout, r.stderr)
	}
	if s.mustPublished("acme").size != 1 {
		t.Error("more than the tombstone is published")
	}
	says(t, c.ok("workspace", "update", "acme", "--expiry", "publication"), "by publication")
	c.ok("key", "revoke-many", "-w", "acme", "--owner", "a", "--yes")
	c.run(update("--enabled")...).fails(t, "was revoked", "409")
}
