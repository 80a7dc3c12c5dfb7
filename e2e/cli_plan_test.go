package e2e_test

import (
	"strings"
	"testing"
)

// Plans and shared limits on the command line, and the limit that a token contains.
func TestE2ECLIPlans(t *testing.T) {
	s := startServer(t)
	c := newCLI(t, s)
	c.ok("workspace", "create", "acme")
	says(t, c.ok("plan", "create", "free", "-w", "acme", "--description", "For everyone", "--limit", "burst=100/60s",
		"--limit", "monthly=100000/month", "--signed", "burst"),
		"For everyone", "burst=100/60s monthly=100000/month", "signed into tokens", "burst")
	c.run("plan", "create", "free", "-w", "acme").fails(t, "already exists", "409")
	c.run("plan", "create", "Free", "-w", "acme").fails(t, "name")
	c.run("plan", "create", "tin", "-w", "acme", "--signed", "burst").fails(t, "signed", "must name one of the limits")

	var k key
	c.json(&k, "key", "issue", "-w", "acme", "--owner", "cust_1", "--plan", "free")
	says(t, command{args: []string{"verify", "-"}, stdin: k.Token}.run(t).ok(t).stdout,
		`"rate_limit":{"requests_per_unit":100,"unit":"MINUTE"}`)
	says(t, c.ok("plan", "update", "free", "-w", "acme", "--limit", "burst=200/60s"), "burst=200/60s", "For everyone")
	says(t, c.ok("plan", "update", "free", "-w", "acme", "--signed", "", "--limit", ""), "limits")
	if shown := c.ok("plan", "show", "free", "-w", "acme"); strings.Contains(shown, "burst") {
		t.Errorf("after the reset:\n%s", shown)
	}
	says(t, c.ok("plan", "list", "-w", "acme"), "free", "For everyone")
	c.run("plan", "delete", "free", "-w", "acme").fails(t, "Keys that are neither revoked nor expired have the plan", "409")
	c.ok("key", "update", k.ID, "-w", "acme", "--plan", "")
	c.ok("plan", "delete", "free", "-w", "acme")
	c.run("plan", "show", "free", "-w", "acme").fails(t, "404")

	says(t, c.ok("limit", "set", "total", "-w", "acme", "--limit", "all=5000/1s"), "total", "all=5000/1s")
	c.ok("limit", "set", "owner", "cust_1", "-w", "acme", "--limit", "daily=10/day")
	c.ok("limit", "set", "owner", "*", "-w", "acme", "--limit", "daily=5/day")
	says(t, c.ok("limit", "list", "-w", "acme"), "cust_1", "daily=10/day", "daily=5/day", "all=5000/1s")
	c.ok("limit", "delete", "owner", "cust_1", "-w", "acme")
	c.run("limit", "delete", "owner", "cust_1", "-w", "acme").fails(t, "404")
	c.run("limit", "set", "owner", "-w", "acme", "--limit", "daily=5/day").fails(t, "requires one name")
	c.run("limit", "set", "total", "x", "-w", "acme", "--limit", "daily=5/day").fails(t, "takes no name")
	c.run("limit", "set", "plan", "x", "-w", "acme", "--limit", "daily=5/day").fails(t, "requires owner OWNER")
	c.run("limit", "set", "total", "-w", "acme").fails(t, "limit")
}
