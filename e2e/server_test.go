package e2e_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

// server is a `burnkey serve` process. Its address and its database stay the same across restarts.
type server struct {
	t       testing.TB
	dir     string
	addr    string
	url     string
	keyFile string
	logFile string
	flags   []string
	env     []string
	as      *syscall.Credential // nil: the user of the test
	binary  string              // empty: burnkey's

	cmd    *exec.Cmd
	stdout bytes.Buffer
	done   chan struct{} // closed once the process is gone
}

// startServer runs a server with additional flags until the test ends.
func startServer(t testing.TB, flags ...string) *server {
	t.Helper()
	s := newServer(t, flags...)
	s.start()
	return s
}

// newServer prepares a server, but does not start it.
func newServer(t testing.TB, flags ...string) *server {
	t.Helper()
	dir := t.TempDir()
	addr := envoytest.FreeAddr(t)
	s := &server{
		t: t, dir: dir, addr: addr, url: "http://" + addr,
		keyFile: filepath.Join(dir, "admin.key"), logFile: filepath.Join(dir, "log"),
	}
	s.flags = append([]string{
		"serve", "--listen", addr, "--public-url", s.url, "--database", s.database(), "--admin-key-file", s.keyFile,
	}, flags...)
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("the end of the server's log:\n%s", s.logTail())
		}
	})
	return s
}

func (s *server) databaseFile() string { return filepath.Join(s.dir, "burnkey.db") }

func (s *server) database() string { return "sqlite:" + s.databaseFile() }

// start runs the server and returns once it is ready.
func (s *server) start() {
	s.t.Helper()
	s.spawn()
	eventually(s.t, "the server is ready", func() bool {
		if s.gone() {
			s.t.Fatalf("the server ended: %s\n%s", s.cmd.ProcessState, s.logTail())
		}
		code, _ := s.get("/readyz")
		return code == http.StatusOK
	})
}

// spawn starts the server without waiting until it is ready.
func (s *server) spawn() {
	s.t.Helper()
	log, err := os.OpenFile(s.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	check(s.t, err)
	defer log.Close()
	s.stdout.Reset()
	if s.binary == "" {
		s.binary = burnkey(s.t)
	}
	cmd, done := exec.Command(s.binary, s.flags...), make(chan struct{})
	cmd.Env = environment(s.env...)
	cmd.Stdout, cmd.Stderr = &s.stdout, log
	// The server has its own session, so that its children can be found.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: s.as}
	check(s.t, cmd.Start())
	s.cmd, s.done = cmd, done
	go func() {
		defer close(done)
		_ = cmd.Wait() // its state says how it ended
	}()
}

func (s *server) pid() int { return s.cmd.Process.Pid }

func (s *server) gone() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// kill sends SIGKILL to the server, and returns once the process has exited.
func (s *server) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // may be gone
	<-s.done
}

func (s *server) signal(signal os.Signal) {
	s.t.Helper()
	check(s.t, s.cmd.Process.Signal(signal))
}

// stop sends SIGTERM to the server, and fails the test unless the exit status is 0.
func (s *server) stop() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	s.exits(0)
}

func (s *server) exits(code int) {
	s.t.Helper()
	eventually(s.t, "the server ends", s.gone)
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.t.Fatalf("the server's exit status is %d, want %d\n%s", got, code, s.logTail())
	}
}

// get requests a public path.
func (s *server) get(path string) (code int, body string) {
	resp, err := plainHTTP.Get(s.url + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

func (s *server) log() string {
	s.t.Helper()
	text, err := os.ReadFile(s.logFile)
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	check(s.t, err)
	return string(text)
}

func (s *server) logTail() string {
	lines := strings.Split(s.log(), "\n")
	return strings.Join(lines[max(0, len(lines)-25):], "\n")
}

// key returns the first admin key.
func (s *server) key() string {
	s.t.Helper()
	text, err := os.ReadFile(s.keyFile)
	check(s.t, err)
	return strings.TrimSpace(string(text))
}

// environment returns this process's environment without the variables that burnkey reads.
func environment(add ...string) []string {
	var env []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "BURNKEY_") {
			env = append(env, pair)
		}
	}
	return append(env, add...)
}
