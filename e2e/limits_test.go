package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

// month is a quota of a key.
func month(requests int) []map[string]any {
	return []map[string]any{{"name": "monthly", "requests": requests, "calendar": "month"}}
}

// passed sends requests and returns how many passed; the others must be refused by a limit.
func (g *gateway) passed(t testing.TB, k key, requests int) (n int) {
	t.Helper()
	for range requests {
		switch code := g.get(t, k.Token); code {
		case http.StatusOK:
			n++
		case http.StatusTooManyRequests:
		default:
			t.Fatalf("status %d", code)
		}
	}
	return n
}

// keepsItsMonth waits until the next month has begun if it is near: a monthly quota would start again during the test.
func keepsItsMonth(t *testing.T) {
	t.Helper()
	now := time.Now().UTC()
	if next := time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC); next.Sub(now) < 3*time.Minute {
		await(t, next)
	}
}

// TestE2ELimitsSurviveAKill checks a quota while it is used, raised, and after the gateway was killed and started
// without the server.
func TestE2ELimitsSurviveAKill(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	keepsItsMonth(t)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	k := admin.mustIssue(t, "acme", "limits", month(10))
	a := startAsked(t, s, "--key-file", gatewayKey(t, admin, map[string]any{}))
	g := startEnvoy(t, "--mode", "gateway", "--gateway", a.addr)
	eventually(t, "the key is known", func() bool { return g.get(t, k.Token) == http.StatusOK })
	if n := g.passed(t, k, 15); n != 9 {
		t.Errorf("%d more requests pass, want 9 of the quota of 10", n)
	}
	check(t, admin.call(http.MethodPatch, "/v1/workspaces/acme/keys/"+k.ID, map[string]any{"limits": month(40)}, nil))
	raised := g.until(t, time.Now(), http.StatusOK, k.Token, slack)
	t.Logf("the raised quota helped after %s", raised)
	if n := g.passed(t, k, 14); n != 14 {
		t.Errorf("%d requests pass once the quota is raised, want 14", n)
	}
	// The use of another key changes the file again. The second time, all use of the first is in it.
	other := admin.mustIssue(t, "acme", "limits", month(1_000_000))
	saves, last := 0, time.Now()
	eventually(t, "the quota is stored", func() bool {
		g.get(t, other.Token)
		file, err := os.Stat(filepath.Join(a.stateDir(), "quotas"))
		if err == nil && file.ModTime().After(last) {
			saves, last = saves+1, file.ModTime()
		}
		return saves >= 2
	})
	check(t, a.cmd.Process.Kill())
	<-a.done
	s.stop()
	a.start()
	a.ready()
	eventually(t, "Envoy reaches the gateway", func() bool { return g.get(t, "x") == http.StatusUnauthorized })
	if n := g.passed(t, k, 20); n != 15 {
		t.Errorf("%d requests pass after the kill, want 15 of the quota of 40", n)
	}
}
