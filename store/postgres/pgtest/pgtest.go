// Package pgtest runs a real PostgreSQL in a test.
//
// A package that uses Shared has
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m).Run()) }
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	superuser, password = "burnkey", "pg+test/pass@word"
	startTimeout        = 30 * time.Second
	stopTimeout         = 20 * time.Second
	pollInterval        = 20 * time.Millisecond
)

// defaults of a server that is thrown away. fsync matters only to a test that
// cuts the machine's power, or that measures.
var defaults = map[string]string{
	"fsync":                   "off",
	"max_connections":         "200",
	"shared_buffers":          "32MB",
	"listen_addresses":        "127.0.0.1",
	"unix_socket_directories": "",
	"timezone":                "UTC",
}

// Server is a PostgreSQL with a data directory of its own. Its methods are not
// safe for concurrent use.
type Server struct {
	bin, dir string
	as       *syscall.SysProcAttr // who it runs as
	settings map[string]string
	port     int
	running  *process
}

// process is one run of the server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// Start runs a server until the test ends. settings are those of postgresql.conf,
// beyond the defaults. The test is skipped if there is no PostgreSQL, and fails
// where CI is "true".
func Start(t testing.TB, settings map[string]string) *Server {
	t.Helper()
	bin, err := binaries()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	s, err := start(bin, settings)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of PostgreSQL's log:\n%s", s.logEnd())
		}
		s.remove()
	})
	return s
}

var shared struct {
	sync.Mutex
	isMain bool
	server *Server
}

// Shared returns a server that lives until the test binary ends, for which its
// TestMain must use Main. A test that stops its server needs one of its own.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		return shared.server
	}
	if !shared.isMain {
		t.Fatal("pgtest: Shared needs a TestMain that runs pgtest.Main(m)")
	}
	bin, err := binaries()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	if shared.server, err = start(bin, nil); err != nil {
		shared.server = nil
		t.Fatalf("pgtest: %v", err)
	}
	return shared.server
}

// Tests is a *testing.M that cleans up behind itself. It may be given to goleak.
type Tests struct{ m *testing.M }

// Main returns m as Tests that end the shared server.
func Main(m *testing.M) Tests { return Tests{m} }

// Run runs the tests and returns the process's exit code.
func (tests Tests) Run() int {
	shared.Lock()
	shared.isMain = true
	shared.Unlock()
	defer func() {
		shared.Lock()
		defer shared.Unlock()
		if shared.server != nil {
			shared.server.remove()
		}
	}()
	return tests.m.Run()
}

func start(bin string, settings map[string]string) (_ *Server, err error) {
	s := &Server{bin: bin, settings: settings}
	if s.as, err = attributes(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "burnkey-postgres-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.remove()
		}
	}()
	if err := s.initialize(); err != nil {
		return nil, err
	}
	for range 3 { // another process may take the port in the meantime
		if s.port, err = freePort(); err != nil {
			return nil, err
		}
		if err = s.run(); err == nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("%w\n%s", err, s.logEnd())
}

// initialize makes the data directory. Its owner is the one who runs initdb, who
// need not be able to read where we are.
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
		// Not SCRAM: it takes more of a test's time than all else about a connection.
		"--auth", "password", "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
	cmd.Dir, cmd.SysProcAttr = s.dir, s.as
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// run starts the server and waits until it lets us in.
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
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
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

// own starts the process and waits for its end, on one thread: it is with its
// parent thread, not process, that Linux lets a child die.
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

// Stop ends the server: sessions are cut off, and everything is written down.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if !s.signal(syscall.SIGINT) {
		t.Fatal("pgtest: PostgreSQL did not stop")
	}
}

// Crash ends the server as its death would, with nothing written down.
func (s *Server) Crash(t testing.TB) {
	t.Helper()
	if !s.signal(syscall.SIGQUIT) {
		t.Fatal("pgtest: PostgreSQL did not stop")
	}
}

// StartAgain starts a server that was stopped, on the same port with the same data.
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
}

// Addr returns host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Password returns that of the user whom URL names.
func (s *Server) Password() string { return password }

// URL returns the URL of a database for the server's superuser.
func (s *Server) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(superuser, password), Host: s.Addr(), Path: "/" + database}
	return u.String()
}

// Database makes an empty database and returns its URL. It is dropped, whoever
// uses it, when the test ends.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	return s.create(t, "DATABASE", "WITH (FORCE)", s.URL)
}

// Schema makes an empty schema and returns a URL with it as search_path. It is
// in a database that others use, too, and takes a tenth of a Database's time.
func (s *Server) Schema(t testing.TB) string {
	t.Helper()
	return s.create(t, "SCHEMA", "CASCADE", func(name string) string {
		return s.URL("postgres") + "?search_path=" + name
	})
}

var created atomic.Int64

func (s *Server) create(t testing.TB, kind, drop string, url func(name string) string) string {
	t.Helper()
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), created.Add(1))
	s.Exec(t, s.URL("postgres"), "CREATE "+kind+" "+name)
	t.Cleanup(func() {
		if s.running != nil {
			s.Exec(t, s.URL("postgres"), "DROP "+kind+" IF EXISTS "+name+" "+drop)
		}
	})
	return url(name)
}

// Exec runs SQL, one statement if it has arguments, on a connection of its own.
func (s *Server) Exec(t testing.TB, url, query string, args ...any) {
	t.Helper()
	s.connect(t, url, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, query, args...)
		return err
	})
}

// Query returns the first column of all rows, as text.
func (s *Server) Query(t testing.TB, url, query string, args ...any) (column []string) {
	t.Helper()
	s.connect(t, url, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		column, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
			values, err := row.Values()
			if err != nil {
				return "", err
			}
			return fmt.Sprint(values[0]), nil
		})
		return err
	})
	return column
}

func (s *Server) connect(t testing.TB, url string, do func(context.Context, *pgx.Conn) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout) // not t's: a cleanup comes behind its end
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }() // nothing depends on it
	if err := do(ctx, conn); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) logEnd() string {
	text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	lines := bytes.SplitAfter(text, []byte("\n"))
	return string(slices.Concat(lines[max(0, len(lines)-40):]...))
}
