// Package pgtest runs a real PostgreSQL in a test.
//
// A package that uses Shared has
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m).Run()) }
package pgtest

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/burnkey/burnkey/internal/testkit"
)

const (
	superuser, password = "burnkey", "pg+test/pass@word"
	startTimeout        = 30 * time.Second
	stopTimeout         = 20 * time.Second
	queryTimeout        = 2 * time.Minute // some tests fill tables
	pollInterval        = 20 * time.Millisecond
)

// defaults are the settings of a server whose data is deleted. fsync would only matter in a power failure.
var defaults = map[string]string{
	"fsync":                   "off",
	"max_connections":         "200",
	"shared_buffers":          "32MB",
	"listen_addresses":        "127.0.0.1",
	"unix_socket_directories": "",
	"timezone":                "UTC",
}

// Server is a PostgreSQL server with its own data directory. Its methods are not safe for concurrent use.
type Server struct {
	bin, dir string
	as       *syscall.SysProcAttr // who it runs as
	settings map[string]string
	port     int
	release  func() error // gives the port back; nil before it is taken
	running  *process
}

// Start runs a server until the test ends, with further lines for postgresql.conf. Without PostgreSQL, the test
// is skipped, or fails if CI is "true".
func Start(t testing.TB, settings map[string]string) *Server {
	t.Helper()
	s, err := start(find(t), settings)
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

// Shared returns a server that runs until the test binary ends. The package's TestMain must use Main. A test
// that stops the server must start its own.
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
	s, err := start(find(t), nil)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	shared.server = s
	return s
}

// Tests is a *testing.M that ends the shared server after the tests. It also fits goleak.VerifyTestMain.
type Tests struct{ m *testing.M }

// Main wraps m for TestMain.
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
	if s.port, s.release, err = testkit.FreePort(); err != nil {
		return nil, err
	}
	if err = s.run(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, s.logEnd())
	}
	return s, nil
}
