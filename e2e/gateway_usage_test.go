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

// lastUsed returns when a key was last used, according to the API.
func (c *client) lastUsed(t testing.TB, k key) *time.Time {
	t.Helper()
	var shown struct {
		LastUsedAt *time.Time `json:"last_used_at"`
	}
	check(t, c.call(http.MethodGet, "/v1/workspaces/"+k.Workspace+"/keys/"+k.ID, nil, &shown))
	return shown.LastUsedAt
}

// reportedAt returns when the use of a workspace's keys was last reported.
func (c *client) reportedAt(t testing.TB, workspace string) *time.Time {
	t.Helper()
	var shown struct {
		UsageReportedAt *time.Time `json:"usage_reported_at"`
	}
	check(t, c.call(http.MethodGet, "/v1/workspaces/"+workspace, nil, &shown))
	return shown.UsageReportedAt
}

// gatewayKey issues a management key with the scope gateway and writes it to a file.
func gatewayKey(t testing.TB, c *client, claims map[string]any) (file string) {
	t.Helper()
	k := c.mustIssue(t, "burnkey", "scopes", []string{"gateway"}, "claims", claims)
	file = filepath.Join(t.TempDir(), "usage.key")
	check(t, os.WriteFile(file, []byte(k.Token+"\n"), 0o600))
	return file
}

// TestE2EGatewayModeUsage checks that the API shows the use of a key that passed Envoy, and no use of another
// key.
func TestE2EGatewayModeUsage(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	used, unused, revoked := admin.mustIssue(t, "acme"), admin.mustIssue(t, "acme"), admin.mustIssue(t, "acme")
	admin.mustRevoke(t, revoked)
	revoke := map[string]any{"unused_for": "24h"}
	if err := admin.call(http.MethodPost, "/v1/workspaces/acme/revocations", revoke, nil); status(err) != http.StatusConflict {
		t.Errorf("nobody reports: %v", err)
	}
	a := startAsked(t, s, "--workspace", "acme", "--usage-every", "1s",
		"--usage-key-file", gatewayKey(t, admin, map[string]any{"workspace": "acme"}))
	a.logs("key usage is reported to the server", "every=1s")
	g := startEnvoy(t, "--mode", "gateway", "--gateway", a.addr)
	start := time.Now()
	g.accepts(t, used)
	if code := g.get(t, revoked.Token); code != http.StatusUnauthorized {
		t.Errorf("a revoked key gets %d", code)
	}
	eventually(t, "the use is known", func() bool { return admin.lastUsed(t, used) != nil })
	if at := admin.lastUsed(t, used); at.Before(start.Truncate(time.Microsecond)) || at.After(time.Now()) {
		t.Errorf("used at %s", at)
	}
	c := newCLI(t, s)
	list := c.ok("key", "list", "-w", "acme")
	says(t, list, "LAST USED")
	for line := range strings.Lines(list) {
		if strings.Contains(line, used.ID) != strings.HasSuffix(line, " s ago)\n") {
			t.Errorf("the list says %q", line)
		}
	}
	says(t, c.ok("key", "show", "-w", "acme", used.ID), "last used  "+admin.lastUsed(t, used).UTC().Format("2006-01-02T15"))
	says(t, strings.Join(strings.Fields(c.ok("workspace", "show", "acme")), " "), "use known since 20", "use last reported 20")
	for _, k := range []key{unused, revoked} {
		if at := admin.lastUsed(t, k); at != nil {
			t.Errorf("a key that was not used was at %s", at)
		}
	}
	if err := admin.call(http.MethodPost, "/v1/workspaces/acme/revocations", revoke, nil); status(err) != http.StatusConflict {
		t.Errorf("known for seconds: %v", err)
	}
	if _, text := a.get("/metrics"); !strings.Contains(text, `burnkey_gateway_usage_reports_total{result="refused"} 0`) {
		t.Errorf("metrics:\n%s", text)
	}
	a.stop()
	if strings.Contains(a.log(), "eyJ") || strings.Contains(a.log(), "has scopes that a gateway does not need") {
		t.Error("the log has a token, or warns of the right key")
	}
}

// TestE2EGatewayModeLastUses checks that a gateway reports all uses before it exits.
func TestE2EGatewayModeLastUses(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	k := admin.mustIssue(t, "acme")
	a := startAsked(t, s, "--key-file", gatewayKey(t, admin, map[string]any{}), "--usage-every", "1h")
	g := startEnvoy(t, "--mode", "gateway", "--gateway", a.addr)
	eventually(t, "the first report is there", func() bool { return admin.reportedAt(t, "acme") != nil })
	g.accepts(t, k)
	if at := admin.lastUsed(t, k); at != nil {
		t.Errorf("told within the hour, at %s", at)
	}
	a.stop()
	if admin.lastUsed(t, k) == nil {
		t.Error("the last use is lost")
	}
	if admin.reportedAt(t, "burnkey") != nil {
		t.Error("the use of management keys is reported")
	}
}
