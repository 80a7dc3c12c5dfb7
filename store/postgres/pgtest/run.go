package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// process is a running server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// initialize creates the data directory. initdb runs in s.dir, because the server's user might be unable to
// read the current directory.
func (s *Server) initialize() error {
	secret := filepath.Join(s.dir, "password")
	if err := os.WriteFile(secret, []byte(password), 0o600); err != nil {
		return err
	}
	for _, path := range []string{s.dir, secret} {
		if err := s.give(path); err != nil {
			return err
		}
	}
	cmd := exec.Command(filepath.Join(s.bin, "initdb"), "-D", s.data(), "-U", superuser, "--pwfile", secret,
		// SCRAM would take longer than all other steps of opening a connection.
		"--auth", "password", "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
	cmd.Dir, cmd.SysProcAttr = s.dir, s.as
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// run starts the server and waits until it accepts connections.
func (s *Server) run() error {
	args := []string{"-D", s.data(), "-p", strconv.Itoa(s.port)}
	for _, settings := range []map[string]string{defaults, s.settings} { // the last one wins
		for name, value := range settings {
			args = append(args, "-c", name+"="+value)
		}
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the server has its own
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), args...)
	cmd.Dir, cmd.SysProcAttr, cmd.Stdout, cmd.Stderr = s.dir, s.as, log, log
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go p.own(started)
	if err := <-started; err != nil {
		return err
	}
	s.running = p
	deadline := time.After(startTimeout)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			s.running = nil
			return errors.New("PostgreSQL ended")
		case <-deadline:
			s.signal(syscall.SIGQUIT)
			return fmt.Errorf("PostgreSQL did not start within %v", startTimeout)
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			err = conn.Close(ctx)
		}
		cancel()
		if err == nil {
			return nil
		}
	}
}

// own starts the process and waits for it on one OS thread: Linux sends the death signal when the thread that
// started the process ends, not when the whole parent does.
func (p *process) own(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	err := p.cmd.Start()
	started <- err
	if err == nil {
		_ = p.cmd.Wait() // how it ended does not matter
	}
}

// Stop shuts the server down: sessions end at once, and all data is written to the disk.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if !s.signal(syscall.SIGINT) {
		t.Fatal("pgtest: PostgreSQL did not stop")
	}
}

// Crash ends the server at once, without a checkpoint.
func (s *Server) Crash(t testing.TB) {
	t.Helper()
	if !s.signal(syscall.SIGQUIT) {
		t.Fatal("pgtest: PostgreSQL did not stop")
	}
}

// StartAgain starts a stopped server with the same port and data.
func (s *Server) StartAgain(t testing.TB) {
	t.Helper()
	if s.running != nil {
		t.Fatal("pgtest: PostgreSQL is running")
	}
	if err := s.run(); err != nil {
		t.Fatalf("pgtest: %v\n%s", err, s.logEnd())
	}
}

// signal reports whether the server ended.
func (s *Server) signal(how os.Signal) bool {
	p := s.running
	if p == nil {
		return true
	}
	_ = p.cmd.Process.Signal(how) // fails if it has ended
	select {
	case <-p.done:
		s.running = nil
		return true
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.done
		s.running = nil
		return false
	}
}

func (s *Server) remove() {
	s.signal(syscall.SIGQUIT)
	_ = os.RemoveAll(s.dir) // a temporary directory, at worst
	if s.release != nil {
		_ = s.release()
	}
}

func (s *Server) logEnd() string {
	text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	lines := bytes.SplitAfter(text, []byte("\n"))
	return string(slices.Concat(lines[max(0, len(lines)-40):]...))
}
