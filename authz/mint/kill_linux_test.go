package mint

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/burnkey/burnkey/internal/testkit"
)

// TestMintKillsWhatHangs uses processes that neither answer nor end.
func TestMintKillsWhatHangs(t *testing.T) {
	for _, test := range []struct {
		name     string
		deadline time.Duration
		want     error
	}{
		{"on the deadline", 10 * time.Second, ErrFailed},
		{"when the client leaves", time.Minute, context.Canceled},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMinter(t, Options{Workers: 1, Deadline: test.deadline})
			m.binary = role(t, "hang")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			result := make(chan error, 1)
			go func() {
				_, err := m.Mint(ctx, Asker{Workspace: "acme"}, nil)
				result <- err
			}()
			pid := await(t, os.Getpid(), m.binary)
			if errors.Is(test.want, context.Canceled) {
				cancel()
			}
			err := <-result
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			// The error of the Minter's own deadline must not look like the caller's deadline.
			if errors.Is(test.want, ErrFailed) && (errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "10s")) {
				t.Errorf("the error says %q", err)
			}
			if _, err := os.Stat(proc(pid)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the process is still there, if only as a zombie: %v", err)
			}
			idle(t, m.queue)
		})
	}
}

// The caller's own deadline is returned.
func TestMintCallersDeadline(t *testing.T) {
	m := newMinter(t, Options{})
	m.binary = role(t, "hang")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := m.Mint(ctx, Asker{Workspace: "acme"}, nil); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrFailed) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestMintDiesWithItsServer(t *testing.T) {
	child := role(t, "hang")
	server := exec.CommandContext(t.Context(), role(t, "server"), child)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	pid := await(t, server.Process.Pid, child)
	t.Cleanup(func() { // if the test fails
		cmdline, err := os.ReadFile(proc(pid, "cmdline"))
		if err == nil && strings.Contains(string(cmdline), strings.TrimSuffix(child, ofRole)) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = server.Wait()
	// After its parent is gone, the init process reaps the child.
	testkit.Eventually(t, "the child is gone", func() bool {
		status, err := os.ReadFile(proc(pid, "status"))
		return err != nil || strings.Contains(string(status), "\nState:\tZ") || strings.Contains(string(status), "\nState:\tX")
	})
}

// await waits until the process parent has a child that runs the given script of role or, after it, the binary, and returns the
// child's pid. A slow machine may take until the deadline of a minting process for the step from one to the other.
func await(t *testing.T, parent int, binary string) (pid int) {
	t.Helper()
	script := "\x00" + binary + "\x00"
	binary = strings.TrimSuffix(binary, ofRole)
	testkit.Eventually(t, filepath.Base(binary)+" runs", func() bool {
		found, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			cmdline, err := os.ReadFile(path)
			text, errStat := os.ReadFile(filepath.Join(filepath.Dir(path), "stat"))
			if err != nil || errStat != nil {
				continue // gone meanwhile
			}
			isRole := strings.HasPrefix(string(cmdline), binary+"\x00") || strings.Contains(string(cmdline), script)
			if !isRole || statFields(string(text))[1] != strconv.Itoa(parent) {
				continue
			}
			if pid, err = strconv.Atoi(filepath.Base(filepath.Dir(path))); err != nil {
				t.Fatal(err)
			}
			return true
		}
		return false
	})
	return pid
}
