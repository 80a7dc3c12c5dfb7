package pgtest

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/burnkey/burnkey/internal/testkit"
)

// Pooler is a PgBouncer in front of a Server.
type Pooler struct {
	server  *Server
	dir     string
	addr    string
	running *process
}

// Pooler runs a PgBouncer with a pool_mode until the test ends. Without PgBouncer, the test is
// skipped, or fails if CI is "true".
func (s *Server) Pooler(t testing.TB, mode string, further ...string) *Pooler {
	t.Helper()
	bin, err := exec.LookPath("pgbouncer")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
	p := &Pooler{server: s, dir: t.TempDir(), addr: testkit.FreeAddr(t)}
	t.Cleanup(p.stop)
	p.start(t, bin, mode, further)
	return p
}

// Restart stops PgBouncer, which ends all connections, and starts it in another mode.
func (p *Pooler) Restart(t testing.TB, mode string) {
	t.Helper()
	p.stop()
	p.start(t, "pgbouncer", mode, nil)
}

// URL returns a database's URL through the pooler.
func (p *Pooler) URL(t testing.TB, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = p.addr
	return u.String()
}

func (p *Pooler) start(t testing.TB, bin, mode string, further []string) {
	t.Helper()
	_, port, _ := net.SplitHostPort(p.addr)
	config := fmt.Sprintf("[databases]\n* = host=127.0.0.1 port=%d user=%s password='%s'\n"+
		"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %s\n"+
		"unix_socket_dir =\nauth_type = any\npool_mode = %s\n", p.server.port, superuser, password, port, mode)
	for _, line := range further {
		config += line + "\n"
	}
	file := filepath.Join(p.dir, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(file) // passed as standard input: its user may have no access to the folder
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	cmd := exec.Command(bin, "-q", "/dev/stdin")
	cmd.Dir, cmd.SysProcAttr, cmd.Stdin = "/", p.server.as, in
	running := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go running.own(started)
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	p.running = running
	p.await(t)
}

// await waits until the pooler accepts connections.
func (p *Pooler) await(t testing.TB) {
	t.Helper()
	deadline := time.After(startTimeout)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if conn, err := net.DialTimeout("tcp", p.addr, time.Second); err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-tick.C:
		case <-p.running.done:
			t.Fatal("pgtest: PgBouncer ended")
		case <-deadline:
			t.Fatal("pgtest: PgBouncer did not start")
		}
	}
}

func (p *Pooler) stop() {
	if p.running == nil {
		return
	}
	_ = p.running.cmd.Process.Signal(syscall.SIGTERM) // SIGTERM stops it at once
	select {
	case <-p.running.done:
	case <-time.After(stopTimeout):
		_ = p.running.cmd.Process.Kill()
		<-p.running.done
	}
	p.running = nil
}
