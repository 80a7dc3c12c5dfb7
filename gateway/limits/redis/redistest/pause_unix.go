//go:build unix

package redistest

import (
	"syscall"
	"testing"

	"github.com/burnkey/burnkey/internal/testkit"
)

// Pause stops the server's process, so that connections stay open and nothing is answered until Resume.
func (s *Server) Pause(t testing.TB) {
	t.Helper()
	testkit.Check(t, s.running.Process.Signal(syscall.SIGSTOP))
}

// Resume continues a paused server.
func (s *Server) Resume(t testing.TB) {
	t.Helper()
	testkit.Check(t, s.running.Process.Signal(syscall.SIGCONT))
}
