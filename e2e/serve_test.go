package e2e_test

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestE2EServeBootstrap(t *testing.T) {
	t.Run("into a file", func(t *testing.T) {
		s := newServer(t)
		check(t, os.WriteFile(s.keyFile, []byte("of another database\n"), 0o600))
		check(t, os.WriteFile(s.keyFile+".old", []byte("of a third\n"), 0o600))
		s.start()
		works(t, s, s.key())
		for file, want := range map[string]string{
			s.keyFile: s.key() + "\n", s.keyFile + ".old": "of a third\n", s.keyFile + ".old2": "of another database\n",
		} {
			info, err := os.Stat(file)
			check(t, err)
			text, err := os.ReadFile(file)
			check(t, err)
			if info.Mode() != 0o600 || string(text) != want {
				t.Errorf("%s: mode %v, %d bytes", filepath.Base(file), info.Mode(), len(text))
			}
		}
		first := s.key()
		s.stop()
		s.start()
		if s.key() != first || s.stdout.Len() != 0 {
			t.Error("the second start made another key, or printed something")
		}
		works(t, s, first)
		s.stop()
		if strings.Contains(s.log(), first) || !strings.Contains(s.log(), s.keyFile+".old2") {
			t.Error("the log holds the key, or not where the old one was kept")
		}
	})
	t.Run("under another URL than the database's keys", func(t *testing.T) {
		s := startServer(t)
		works(t, s, s.key())
		s.stop()
		if strings.Contains(s.log(), "another public URL") {
			t.Error("the log reports another URL, but there is none")
		}
		s.flags = append(s.flags, "--public-url", "http://other.example")
		s.start()
		works(t, s, s.key())
		works(t, s, s.key())
		s.stop()
		if strings.Count(s.log(), "another public URL") != 1 {
			t.Error("the log does not report it exactly once")
		}
	})
	t.Run("a folder in place of the key file is left alone", func(t *testing.T) {
		s := newServer(t)
		check(t, os.Mkdir(s.keyFile, 0o700))
		run(t, s.flags...).fails(t, "--admin-key-file", "must be a regular file")
		if info, err := os.Stat(s.keyFile); err != nil || !info.IsDir() {
			t.Errorf("the folder is gone: %v", err)
		}
		check(t, os.Remove(s.keyFile))
		s.start()
		works(t, s, s.key())
	})
	t.Run("onto standard output", func(t *testing.T) {
		s := newServer(t)
		i := slices.Index(s.flags, "--admin-key-file")
		s.flags = slices.Delete(s.flags, i, i+2)
		s.start()
		s.stop()
		printed := s.stdout.String()
		token, ok := strings.CutSuffix(printed, "\n")
		if !ok || strings.ContainsAny(token, " \n") || strings.Count(token, ".") != 2 {
			t.Fatalf("printed %d bytes, which are not one token", len(printed))
		}
		if strings.Contains(s.log(), token) {
			t.Error("the log holds the key")
		}
		s.start()
		works(t, s, token)
		s.stop()
		if s.stdout.Len() != 0 {
			t.Error("the second start printed something")
		}
	})
	t.Run("a file that can't be written", func(t *testing.T) {
		s := newServer(t, "--admin-key-file", filepath.Join(t.TempDir(), "no", "such", "folder"))
		s.spawn()
		s.exits(1)
		says(t, s.log(), "admin key")
		// The token could not be written, so the next start issues another admin key.
		s.flags = s.flags[:len(s.flags)-2]
		s.start()
		works(t, s, s.key())
	})
	t.Run("files of the database", func(t *testing.T) {
		s := startServer(t)
		entries, err := os.ReadDir(s.dir)
		check(t, err)
		for _, entry := range entries {
			if info, err := entry.Info(); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: mode %v, %v", entry.Name(), info.Mode(), err)
			}
		}
	})
}

func works(t *testing.T, s *server, token string) {
	t.Helper()
	if err := (&client{s.url, token}).call(http.MethodGet, "/v1/workspaces", nil, nil); err != nil {
		t.Errorf("the key does not work: %v", err)
	}
}

func TestE2EServeTwiceOnOnePort(t *testing.T) {
	s := startServer(t)
	other := filepath.Join(t.TempDir(), "other.db")
	r := run(t, "serve", "--listen", s.addr, "--database", "sqlite:"+other)
	if r.code != 1 || r.stdout != "" || !strings.Contains(r.stderr, "--listen") {
		t.Errorf("exit status %d: %s", r.code, r.stderr)
	}
	if _, err := os.Stat(other); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it made a database: %v", err)
	}
	works(t, s, s.key())
}

func TestE2EServeRefusesBadFlags(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		flags []string
		want  string
	}{
		{[]string{"--listen", "8080"}, "--listen"},
		{[]string{"--listen", ""}, "--listen"},
		{[]string{"--listen", "0.0.0.0:0"}, "--public-url"},
		{[]string{"--listen", "127.0.0.1:99999"}, "--listen"},
		{[]string{"--public-url", "127.0.0.1:8080"}, "--public-url"},
		{[]string{"--public-url", "ftp://x.example"}, "--public-url"},
		{[]string{"--public-url", "http://:8080"}, "--public-url"},
		{[]string{"--public-url", "http://x.example:99999"}, "--public-url"},
		{[]string{"--public-url", "http://x.example/a b"}, "--public-url"},
		{[]string{"--public-url", "http://x.example#"}, "--public-url"},
		{[]string{"--public-url", "https://x.example/?a=b"}, "--public-url"},
		{[]string{"--public-url", "https://u:p@x.example"}, "--public-url"},
		{[]string{"--database", "mysql://x"}, "--database"},
		{[]string{"--database", "sqlite:"}, "--database"},
		{[]string{"--database", "mysql://x"}, "--database"},
		{[]string{"--database", "postgres://user:pass@word@host/db"}, "--database"},
		{[]string{"--log-format", "xml"}, "--log-format"},
		{[]string{"--log-level", "loud"}, "--log-level"},
		{[]string{"--mint-workers", "-1"}, "--mint-workers"},
		{[]string{"--mint-workers", "many"}, "--mint-workers"},
		{[]string{"--mint-queue", "0"}, "--mint-queue"},
		{[]string{"--mint-deadline", "10x"}, "--mint-deadline"},
		{[]string{"--mint-deadline", "1ms"}, "--mint-deadline"},
		{[]string{"--drain-delay", "-1s"}, "--drain-delay"},
		{[]string{"--drain-timeout", "soon"}, "--drain-timeout"},
		{[]string{"--check-every", "-1s"}, "--check-every"},
		{[]string{"--webhook-secret-file", "none"}, "--webhook-secret-file"},
		{[]string{"--webhook-secret-file", "/"}, "--webhook-secret-file"},
		{[]string{"--no-such-flag"}, "--no-such-flag"},
		{[]string{"argument"}, "takes no arguments"},
	} {
		name := strings.Join(test.flags, " ")
		c := command{args: append([]string{"serve"}, test.flags...), dir: dir}
		if !strings.Contains(name, "--listen") {
			c.env = []string{"BURNKEY_LISTEN=127.0.0.1:0"}
		}
		t.Run(name, func(t *testing.T) { c.run(t).fails(t, test.want) })
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("files were left: %v, %v", entries, err)
	}
}

// TestE2EServeFromEnvironment sets every flag of the server by its environment variable.
func TestE2EServeFromEnvironment(t *testing.T) {
	s := newServer(t)
	var env []string
	for i := 1; i < len(s.flags); i += 2 {
		env = append(env, "BURNKEY_"+strings.ToUpper(strings.ReplaceAll(s.flags[i][2:], "-", "_"))+"="+s.flags[i+1])
	}
	s.env = append(env, "BURNKEY_LOG_FORMAT=json", "BURNKEY_DRAIN_DELAY=0s", "BURNKEY_MINT_WORKERS=1")
	s.flags = []string{"serve"}
	s.start()
	works(t, s, s.key())
	s.stop()
	if line, _, _ := strings.Cut(s.log(), "\n"); !strings.HasPrefix(line, "{") {
		t.Errorf("the log is not JSON: %s", line)
	}
	r := command{args: []string{"serve"}, env: []string{"BURNKEY_MINT_QUEUE=x"}, dir: t.TempDir()}.run(t)
	r.fails(t, "BURNKEY_MINT_QUEUE")
	r = command{args: []string{"serve", "--listen", "x"}, env: s.env, dir: t.TempDir()}.run(t)
	r.fails(t, "--listen") // the command line comes first
}

// TestE2EServeDrains stops a server while keys are being issued. Open requests must still be answered.
func TestE2EServeDrains(t *testing.T) {
	const clients = 6
	s := startServer(t, "--mint-workers", "1", "--mint-deadline", "2m", "--drain-timeout", "2m")
	admin := s.admin()
	admin.mustCreate(t, "acme")
	// While the only minting process is stopped, no request can be answered too early.
	minting, first, version := stoppedMint(t, s, admin)
	var issuing sync.WaitGroup
	keys, errs := make([]key, clients), make([]error, clients)
	for i := range clients {
		issuing.Go(func() { keys[i], errs[i] = admin.issue("acme", map[string]any{"owner": "c"}) })
	}
	eventually(t, "all wait", func() bool {
		waiting, _ := s.metric("burnkey_mint_queue_length")
		return waiting == clients
	})
	s.signal(syscall.SIGTERM)
	eventually(t, "the server is not ready", func() bool { code, _ := s.get("/readyz"); return code != http.StatusOK })
	check(t, syscall.Kill(minting, syscall.SIGCONT))
	issuing.Wait()
	if err := <-first; err != nil {
		t.Errorf("the key that was being made: %v", err)
	}
	s.exits(0)
	s.start()
	set := s.mustPublished("acme")
	if set.version != version+clients {
		t.Errorf("version %d, want %d", set.version, version+clients)
	}
	for i, k := range keys {
		if errs[i] != nil || !set.has(k.KID) {
			t.Errorf("a key that was asked for: %v, published: %t", errs[i], set.has(k.KID))
		}
	}
}

func TestE2EServeIsUnreadyFirst(t *testing.T) {
	t.Parallel()
	const delay = 15 * time.Second // in which a busy machine issues a key
	s := startServer(t, "--drain-delay", delay.String())
	admin := s.admin()
	admin.mustCreate(t, "acme")
	start := time.Now()
	s.signal(syscall.SIGTERM)
	eventually(t, "/readyz says 503", func() bool {
		code, body := s.get("/readyz")
		if code == http.StatusServiceUnavailable {
			says(t, body, "shutting down")
		}
		return code == http.StatusServiceUnavailable
	})
	if code, _ := s.get("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz says %d while draining", code)
	}
	k := admin.mustIssue(t, "acme")
	s.exits(0)
	if took := time.Since(start); took < delay {
		t.Errorf("it was gone after %s", took)
	}
	s.start()
	if !s.mustPublished("acme").has(k.KID) {
		t.Error("a key that was issued while draining is not published")
	}
}
