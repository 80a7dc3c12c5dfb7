package e2e_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

// TestE2EDemo runs the commands that the demo prints at its end, in mode gateway.
func TestE2EDemo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := filepath.Join(dir, "out")
	out, err := os.Create(text)
	check(t, err)
	defer out.Close()
	cmd := exec.Command(burnkey(t), "demo", "--mode", "gateway", "--envoy", envoytest.Binary(t))
	cmd.Env, cmd.Stdout, cmd.Stderr = environment("TMPDIR="+dir), out, out
	check(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var printed []byte
	eventually(t, "the demo invites", func() bool {
		printed, err = os.ReadFile(text)
		return err == nil && bytes.Contains(printed, []byte("Or as the operator"))
	})
	if bytes.Contains(printed, []byte("eyJ")) {
		t.Error("the demo prints a token")
	}
	lines := regexp.MustCompile(`(?m)^  (?:TOKEN=|echo ).*`).FindAllString(string(printed), -1)
	if len(lines) != 3 {
		t.Fatalf("the demo prints\n%s", printed)
	}
	answer := func(line string) string {
		script := lines[0] + "\n" + strings.ReplaceAll(line, "curl -i", "curl -s -o /dev/null -w '%{http_code}'")
		code, err := exec.Command("sh", "-c", script).Output()
		check(t, err)
		return string(code)
	}
	// A change is at the gateway within milliseconds, but nothing waits for it.
	eventually(t, "the key is accepted", func() bool { return answer(lines[1]) == "200" })
	if code := answer(lines[2]); code != "200" {
		t.Errorf("the revocation is answered %s", code)
	}
	eventually(t, "the key is refused", func() bool { return answer(lines[1]) == "401" })
	check(t, cmd.Process.Signal(syscall.SIGINT))
	if err := <-ended; err != nil {
		t.Errorf("Ctrl-C: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "burnkey-demo-*")); len(left) > 0 {
		t.Errorf("still there: %v", left)
	}
}
