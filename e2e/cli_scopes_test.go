package e2e_test

import (
	"strings"
	"testing"
)

// A management key that can write but not read sees the keys that it issues. Of keys that it changes, it sees
// only the state.
func TestE2ECLIWithoutReading(t *testing.T) {
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	k := admin.mustIssue(t, "acme")
	token := strings.TrimSpace(newCLI(t, s).ok("key", "issue", "-w", "burnkey", "--owner", "ci", "--scope", "keys:write", "--scope",
		"workspaces:write"))
	as := func(args ...string) result {
		return command{args: append(args, "--server", s.url), env: []string{"BURNKEY_KEY=" + token}}.run(t)
	}
	dry := as("key", "revoke-many", "-w", "acme", "--created-before", "2100-01-01", "--dry-run").ok(t).stdout
	says(t, dry, k.ID, "active")
	undone := as("key", "rotate", k.ID, "-w", "acme").ok(t).stdout
	ended := as("key", "end-grace", k.ID, "-w", "acme").ok(t).stdout
	says(t, ended, k.ID, "keys:read")
	settings := as("workspace", "update", "acme", "--webhook", "https://hooks.example/x").ok(t).stdout
	says(t, settings, "acme", "workspaces:read")
	for _, text := range []string{dry, undone, ended} {
		if strings.Contains(text, k.Owner) || strings.Contains(text, "never") {
			t.Errorf("shows\n%s", text)
		}
	}
	if strings.Contains(settings, "hooks.example") {
		t.Errorf("shows\n%s", settings)
	}
}
