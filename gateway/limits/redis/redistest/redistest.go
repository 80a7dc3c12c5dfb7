// Package redistest runs a real Redis in a test.
package redistest

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/internal/testkit"
)

const startTimeout = time.Minute

// Server is a Redis that keeps its data in memory alone. Its methods are not safe for concurrent use.
type Server struct {
	binary, dir, addr string
	settings          []string
	log               testkit.Log
	running           *exec.Cmd
	done              chan struct{}
}

// Binary returns the path of Redis: BURNKEY_REDIS_SERVER, or redis-server or valkey-server in PATH. Without Redis it
// skips the test, or fails it with CI=true.
func Binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("BURNKEY_REDIS_SERVER"); path != "" {
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("BURNKEY_REDIS_SERVER: %v", err)
		}
		return path
	}
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const missing = "no Redis: run make redis, or set BURNKEY_REDIS_SERVER"
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// Start runs a server until the test ends. Settings are further command-line arguments, such as "--requirepass", "x".
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	s := &Server{binary: Binary(t), dir: t.TempDir(), addr: testkit.FreeAddr(t), settings: settings}
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("the log of Redis:\n%s", s.log.String())
		}
	})
	s.Run(t)
	return s
}

// Addr returns the server's address as host:port.
func (s *Server) Addr() string { return s.addr }

// URL returns the server's URL, without a password.
func (s *Server) URL() string { return "redis://" + s.addr }

// Run starts a server that was killed again, at the same address and without its data.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	_, port, err := net.SplitHostPort(s.addr)
	testkit.Check(t, err)
	cmd := exec.Command(s.binary, append([]string{
		"--bind", "127.0.0.1", "--port", port, "--dir", s.dir, "--save", "", "--appendonly", "no",
	}, s.settings...)...)
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	testkit.Check(t, cmd.Start())
	done := make(chan struct{})
	s.running, s.done = cmd, done
	go func() {
		defer close(done)
		_ = cmd.Wait() // it ends by Kill
	}()
	testkit.Within(t, startTimeout, "Redis answers", func() bool {
		select {
		case <-done:
			t.Fatal("Redis ended at its start")
		default:
		}
		return s.answers()
	})
}

// answers reports whether Redis answers a PING, if only to ask for a password.
func (s *Server) answers() bool {
	c, err := net.DialTimeout("tcp", s.addr, time.Second)
	if err != nil {
		return false
	}
	defer func() { _ = c.Close() }() // nothing depends on it
	_ = c.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprint(c, "PING\r\n")
	line, err := bufio.NewReader(c).ReadString('\n')
	return err == nil && (strings.HasPrefix(line, "+PONG") || strings.HasPrefix(line, "-NOAUTH"))
}

// Kill ends the server at once. It has no effect on a server that does not run.
func (s *Server) Kill() {
	if s.running == nil {
		return
	}
	_ = s.running.Process.Kill()
	<-s.done
	s.running = nil
}
