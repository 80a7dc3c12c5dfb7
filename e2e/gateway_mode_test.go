package e2e_test

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

// asked is a `burnkey gateway` service, which Envoy asks. Its address and its state folder stay the same across
// restarts.
type asked struct {
	t             testing.TB
	addr, metrics string
	logFile       string
	flags, env    []string
	binary        string // empty: burnkey's

	cmd  *exec.Cmd
	done chan struct{}
}

// startAsked runs the gateway service until the test ends, and returns once the service is ready.
func startAsked(t testing.TB, s *server, flags ...string) *asked {
	t.Helper()
	a := newAsked(t, s.url, flags...)
	a.start()
	a.ready()
	return a
}

// newAsked prepares the gateway service for a server's URL, but does not start it.
func newAsked(t testing.TB, server string, flags ...string) *asked {
	t.Helper()
	dir := t.TempDir()
	a := &asked{t: t, addr: envoytest.FreeAddr(t), metrics: envoytest.FreeAddr(t), logFile: filepath.Join(dir, "log")}
	a.flags = append([]string{
		"gateway", "--server", server, "--listen", a.addr, "--metrics-listen", a.metrics, "--state-dir", filepath.Join(dir, "state"),
		"--any-audience",
	}, flags...)
	t.Cleanup(func() {
		if a.cmd != nil {
			_ = a.cmd.Process.Kill()
			<-a.done
		}
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", a.log())
		}
	})
	return a
}

func (a *asked) start() {
	a.t.Helper()
	log, err := os.OpenFile(a.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	check(a.t, err)
	defer log.Close()
	if a.binary == "" {
		a.binary = burnkey(a.t)
	}
	cmd, done := exec.Command(a.binary, a.flags...), make(chan struct{})
	cmd.Env = environment(a.env...)
	cmd.Stderr = log
	check(a.t, cmd.Start())
	a.cmd, a.done = cmd, done
	go func() {
		defer close(done)
		_ = cmd.Wait() // its state says how it ended
	}()
}

func (a *asked) ready() {
	a.t.Helper()
	eventually(a.t, "the gateway is ready", a.isReady)
}

func (a *asked) isReady() bool {
	select {
	case <-a.done:
		a.t.Fatalf("the gateway ended: %s\n%s", a.cmd.ProcessState, a.log())
	default:
	}
	code, _ := a.get("/readyz")
	return code == http.StatusOK
}

// stop ends the service by a signal.
func (a *asked) stop() {
	a.t.Helper()
	check(a.t, a.cmd.Process.Signal(syscall.SIGTERM))
	<-a.done
	if code := a.cmd.ProcessState.ExitCode(); code != 0 {
		a.t.Fatalf("the gateway's exit status is %d\n%s", code, a.log())
	}
}

func (a *asked) get(path string) (int, string) {
	return (&server{url: "http://" + a.metrics}).get(path)
}

// decisions is how many requests the service has accepted.
func (a *asked) decisions() float64 {
	n, _ := (&server{url: "http://" + a.metrics}).metric(`burnkey_gateway_decisions_total{reason="ok"}`)
	return n
}

func (a *asked) log() string {
	text, _ := os.ReadFile(a.logFile) // none, if it never ran
	return string(text)
}

// startMode starts a server with the workspaces, the gateway service, and Envoy.
func startMode(t testing.TB, workspaces []string, flags ...string) (*server, *asked, *gateway) {
	t.Helper()
	envoytest.Binary(t)
	s := startServer(t)
	for _, workspace := range workspaces {
		s.admin().mustCreate(t, workspace)
		flags = append(flags, "--workspace", workspace)
	}
	a := startAsked(t, s, flags...)
	return s, a, startEnvoy(t, "--mode", "gateway", "--gateway", a.addr)
}

func TestE2EGatewayModeIssueAndRevoke(t *testing.T) {
	t.Parallel()
	s, a, g := startMode(t, []string{"acme", "beta"})
	admin := s.admin()
	var accepted, refused []time.Duration
	for _, workspace := range []string{"acme", "beta", "acme"} {
		k, other := admin.mustIssue(t, workspace, "scopes", []string{"maps:read"}), admin.mustIssue(t, workspace)
		accepted = append(accepted, g.accepts(t, other), g.accepts(t, k))
		told := g.headers.Load().(http.Header)
		for name, want := range map[string]string{
			"X-Burnkey-Key-Id": k.ID, "X-Burnkey-Owner": k.Owner, "X-Burnkey-Workspace": workspace, "X-Burnkey-Scopes": "maps:read",
		} {
			if told.Get(name) != want {
				t.Errorf("the API is told %s: %q, want %q", name, told.Get(name), want)
			}
		}
		refused = append(refused, g.refusesAfter(t, k, admin.mustRevoke))
		if code := g.get(t, other.Token); code != http.StatusOK {
			t.Errorf("%d for a key beside the revoked one", code)
		}
		admin.mustRevoke(t, other)
	}
	slices.Sort(accepted)
	slices.Sort(refused)
	t.Logf("accepted after %v; refused after %v", accepted, refused)
	if code, text := a.get("/metrics"); code != 200 || !strings.Contains(text, `burnkey_gateway_decisions_total{reason="unknown"}`) ||
		!strings.Contains(text, "burnkey_gateway_workspaces 2\n") {
		t.Errorf("metrics: %d\n%s", code, text)
	}
	if strings.Contains(a.log(), "eyJ") {
		t.Error("the log has a token")
	}
	a.stop()
}

func TestE2EGatewayModeRefusesForgeries(t *testing.T) {
	t.Parallel()
	door := envoytest.FreeAddr(t) // the service's, for proxies that ask by HTTP
	s, _, g := startMode(t, []string{"acme", "beta"}, "--listen-http", door)
	admin := s.admin()
	acme, beta := admin.mustIssue(t, "acme"), admin.mustIssue(t, "beta")
	g.accepts(t, acme)
	g.accepts(t, beta)
	ask := func(f forgery) int {
		r, err := http.NewRequest(http.MethodGet, "http://"+door+"/check", http.NoBody)
		check(t, err)
		r.Header = http.Header{"Authorization": {f.authorization}, "X-Forwarded-Uri": {f.target}}
		resp, err := plainHTTP.Do(r)
		check(t, err)
		resp.Body.Close()
		return resp.StatusCode
	}
	reached := g.requests.Load()
	for _, f := range append(forgeries(t, s, acme, beta), forgery{"a management key", "/", "Bearer " + s.key(), false}) {
		if code := g.send(t, f.target, f.authorization); code != http.StatusUnauthorized || g.requests.Load() != reached {
			t.Errorf("%s: %d", f.name, code)
		}
		if code := ask(f); code != http.StatusUnauthorized {
			t.Errorf("%s: %d by HTTP", f.name, code)
		}
	}
	if code := g.get(t, acme.Token); code != http.StatusOK {
		t.Errorf("a good token gets %d afterwards", code)
	}
	if code := ask(forgery{authorization: "Bearer " + acme.Token}); code != http.StatusOK {
		t.Errorf("a good token gets %d by HTTP", code)
	}
}

func TestE2EGatewayModeEveryWorkspace(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	follower := admin.mustIssue(t, "burnkey", "scopes", []string{"gateway"})
	file := filepath.Join(t.TempDir(), "gateway.key")
	check(t, os.WriteFile(file, []byte(follower.Token+"\n"), 0o600))
	a := startAsked(t, s, "--key-file", file)
	g := startEnvoy(t, "--mode", "gateway", "--gateway", a.addr)
	first := admin.mustIssue(t, "acme")
	t.Logf("accepted after %s", g.accepts(t, first))

	start := time.Now()
	admin.mustCreate(t, "new")
	k := admin.mustIssue(t, "new")
	t.Logf("of a new workspace: accepted after %s", g.until(t, start, http.StatusOK, k.Token, patience))
	t.Logf("revoked: refused after %s", g.refusesAfter(t, k, admin.mustRevoke))

	// The gateway's management key passes neither the gateway nor the server's calls about keys.
	if code := g.get(t, follower.Token); code != http.StatusUnauthorized {
		t.Errorf("the gateway's own key gets %d", code)
	}
	own := &client{s.url, follower.Token}
	if _, err := own.keys("acme"); status(err) != http.StatusForbidden {
		t.Errorf("it lists keys: %v", err)
	}
	if _, err := own.issue("acme", map[string]any{"owner": "x"}); status(err) != http.StatusForbidden {
		t.Errorf("it issues keys: %v", err)
	}

	// After the management key is revoked, the gateway continues to use the last list.
	admin.mustRevoke(t, follower)
	a.logs("lost the feed", "the management key must be valid and have the scope gateway")
	if code := g.get(t, first.Token); code != http.StatusOK {
		t.Errorf("a key of a known workspace gets %d", code)
	}
	s.stop()
	a.stop()
	a.start()
	a.ready()
	t.Logf("without the server, from disk: accepted after %s", g.until(t, time.Now(), http.StatusOK, first.Token, patience))
}

func TestE2EGatewayModeServerDown(t *testing.T) {
	t.Parallel()
	s, a, g := startMode(t, []string{"acme"})
	admin := s.admin()
	good, revoked := admin.mustIssue(t, "acme"), admin.mustIssue(t, "acme")
	g.accepts(t, good)
	g.accepts(t, revoked)
	g.refusesAfter(t, revoked, admin.mustRevoke)
	for name, end := range map[string]func(){"stopped": s.stop, "killed": s.kill} {
		end()
		a.stop()
		if code := g.get(t, good.Token); code != http.StatusServiceUnavailable {
			t.Errorf("without the gateway: %d", code)
		}
		a.start()
		a.ready()
		g.until(t, time.Now(), http.StatusOK, good.Token, patience)
		if code := g.get(t, revoked.Token); code != http.StatusUnauthorized {
			t.Errorf("the server %s, a revoked key gets %d", name, code)
		}
		s.start()
		k := admin.mustIssue(t, "acme")
		took := g.until(t, time.Now(), http.StatusOK, k.Token, patience)
		t.Logf("after the server was %s: accepted after %s, refused after %s", name, took, g.refusesAfter(t, k, admin.mustRevoke))
	}
	t.Logf("the key from before, revoked now: refused after %s", g.refusesAfter(t, good, admin.mustRevoke))
}

func TestE2EGatewayModeStale(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	good := admin.mustIssue(t, "acme")
	closed := startAsked(t, s, "--workspace", "acme", "--max-staleness", "10s")
	static := startAsked(t, s, "--workspace", "acme", "--max-staleness", "10s", "--when-stale", "serve")
	before := map[*asked]*gateway{}
	for _, a := range []*asked{closed, static} {
		before[a] = startEnvoy(t, "--mode", "gateway", "--gateway", a.addr)
		before[a].accepts(t, good)
	}
	s.stop()
	start := time.Now()
	t.Logf("refused %s after the server's end", before[closed].until(t, start, http.StatusServiceUnavailable, good.Token, patience))
	if code, _ := closed.get("/readyz"); code != http.StatusServiceUnavailable {
		eventually(t, "it is not ready", func() bool { code, _ := closed.get("/readyz"); return code == http.StatusServiceUnavailable })
	}
	eventually(t, "the other reports it", func() bool {
		return strings.Contains(static.log(),
			"keys are older than allowed: they stay in use")
	})
	if code := before[static].get(t, good.Token); code != http.StatusOK {
		t.Errorf("with --when-stale serve: %d", code)
	}
	s.start()
	t.Logf("accepted %s after", before[closed].until(t, time.Now(), http.StatusOK, good.Token, patience))
	closed.ready()
}

func TestE2EGatewayModeBadFlags(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "key")
	check(t, os.WriteFile(file, []byte("x"), 0o600))
	empty := filepath.Join(dir, "empty")
	check(t, os.WriteFile(empty, []byte("\n"), 0o600))
	// Only the key's claims are read.
	tied := filepath.Join(dir, "tied")
	payload := `{"iss":"i","sub":"s","aud":["burnkey"],"jti":"j","iat":1,"scope":"gateway","workspace":"a"}`
	check(t, os.WriteFile(tied, []byte(parts{b64(header("RS256", strings.Repeat("A", 43))), b64(payload), strings.Repeat("A",
		342)}.join()), 0o600))
	shared, open := filepath.Join(dir, "shared"), filepath.Join(dir, "open")
	check(t, os.WriteFile(shared, []byte("x"), 0o600))
	check(t, os.Mkdir(open, 0o700))
	check(t, errors.Join(os.Chmod(shared, 0o644), os.Chmod(open, 0o777)))
	for _, test := range []struct{ flags, env, want string }{
		{"--key-file " + shared, "", "--key-file: " + shared + ": mode 0644"},
		{"--workspace a --usage-key-file " + shared, "", "--usage-key-file: " + shared + ": mode 0644"},
		{"--workspace a --state-dir " + open, "", "--state-dir: " + open + ": mode 0777"},
		{"--workspace a --usage-every -1s", "", "--usage-every: must not be negative"},
		{"--workspace a --usage-every 1m", "", "--usage-every: has no effect without --usage-key-file"},
		{"--workspace a --usage-every 1ms --usage-key-file " + tied, "", "--usage-every: must be 0, or 1s to 1h0m0s"},
		{"--workspace a --usage-every 2h --usage-key-file " + tied, "", "--usage-every: must be 0, or 1s to 1h0m0s"},
		{"--workspace b --usage-every 0 --usage-key-file " + tied, "", "--usage-key-file: the key is tied to the workspace a "},
		{"--workspace a --usage-key-file " + filepath.Join(dir, "none"), "", "--usage-key-file"},
		{"--workspace a --usage-key-file " + empty, "", "--usage-key-file: " + empty + " is empty"},
		{"--workspace a --usage-key-file " + file, "", "--usage-key-file: invalid management key"},
		{"--workspace a --workspace b --usage-key-file " + tied, "", "--usage-key-file: the key is tied to the workspace a "},
		{"--workspace b", "BURNKEY_USAGE_KEY_FILE=" + tied, "BURNKEY_USAGE_KEY_FILE (--usage-key-file): the key is tied"},
		{"--usage-key-file " + tied + " --key-file " + tied, "", "--usage-key-file: is for --workspace"},
		{"", "", "--workspace"},
		{"", "", "--key-file"},
		{"--workspace acme --key-file " + file, "", "--key-file: invalid management key"},
		{"", "BURNKEY_WORKSPACE=acme BURNKEY_KEY_FILE=" + file, "BURNKEY_KEY_FILE (--key-file): invalid management key"},
		{"--workspace acme --key-file " + tied + " --usage-key-file " + tied, "", "--usage-key-file: is for --workspace without --key-file"},
		{"--key-file " + filepath.Join(dir, "none"), "", "--key-file"},
		{"--key-file " + file, "", "--key-file: invalid management key"},
		{"--key-file " + empty, "", "--key-file: " + empty + " is empty"},
		{"", "BURNKEY_KEY_FILE=" + file, "BURNKEY_KEY_FILE (--key-file): invalid management key"},
		{"", "BURNKEY_KEY=x", "BURNKEY_KEY: invalid management key"},
		{"--workspace Acme", "", "--workspace"},
		{"--workspace a --workspace a", "", "--workspace"},
		{"--workspace a --audience=", "", "--audience"},
		{"--workspace a", "BURNKEY_AUDIENCE=", "--audience"},
		{"--workspace a", "", "--audience: must be the audience of this API; --any-audience"},
		{"--key-file " + tied, "", "--audience: must be the audience of this API; --any-audience"},
		{"--workspace a --audience b --any-audience", "", "--any-audience: cannot be combined with --audience"},
		{"--workspace a --workspace burnkey", "", "--workspace: must not be burnkey"},
		{"", "BURNKEY_WORKSPACE=burnkey", "BURNKEY_WORKSPACE (--workspace): must not be burnkey"},
		{"--workspace=", "BURNKEY_KEY=x", "--workspace"},
		{"--workspace a --server x", "", "--server"},
		{"--workspace a --server http://u:p@x", "", "--server"},
		{"--workspace a --public-url x", "", "--public-url"},
		{"--workspace a --listen x", "", "--listen"},
		{"--workspace a --listen 127.0.0.1:99999", "", "--listen"},
		{"--workspace a --metrics-listen x", "", "--metrics-listen"},
		{"--workspace a --metrics-listen 127.0.0.1:99999", "", "--metrics-listen"},
		{"--workspace a --max-staleness 1s", "", "--max-staleness"},
		{"--workspace a --max-staleness x", "", "--max-staleness"},
		{"--workspace a --max-staleness 1.5s", "", "--max-staleness"},
		{"--workspace a --max-staleness 0", "", "--max-staleness"},
		{"--workspace a --when-stale refuse", "", "--max-staleness"},
		{"--workspace a --max-staleness 1m --when-stale x", "", "--when-stale"},
		{"--workspace a --redis http://127.0.0.1", "", "--redis: must be redis://"},
		{"--workspace a --redis redis://:pa/ss@127.0.0.1", "", "percent-encoded"},
		{"--workspace a --redis redis://127.0.0.1 --redis-down x", "", "--redis-down: must be local or refuse"},
		{"--workspace a --redis redis://127.0.0.1", "", "--redis: has no effect without --key-file"},
		{"--workspace a --redis-down local", "", "--redis-down: has no effect without --redis"},
		{"--workspace a --state-dir " + file, "", "--state-dir"},
		{"--workspace a --log-level x", "", "--log-level"},
		{"--workspace a --log-format x", "", "--log-format"},
		{"--workspace a --drain-timeout -1s", "", "--drain-timeout"},
		{"--workspace a x", "", "takes no arguments"},
		{"--workspace a --no-such-flag", "", "--no-such-flag"},
	} {
		c := command{args: append([]string{"gateway"}, strings.Fields(test.flags)...), env: strings.Fields(test.env)}
		if !strings.Contains(test.flags+test.env+test.want, "udience") {
			c.env = append(c.env, "BURNKEY_ANY_AUDIENCE=true")
		}
		if !strings.Contains(test.flags, "--listen ") {
			c.env = append(c.env, "BURNKEY_LISTEN=127.0.0.1:0")
		}
		t.Run(test.flags+" "+test.env, func(t *testing.T) {
			r := c.run(t)
			lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
			r.stderr = lines[len(lines)-1] // a log may come before
			r.fails(t, test.want)
		})
	}
}

// TestE2EGatewayModeAmbientKey gives the gateway --workspace although the environment contains a key that is
// for other commands.
func TestE2EGatewayModeAmbientKey(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.admin().mustCreate(t, "acme")
	a := startAsked(t, s, "--workspace", "acme")
	a.logs("workspaces=acme", "keys of any age", "key usage is not reported; it takes a management key")
	a.stop()
	a.env = []string{"BURNKEY_KEY_FILE=" + s.keyFile, "BURNKEY_KEY=x"}
	a.start()
	a.ready()
	if _, text := a.get("/metrics"); !strings.Contains(text, "burnkey_gateway_workspaces 1\n") || strings.Contains(a.log(), "workspaces=all") {
		t.Errorf("it follows others, too:\n%s", a.log())
	}
	a.stop()
}
