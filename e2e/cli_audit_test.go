package e2e_test

import (
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestE2ECLIAudit(t *testing.T) {
	s := startServer(t)
	c, admin := newCLI(t, s), s.admin()
	c.ok("workspace", "create", "acme")
	one, two := admin.mustIssue(t, "acme"), admin.mustIssue(t, "acme")
	admin.mustRevoke(t, one)
	list := func(flags ...string) []string { return append([]string{"audit", "list", "-w", "acme"}, flags...) }
	table := lines(c.ok(list()...))
	if len(table) != 5 || !strings.HasPrefix(table[0], "AT ") || !strings.Contains(strings.Join(strings.Fields(table[1]), " "),
		"ago) key.revoke ok "+one.ID+" "+one.Owner+" key ") {
		t.Errorf("the table:\n%s", strings.Join(table, "\n"))
	}
	for flags, n := range map[string]int{
		"--key-id " + one.ID: 2, "--owner " + two.Owner: 3, "--owner nobody": 0, "--action key.issue": 2,
		"--result refused": 0, "--actor nobody": 0,
		"--since 2020-01-01": 4, "--since 1h": 4, "--until 2020-01-01T00:00:00+01:00": 0, "--until 1h": 0, "--limit 0": 4,
	} {
		var found struct{ Entries []struct{ ID, Action string } }
		c.json(&found, list(strings.Fields(flags)...)...)
		if len(found.Entries) != n {
			t.Errorf("%s: %d entries, not %d", flags, len(found.Entries), n)
		}
	}
	part := c.run(list("--limit", "2", "-o", "csv")...)
	rows, err := csv.NewReader(strings.NewReader(part.stdout)).ReadAll()
	if err != nil || len(rows) != 3 || rows[0][1] != "action" || rows[1][1] != "key.revoke" || rows[1][3] != one.ID {
		t.Errorf("as CSV: %q, %v", rows, err)
	}
	says(t, part.stderr, "There are more")
	_, sheet := get(t, admin, "/v1/workspaces/acme/audit.csv")
	if mine := c.ok(list("-o", "csv")...); "\ufeff"+mine != sheet {
		t.Errorf("as CSV:\n%s\nbut the server's:\n%s", mine, sheet)
	}
	c.run(list("--action", "key.isue")...).fails(t, "action", "key.issue")
	c.run(list("--key-id", "x")...).fails(t, "key", "422")
	c.run(list("--since", "yesterday")...).fails(t, "--since", "2026-01-31")
	c.run(list("-o", "xml")...).fails(t, "--output", "csv")
	c.run("audit", "list", "-w", "nobody").fails(t, "404")
	c.run("key", "list", "-w", "acme", "-o", "csv").fails(t, "--output")
	says(t, run(t, "__complete", "audit", "list", "--action", "").stdout, "key.issue", "login.refuse")
}

// get sends a GET request with the client's management key.
func get(t *testing.T, c *client, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, c.url+path, nil)
	check(t, err)
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := plainHTTP.Do(req)
	check(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	check(t, err)
	return resp.StatusCode, string(text)
}

func TestE2ECLIRevokeMany(t *testing.T) {
	s := startServer(t)
	c := newCLI(t, s)
	c.ok("workspace", "create", "acme")
	issue := func(owner, scope string) (k key) {
		c.json(&k, "key", "issue", "-w", "acme", "--owner", owner, "--scope", scope)
		return k
	}
	one, two, three := issue("a", "read"), issue("a", "write"), issue("b", "read")
	many := func(flags ...string) []string { return append([]string{"key", "revoke-many", "-w", "acme"}, flags...) }
	published := func(want ...key) {
		t.Helper()
		set := s.mustPublished("acme")
		if set.size != len(want)+1 {
			t.Errorf("%d keys are published, want %d", set.size-1, len(want))
		}
		for _, k := range want {
			if !set.has(k.KID) {
				t.Errorf("%s is gone", k.ID)
			}
		}
	}
	c.run(many("--owner", "a")...).fails(t, "nothing was revoked", "--dry-run", "(2)", "--yes")
	table := c.ok(many("--owner", "a", "--dry-run")...)
	if says(t, table, "KEY ", one.ID, two.ID, "active"); strings.Contains(table, three.ID) {
		t.Errorf("the dry run lists another's:\n%s", table)
	}
	c.run(many()...).fails(t, "--owner, --scope, --plan, --created-before, --unused-for")
	c.run(many("--owner", "", "--scope", "read", "--yes")...).fails(t, "--owner", "must not be empty")
	for command, flags := range map[string][]string{
		"key":   {"owner", "status", "query"},
		"audit": {"owner", "key-id", "action", "actor", "result", "since"},
	} {
		for _, flag := range flags {
			c.run(command, "list", "-w", "acme", "--"+flag, "").fails(t, "--"+flag, "must")
		}
	}
	c.run("key", "list", "-w", "").fails(t, "--workspace", "must not be empty")
	c.run("key", "show", "-w", "acme", "").fails(t, "must not be empty")
	c.run(many("--scope", "", "--owner", "a", "--yes")...).fails(t, "--scope", "must not be empty")
	c.run(many("--owner", "a", "--yes", "--dry-run")...).fails(t, "--dry-run: cannot be used with --yes")
	c.run(many("--created-before", "old", "--yes")...).fails(t, "--created-before")
	c.run(many("--unused-for", "1h", "--yes")...).fails(t, "unused_for", "at least 1 day")
	c.run(many("--owner", "a", "--unused-for", "90d", "--yes")...).fails(t, "No gateway reports the use")
	c.run(many("--owner", "a", "--yes", "-o", "xml")...).fails(t, "--output")
	c.run("key", "revoke-many", "-w", "nobody", "--owner", "a", "--yes").fails(t, "404")
	for _, way := range []string{"--yes", "--dry-run"} {
		if r := c.run(many("--created-before", "1h", way)...); r.code != 0 || r.stdout != "" || r.stderr != "No keys.\n" {
			t.Errorf("%s of none: %q, %q", way, r.stdout, r.stderr)
		}
		says(t, c.ok(many("--created-before", "1h", way, "-o", "json")...), `"count":0`, `"keys":[]`)
	}
	published(one, two, three)

	var answer struct {
		DryRun bool `json:"dry_run"`
		Count  int
		Keys   []struct{ ID, Status string }
	}
	c.json(&answer, many("--owner", "a", "--scope", "read", "--yes")...)
	if answer.DryRun || answer.Count != 1 || answer.Keys[0].ID != one.ID || answer.Keys[0].Status != "revoked" {
		t.Errorf("revoked %+v", answer)
	}
	published(two, three)
	c.ok("key", "rotate", three.ID, "-w", "acme") // its old key, in the grace, goes as well
	says(t, c.ok(many("--owner", "b", "--yes")...), three.ID, "revoked")
	published(two)
}

// Revoking many keys takes several calls. Each revoked key is reported, even if a later call fails.
func TestE2ECLIRevokeManyInParts(t *testing.T) {
	calls := 0
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls++; calls == 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"detail":"Not now."}`)
			return
		}
		fmt.Fprintf(w, `{"dry_run":false,"count":1,"more":%t,"keys":[{"id":"key-%d","status":"revoked",`+
			`"created_at":"2026-01-01T00:00:00Z"}]}`, calls != 5, calls)
	}))
	defer h.Close()
	revoke := command{
		args: []string{"key", "revoke-many", "-w", "acme", "--owner", "a", "--yes", "--server", h.URL},
		env:  []string{"BURNKEY_KEY=x"},
	}
	r := revoke.run(t)
	says(t, r.stdout, "key-1", "key-2")
	if says(t, r.stderr, "1 keys are revoked so far.", "2 keys are revoked so far.", "Not now.",
		"2 keys were revoked before that"); r.code != 1 {
		t.Errorf("exit status %d", r.code)
	}
	r = revoke.run(t)
	says(t, r.stdout, "key-4", "key-5")
	if says(t, r.stderr, "1 keys are revoked so far."); r.code != 0 || calls != 5 {
		t.Errorf("exit status %d after %d calls", r.code, calls)
	}
}

// A list shows that a deprecated key expires at the end of its grace.
func TestE2ECLIListSaysWhenAKeyEnds(t *testing.T) {
	s := startServer(t)
	c := newCLI(t, s)
	c.ok("workspace", "create", "acme")
	var old, never key
	c.json(&old, "key", "issue", "-w", "acme", "--owner", "a")
	c.json(&never, "key", "issue", "-w", "acme", "--owner", "a", "--never-expires")
	for _, k := range []key{old, never} {
		c.ok("key", "rotate", k.ID, "-w", "acme", "--grace", "30d")
	}
	table := lines(c.ok("key", "list", "-w", "acme", "--status", "deprecated"))
	if len(table) != 3 {
		t.Fatalf("the table:\n%s", strings.Join(table, "\n"))
	}
	for _, line := range table[1:] {
		if !strings.Contains(line, "(in 30 days)") {
			t.Errorf("the list says %s", line)
		}
	}
	c.run("key", "rotate", old.ID, "-w", "acme").fails(t, "was rotated and is in its grace", "its successor is ", "409")
	c.run("key", "rotate", old.ID, "-w", "acme", "--grace", "x").fails(t, "--grace", "must be 0, or whole seconds")
}
