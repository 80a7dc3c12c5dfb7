package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cli runs burnkey with a management key.
type cli struct {
	t   *testing.T
	env []string
}

func newCLI(t *testing.T, s *server) *cli {
	return &cli{t, []string{"BURNKEY_SERVER=" + s.url, "BURNKEY_KEY=" + s.key()}}
}

func (c *cli) run(args ...string) result {
	c.t.Helper()
	return command{args: args, env: c.env}.run(c.t)
}

func (c *cli) ok(args ...string) string {
	c.t.Helper()
	return c.run(args...).ok(c.t).stdout
}

// json runs a command with --output json and returns the answer.
func (c *cli) json(out any, args ...string) {
	c.t.Helper()
	text := c.ok(append(args, "--output", "json")...)
	if err := json.Unmarshal([]byte(text), out); err != nil {
		c.t.Fatalf("%s: %v: %s", args, err, text)
	}
}

func TestE2ECLIWorkspace(t *testing.T) {
	c := newCLI(t, startServer(t))
	var made, shown struct {
		ID, Name, Issuer string
		Audiences        []string
		Version          uint64
	}
	c.json(&made, "workspace", "create", "acme", "--name", "Acme", "--audience", "acme-company,acme-test")
	if made.ID != "acme" || made.Name != "Acme" || len(made.Audiences) != 2 || made.Version != 1 || !strings.HasSuffix(made.Issuer, "/acme") {
		t.Errorf("created %+v", made)
	}
	c.json(&shown, "workspace", "show", "acme")
	if shown.ID != made.ID || shown.Issuer != made.Issuer {
		t.Errorf("shown %+v", shown)
	}
	says(t, c.ok("workspace", "show", "acme"), "acme-company acme-test", "jwks_uri", made.Issuer)
	says(t, c.ok("workspace", "create", "beta"), "workspace", "beta")
	var list struct{ Workspaces []struct{ ID string } }
	c.json(&list, "workspace", "list")
	if len(list.Workspaces) != 3 {
		t.Errorf("listed %+v, want acme, beta and burnkey", list)
	}
	table := lines(c.ok("workspace", "list"))
	if len(table) != 4 || !strings.HasPrefix(table[0], "WORKSPACE ") || !strings.HasPrefix(table[1], "acme ") {
		t.Errorf("the table:\n%s", strings.Join(table, "\n"))
	}
	c.run("workspace", "create", "acme").fails(t, "id: already exists", "409")
	c.run("workspace", "create", "Acme").fails(t, "id:")
	c.run("workspace", "show", "nobody").fails(t, "404")
	c.run("workspace", "create").fails(t, "arg")
}

func lines(text string) []string { return strings.Split(strings.TrimSuffix(text, "\n"), "\n") }

func TestE2ECLIKey(t *testing.T) {
	s := startServer(t)
	c := newCLI(t, s)
	c.ok("workspace", "create", "acme")
	token := issueByCLI(t, s, c)
	var list struct {
		Keys []struct{ ID, Owner, Status string }
	}
	c.json(&list, "key", "list", "-w", "acme")
	if len(list.Keys) != 2 || list.Keys[1].Owner != "cust_1" {
		t.Fatalf("listed %+v", list)
	}
	first := list.Keys[1].ID
	c.json(&list, "key", "list", "-w", "acme", "--owner", "cust_1", "--status", "active", "--limit", "0")
	if len(list.Keys) != 1 || list.Keys[0].ID != first {
		t.Errorf("listed by owner: %+v", list)
	}
	part := c.run("key", "list", "-w", "acme", "--limit", "1")
	if strings.Contains(part.stdout, first) || len(lines(part.stdout)) != 2 {
		t.Errorf("listed one: %s", part.stdout)
	}
	says(t, part.stderr, "There are more")
	if whole := c.run("key", "list", "-w", "acme", "--limit", "2"); whole.stderr != "" {
		t.Errorf("listed both: %s", whole.stderr)
	}
	table := c.ok("key", "list", "-w", "acme")
	says(t, table, "KEY ", "OWNER", first, "cust_1", "maps:read", "active", "in 30 h", "never")
	shown := c.ok("key", "show", first, "-w", "acme")
	says(t, shown, first, "CI", `{"tier":"gold"}`, `{"note":"x"}`, "acme", "active")
	if strings.Contains(table+shown, cut(token).sig) {
		t.Error("a token is shown a second time")
	}

	says(t, c.ok("key", "revoke", first, "-w", "acme"), first, "revoked", "version")
	var revoked struct {
		ID, Status string
		Version    uint64
	}
	c.json(&revoked, "key", "revoke", first, "-w", "acme") // again: the same answer
	if revoked.ID != first || revoked.Status != "revoked" || revoked.Version != 4 {
		t.Errorf("revoked %+v", revoked)
	}
	says(t, c.ok("key", "show", first, "-w", "acme"), "revoked")
	c.run("key", "show", "nonsense", "-w", "acme").fails(t, "404")
	c.run("key", "revoke", first, "-w", "beta").fails(t, "404")
	c.run("key", "list").fails(t, "workspace")
	c.run("key", "issue", "-w", "acme").fails(t, "owner")
	c.run("key", "issue", "-w", "acme", "--owner", "c", "--expires-in", "soon").fails(t, "expires-in")
	c.run("key", "issue", "-w", "acme", "--owner", "c", "--expires-in", "1h", "--never-expires").fails(t, "expires-in", "never-expires")
	c.run("key", "issue", "-w", "acme", "--owner", "c", "--claims", "{").fails(t, "--claims")
	c.run("key", "issue", "-w", "acme", "--owner", "c", "--claims", `{"iss":"x"}`).fails(t, "claims.iss", "422")
	c.run("key", "list", "-w", "acme", "-o", "xml").fails(t, "--output")
}

// issueByCLI issues one key with standard output to a pipe, and one with JSON output.
func issueByCLI(t *testing.T, s *server, c *cli) string {
	t.Helper()
	piped := c.ok("key", "issue", "-w", "acme", "--owner", "cust_1", "--name", "CI", "--scope", "maps:read",
		"--expires-in", "30h", "--claims", `{"tier":"gold"}`, "--metadata", `{"note":"x"}`, "--idempotency-key", "once")
	token, ok := strings.CutSuffix(piped, "\n")
	if !ok || strings.Count(token, ".") != 2 || strings.ContainsAny(token, " \n") {
		t.Fatalf("%d bytes went into the pipe, which are not the token alone", len(piped))
	}
	c.run("key", "issue", "-w", "acme", "--owner", "cust_1", "--idempotency-key", "once").fails(t, "422", "used for another request")
	c.run("key", "issue", "-w", "acme", "--owner", "cust_1", "--name", "CI", "--scope", "maps:read", "--expires-in", "30h",
		"--claims", `{"tier":"gold"}`, "--metadata", `{"note":"x"}`, "--idempotency-key", "once").fails(t, "409")
	var issued key
	c.json(&issued, "key", "issue", "-w", "acme", "--owner", "cust_2", "--never-expires")
	if issued.Owner != "cust_2" || issued.Version != 3 || issued.ExpiresAt != nil || !s.mustPublished("acme").has(issued.KID) {
		t.Errorf("issued %s, version %d", issued.ID, issued.Version)
	}
	for _, token := range []string{token, issued.Token} {
		says(t, command{args: []string{"verify", "-", "--server", s.url}, stdin: token}.run(t).ok(t).stdout, "good")
	}
	return token
}

// TestE2ECLICredentials provides the management key in a file or in the environment, and checks the errors for
// a missing or wrong key.
func TestE2ECLICredentials(t *testing.T) {
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	var reader key
	check(t, admin.call("POST", "/v1/workspaces/burnkey/keys", map[string]any{
		"owner": "reader", "scopes": []string{"keys:read"}, "claims": map[string]any{"workspace": "acme"},
	}, &reader))
	plainFile := filepath.Join(t.TempDir(), "reader.key")
	check(t, os.WriteFile(plainFile, []byte(reader.Token+"\n"), 0o600))
	list := []string{"key", "list", "-w", "acme", "--server", s.url}
	issue := []string{"key", "issue", "-w", "acme", "--owner", "c", "--server", s.url}
	with := func(env string, args ...string) result { return command{args: args, env: []string{env}}.run(t) }

	with("BURNKEY_KEY="+s.key(), list...).ok(t)
	with("BURNKEY_KEY_FILE="+plainFile, list...).ok(t)
	run(t, append(list, "--key-file", s.keyFile)...).ok(t)
	with("BURNKEY_KEY=junk", append(list, "--key-file", plainFile)...).ok(t) // the flag comes first

	run(t, list...).fails(t, "--key-file", "BURNKEY_KEY")
	run(t, append(list, "--key-file", "no-such-file")...).fails(t, "--key-file")
	with("BURNKEY_KEY=junk", list...).fails(t, "The management key is not valid.", "401")
	altered := s.key()[:len(s.key())-8] + "AAAAAAAA"
	with("BURNKEY_KEY="+altered, list...).fails(t, "The management key is not valid.", "401")
	with("BURNKEY_KEY="+admin.mustIssue(t, "acme").Token, list...).fails(t, "401")
	with("BURNKEY_KEY="+reader.Token, issue...).fails(t, "keys:write", "403")
	with("BURNKEY_KEY="+reader.Token, "key", "list", "-w", "burnkey", "--server", s.url).fails(t, "403")
	admin.mustRevoke(t, reader)
	with("BURNKEY_KEY="+reader.Token, list...).fails(t, "401")
	with("BURNKEY_KEY="+s.key(), "key", "list", "-w", "acme", "--server", "example.com").fails(t, "--server")
	s.stop()
	with("BURNKEY_KEY="+s.key(), list...).fails(t, "refused")
}

// TestE2ECLIAdminIssue issues admin keys directly in a database, with and without a running server.
func TestE2ECLIAdminIssue(t *testing.T) {
	s := startServer(t)
	s.admin().mustCreate(t, "acme")
	issue := func(args ...string) string {
		t.Helper()
		args = append([]string{"admin", "issue", "--database", s.database(), "--public-url", s.url}, args...)
		return strings.TrimSuffix(run(t, args...).ok(t).stdout, "\n")
	}
	beside := &client{s.url, issue()}
	start := time.Now()
	eventually(t, "the running server takes the new key", func() bool { return beside.call("GET", "/v1/workspaces", nil, nil) == nil })
	t.Logf("the running server took a new key after %s", time.Since(start).Round(time.Millisecond))

	check(t, os.Remove(s.keyFile))
	s.stop()
	without := &client{s.url, issue("--name", "second", "--expires-in", "1h")}
	tied := &client{s.url, issue("--scope", "keys:read", "--for-workspace", "acme")}
	s.start()
	works(t, s, beside.token)
	works(t, s, without.token)
	if _, err := tied.keys("acme"); err != nil {
		t.Errorf("a key tied to a workspace: %v", err)
	}
	if _, err := tied.keys("burnkey"); status(err) != 403 {
		t.Errorf("a key tied to another workspace gets %v", err)
	}
	var made key
	text := run(t, "admin", "issue", "--database", s.database(), "--output", "json").ok(t).stdout
	check(t, json.Unmarshal([]byte(text), &made))
	if made.Workspace != "burnkey" || made.Token == "" || made.ExpiresAt != nil {
		t.Errorf("made %s in %s", made.ID, made.Workspace)
	}
	text = run(t, "admin", "issue", "--database", s.database(), "--expires-in", "1h", "--output", "json").ok(t).stdout
	check(t, json.Unmarshal([]byte(text), &made))
	if made.ExpiresAt == nil {
		t.Error("one that was to expire does not")
	}
	if _, err := os.Stat(s.keyFile); err == nil {
		t.Error("the server made a first key a second time")
	}
	// A missing database is an error, and the command does not create the file.
	none := filepath.Join(t.TempDir(), "none.db")
	run(t, "admin", "issue", "--database", "sqlite:"+none).fails(t, "--database", "no such file")
	if _, err := os.Stat(none); err == nil {
		t.Error("the database was made")
	}
	run(t, "admin", "issue", "--database", "sqlite:").fails(t, "--database")
	run(t, "admin", "issue", "--database", s.database(), "--public-url", "x").fails(t, "--public-url")
	run(t, "admin", "issue", "--database", s.database(), "--for-workspace", "A B").fails(t, "claims.workspace")
	run(t, "admin", "issue", "--database", s.database(), "--scope", "nope").fails(t, "scopes", "audit:read")
	run(t, "admin", "issue", "--database", s.database(), "--scope", "").fails(t, "scopes", "audit:read")
	says(t, run(t, "admin", "issue", "--help").ok(t).stdout, "audit:read", "until it is revoked (default true)")
}
