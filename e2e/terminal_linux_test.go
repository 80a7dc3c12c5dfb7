package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a new terminal.
func openTerminal(t *testing.T) (outer, inner *os.File) {
	t.Helper()
	outer, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		absent(t, "no terminals here: "+err.Error())
	}
	t.Cleanup(func() { outer.Close() })
	check(t, unix.IoctlSetPointerInt(int(outer.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(outer.Fd()), unix.TIOCGPTN)
	check(t, err)
	inner, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	check(t, err)
	t.Cleanup(func() { inner.Close() })
	return outer, inner
}

// TestE2ECLITerminal checks that a terminal shows all fields of a new key, the token exactly once, and a note.
func TestE2ECLITerminal(t *testing.T) {
	s := startServer(t)
	s.admin().mustCreate(t, "acme")
	outer, inner := openTerminal(t)
	cmd := exec.Command(burnkey(t), "key", "issue", "-w", "acme", "--owner", "cust_1", "--server", s.url, "--key-file", s.keyFile)
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = inner, inner
	check(t, cmd.Run())
	inner.Close()
	var text strings.Builder
	buffer := make([]byte, 4096)
	for {
		_ = outer.SetReadDeadline(time.Now().Add(patience)) // not every kernel's terminals have one
		n, err := outer.Read(buffer)
		text.Write(buffer[:n])
		if errors.Is(err, syscall.EIO) || n == 0 {
			break // the other end is closed
		}
	}
	says(t, text.String(), "owner", "cust_1", "expires", "in 90 days", "token", "shown this once")
	if n := strings.Count(text.String(), "eyJhbGciOiJSUzI1NiIsImtpZCI6I"); n != 1 {
		t.Errorf("the token is shown %d times", n)
	}
}

// TestE2ERestoreAsks answers the question of burnkey restore on a terminal.
func TestE2ERestoreAsks(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.stop()
	for _, c := range []struct {
		answer, want string
		code         int
	}{{"\n", "nothing was changed", 1}, {"no\n", "nothing was changed", 1}, {"y\n", "Done.", 0}} {
		outer, inner := openTerminal(t)
		cmd := exec.Command(burnkey(t), "restore", "--database", s.database())
		var stderr strings.Builder
		cmd.Env, cmd.Stdin, cmd.Stderr = environment(), inner, &stderr
		check(t, cmd.Start())
		_, err := outer.WriteString(c.answer)
		check(t, err)
		_ = cmd.Wait() // its state says how it ended
		if code := cmd.ProcessState.ExitCode(); code != c.code {
			t.Errorf("%q: exit status %d", c.answer, code)
		}
		says(t, stderr.String(), "Do this? [y/N]", c.want, "Without --from, --audit or --state")
	}
}
