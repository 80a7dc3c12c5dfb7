package e2e_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestE2EMetrics has promtool check what a server and a gateway service serve as metrics.
func TestE2EMetrics(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		promtool = filepath.Join("..", ".tools", "promtool", "promtool")
	}
	if !exists(promtool) {
		absent(t, "no promtool: run make promtool")
	}
	s := startServer(t)
	s.admin().mustCreate(t, "acme")
	a := startAsked(t, s, "--workspace", "acme")
	for name, get := range map[string]func(string) (int, string){"server": s.get, "gateway": a.get} {
		code, text := get("/metrics")
		if code != 200 {
			t.Fatalf("%s: %d", name, code)
		}
		cmd := exec.Command(promtool, "check", "metrics")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
