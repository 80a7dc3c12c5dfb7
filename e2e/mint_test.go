package e2e_test

import (
	"runtime"
	"syscall"
	"testing"
	"time"
)

// stoppedMint issues a key and stops (SIGSTOP) its minting process. It returns the process's PID, a channel for
// the answer, and the version that the issue would have. Since minting is quick, the first few processes may
// exit before they are stopped.
func stoppedMint(t *testing.T, s *server, admin *client) (pid int, answer <-chan error, version uint64) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("no /proc here")
	}
	answers := make(chan error, 1)
	issue := func() {
		_, err := admin.issue("acme", map[string]any{"owner": "c"})
		answers <- err
	}
	version = 2
	go issue()
	eventually(t, "a minting process is caught", func() bool {
		if pid = catch(s); pid != 0 {
			return true
		}
		select {
		case err := <-answers:
			check(t, err)
			version++
			go issue()
		default:
		}
		return false
	})
	t.Cleanup(func() {
		if isMinting(pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return pid, answers, version
}

// catch stops a minting process of the server and returns its PID, or returns 0.
func catch(s *server) int {
	for _, pid := range sessionOf(s.pid()) {
		// Before a child of the server becomes a minting process, it is a copy of the server.
		if !isMinting(pid) || syscall.Kill(pid, syscall.SIGSTOP) != nil {
			continue
		}
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
			switch statOf(pid).state {
			case "T":
				return pid
			case "", "X", "Z": // it was quicker
				return 0
			}
		}
	}
	return 0
}

// TestE2EMintingProcessDies checks that a hanging minting process ends when its server is killed, or at its
// deadline.
func TestE2EMintingProcessDies(t *testing.T) {
	t.Parallel()
	t.Run("with its server", func(t *testing.T) {
		s := startServer(t)
		admin := s.admin()
		admin.mustCreate(t, "acme")
		_, answer, version := stoppedMint(t, s, admin)
		s.kill()
		noneLeft(t, s.pid())
		if err := <-answer; err == nil {
			t.Error("the issue was acknowledged")
		}
		s.start()
		if set := s.mustPublished("acme"); set.version != version-1 || uint64(set.size) != version-1 {
			t.Errorf("version %d with %d keys", set.version, set.size)
		}
	})
	t.Run("on its deadline", func(t *testing.T) {
		s := startServer(t, "--mint-deadline", "20s", "--mint-workers", "1")
		admin := s.admin()
		admin.mustCreate(t, "acme")
		_, answer, version := stoppedMint(t, s, admin)
		start := time.Now()
		if err := <-answer; status(err)/100 != 5 {
			t.Errorf("the answer is %v", err)
		}
		t.Logf("answered after %s", time.Since(start).Round(time.Millisecond))
		noneLeft(t, s.pid())
		if n, _ := s.metric(`burnkey_mint_failures_total{reason="failed"}`); n != 1 {
			t.Errorf("%v failures are counted", n)
		}
		if k := admin.mustIssue(t, "acme"); k.Version != version {
			t.Errorf("the next key has version %d", k.Version)
		}
	})
}

// TestE2ESlowKey checks that issuing a key can take longer than the limit for receiving a request's body. The
// limit must not interrupt the issue.
func TestE2ESlowKey(t *testing.T) {
	t.Parallel()
	wait := time.Duration(scale(t, "BURNKEY_E2E_SLOW_SECONDS", 7, 7)) * time.Second
	s := startServer(t, "--mint-workers", "1", "--mint-deadline", "2m")
	admin := s.admin()
	admin.mustCreate(t, "acme")
	pid, answer, version := stoppedMint(t, s, admin)
	select {
	case err := <-answer:
		t.Fatalf("answered while its key was being made: %v", err)
	case <-time.After(wait):
	}
	check(t, syscall.Kill(pid, syscall.SIGCONT))
	check(t, <-answer)
	if set := s.mustPublished("acme"); set.version != version {
		t.Errorf("version %d", set.version)
	}
}
