package e2e_test

import (
	"testing"
)

// Requests on the command line: listed, approved and declined, each once.
func TestE2ECLIRequests(t *testing.T) {
	s := startServer(t)
	c, admin := newCLI(t, s), s.admin()
	c.ok("workspace", "create", "acme")
	c.ok("plan", "create", "pro", "-w", "acme", "--limit", "burst=100/60s")
	var k key
	c.json(&k, "key", "issue", "-w", "acme", "--owner", "cust_1", "--scope", "read")
	ask := func(wanted map[string]any) (id string) {
		t.Helper()
		var made struct{ ID string }
		wanted["key"], wanted["reason"] = k.ID, "We grow"
		if err := admin.call("POST", "/v1/workspaces/acme/requests", wanted, &made); err != nil {
			t.Fatal(err)
		}
		return made.ID
	}
	plan, scopes := ask(map[string]any{"plan": "pro"}), ask(map[string]any{"scopes": []string{"write"}})
	says(t, c.ok("request", "list", "-w", "acme", "--status", "open"), plan, scopes, "plan pro", "write", "cust_1", "We grow")
	says(t, c.ok("request", "approve", plan, "-w", "acme", "--answer", "Until March"), "approved", "Until March", "plan pro")
	says(t, c.ok("request", "decline", scopes, "-w", "acme"), "declined")
	c.run("request", "approve", scopes, "-w", "acme").fails(t, "was declined at", "409")
	c.run("request", "approve", k.ID, "-w", "acme").fails(t, "404")
	says(t, c.ok("key", "show", k.ID, "-w", "acme"), "pro")
	says(t, c.ok("audit", "list", "-w", "acme", "--key-id", k.ID), "request.create", "request.approve", "request.decline", "key.update")
	c.run("request", "list", "-w", "acme", "--status", "x").fails(t, "status")
}
