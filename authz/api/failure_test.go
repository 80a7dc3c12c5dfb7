package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/mint"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
)

// goodBody returns a valid body, with which the operation reaches the store.
func (c call) goodBody() any {
	switch c.id {
	case "create-workspace":
		return `{"id":"fresh"}`
	case "issue-key", "create-portal-session", "revoke-keys":
		return `{"owner":"x"}`
	case "create-request":
		return `{"key":"` + unknownID + `","plan":"gold"}`
	case "update-keys":
		return `{"owner":"x","change":{"enabled":false}}`
	case "import-keys":
		return `{"keys":[{"digest":"sha256:ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0","owner":"another"}]}`
	case "create-plan":
		return `{"name":"x"}`
	case "set-limits":
		return `{"limits":[{"name":"burst","requests":1,"seconds":1}]}`
	case "report-usage":
		return `{"keys":[],"complete":true}`
	}
	return c.body()
}

// fromMemory reports whether the operation, with goodBody, needs no database.
func (c call) fromMemory() bool {
	return c.id == "feed" || c.id == "feed-set" || c.id == "introspect-token"
}

func (s *server) wantUnavailable(t *testing.T, a answer, retryAfter string) {
	t.Helper()
	if a.status != 503 || a.header.Get("Retry-After") != retryAfter {
		t.Errorf("answered %d, Retry-After %q: %.200s", a.status, a.header.Get("Retry-After"), redact(string(a.body)))
	}
	if strings.Contains(string(a.body), marker) {
		t.Errorf("the answer tells what broke: %s", a.body)
	}
}

func TestStoreFails(t *testing.T) {
	s := newServer(t)
	s.mayBreak.Store(true)
	key := s.issue("acme", map[string]any{})
	for name, fault := range map[string]error{
		"broken": errors.New(marker), "late": fmt.Errorf("read: %w", context.DeadlineExceeded),
		"cancelled by itself": context.Canceled,
	} {
		t.Run(name, func(t *testing.T) {
			s.store.fail(func() error { return fault })
			defer s.store.fail(nil)
			for _, c := range s.management() {
				if !c.fromMemory() {
					s.wantUnavailable(t, s.do(c.method, c.in("acme"), c.goodBody()), "1")
				}
			}
			s.wantUnavailable(t, s.do("POST", issuer+"/revoke", "token="+key.token, form), "1")
			s.wantUnavailable(t, s.do("POST", introspectPath, "token="+key.token), "1")
			// Calls that need no database still work.
			s.do("GET", jwksPath, nil).want(200)
			s.do("GET", feedOfOne, nil).want(200)
			s.feed(s.admin, `{}`).begin()
			s.do("GET", issuer+"/.well-known/openid-configuration", nil).want(200)
			s.do("GET", "/healthz", nil).want(200)
			s.do("GET", keysPath, nil, header("Authorization")).want(401)
		})
	}
	if !strings.Contains(s.log.String(), marker) {
		t.Error("the log does not tell what broke")
	}
	s.do("GET", keysPath+"/"+key.id, nil).want(200)
}

func TestPanic(t *testing.T) {
	s := newServer(t)
	s.mayBreak.Store(true)
	s.store.fail(func() error { panic(marker) })
	for _, c := range s.management() {
		if c.fromMemory() {
			continue
		}
		a := s.do(c.method, c.in("acme"), c.goodBody()).want(500)
		if p := a.problem(); strings.Contains(string(a.body), marker) || len(p.Errors) > 0 {
			t.Errorf("the answer says %s", a.body)
		}
		if !strings.Contains(s.log.String(), a.header.Get("X-Request-Id")) {
			t.Errorf("%s: the request id is not in the log", c.id)
		}
	}
	s.store.fail(nil)
	if strings.Contains(s.log.String(), marker) || !strings.Contains(s.log.String(), "failure_test.go") {
		t.Error("the log should tell where it was, and not with what")
	}
	s.do("GET", keysPath, nil).want(200)
}

func TestMinterFails(t *testing.T) {
	s := newServer(t)
	before := s.state()
	for _, c := range []struct {
		err   error
		after string
	}{
		{&mint.BusyError{RetryAfter: 1500 * time.Millisecond}, "2"}, // 1.5 s, rounded up
		{fmt.Errorf("%w: %s", mint.ErrFailed, marker), "1"},
	} {
		s.mayBreak.Store(!errors.Is(c.err, mint.ErrBusy))
		s.minter.set(func(m *quickMinter) { m.err = c.err })
		s.wantUnavailable(t, s.do("POST", keysPath, `{"owner":"x"}`), c.after)
		s.wantUnavailable(t, s.do("POST", "/v1/workspaces", `{"id":"fresh"}`), c.after)
		// Invalid input is still reported, at once.
		s.do("POST", keysPath, `{"owner":""}`).want(422)
		s.do("POST", "/v1/workspaces", `{"id":"acme"}`).want(409)
	}
	s.minter.set(func(m *quickMinter) { m.err = nil })
	if s.state() != before {
		t.Error("what was not made is there")
	}
	s.do("POST", "/v1/workspaces", `{"id":"fresh"}`).want(201)
}

func TestReadiness(t *testing.T) {
	s := newServer(t)
	for _, method := range []string{"GET", "HEAD"} {
		s.do(method, "/readyz", nil).want(200)
	}
	s.unready.Store(true)
	s.do("HEAD", "/readyz", nil).want(503)
	p := s.do("GET", "/readyz", nil).want(503).problem()
	if p.Detail != "The server is shutting down." {
		t.Errorf("says %q", p.Detail)
	}
	s.do("GET", "/healthz", nil).want(200)
	s.do("GET", keysPath, nil).want(200) // it still serves new requests
}

// Keys are issued with real minting processes, and /metrics has all metrics of minting.
func TestRealMinting(t *testing.T) {
	s := newServer(t, func(_ *server, o *authz.Options, _ *http.Server) { o.Minter = realMinter{queue: 1} })
	key := s.issue("acme", map[string]any{})
	if a := s.do("GET", jwksPath+"?kid="+key.kid, nil).want(200); !strings.Contains(string(a.body), key.kid) {
		t.Errorf("published: %s", a.body)
	}
	s.do("POST", issuer+"/revoke", "token="+key.token, form).want(200)
	if a := s.do("GET", jwksPath+"?kid="+key.kid, nil).want(200); strings.Contains(string(a.body), key.kid) {
		t.Errorf("published still: %s", a.body)
	}

	// With one worker and a queue of one, the server refuses four of six simultaneous requests.
	const calls = 6
	answers := make(chan answer, calls)
	for range calls {
		go func() {
			a, err := s.try("POST", keysPath, `{"owner":"x"}`)
			if err != nil {
				t.Error(err)
			}
			answers <- a
		}()
	}
	made, busy := 0, 0
	for range calls {
		switch a := <-answers; a.status {
		case 201:
			made++
		case 503:
			busy++
			// Retry-After depends on how long minting takes on this machine.
			after := a.header.Get("Retry-After")
			if seconds, err := strconv.Atoi(after); err != nil || seconds < 1 {
				t.Errorf("Retry-After is %q", after)
			}
			s.wantUnavailable(t, a, after)
		}
	}
	if made < 2 || busy == 0 || made+busy != calls {
		t.Errorf("%d made, %d refused", made, busy)
	}
	shown := string(s.do("GET", "/metrics", nil).want(200).body)
	for _, want := range []string{
		`burnkey_http_requests_total{code="201",method="POST",route="/v1/workspaces/:ws/keys"} ` + fmt.Sprint(made+1),
		`burnkey_http_request_duration_seconds_count{route="/v1/workspaces/:ws/keys"} `,
		"burnkey_mint_duration_seconds_count " + fmt.Sprint(made+5), // and three tombstones and the admin's
		`burnkey_mint_failures_total{reason="busy"} ` + fmt.Sprint(busy),
		"burnkey_mint_queue_length 0", "burnkey_mint_running 0", "burnkey_mint_wait_seconds_count ",
		"burnkey_publish_failures_total 0", "burnkey_workspaces 3",
		"burnkey_published_keys " + fmt.Sprint(made+4),
	} {
		if !strings.Contains(shown, "\n"+want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}

// If a workspace's set can't be read, the answer is not a 404, which would mean that none of its keys is valid.
// Other workspaces are served.
func TestADamagedSetIsNoMissingOne(t *testing.T) {
	s := newServer(t)
	s.createWorkspace(damagedWorkspace)
	loading := time.Now()
	if err := s.publisher.Load(t.Context()); !errors.Is(err, publish.ErrPartly) {
		t.Fatal(err)
	}
	const issuer = jwks.IssuerPath + damagedWorkspace
	for _, path := range []string{"/.well-known/jwks.json", "/.well-known/jwks.json?kid=x", "/changes"} {
		if a := s.do("GET", issuer+path, nil).want(503); a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %v", path, a.header)
		}
	}
	s.do("GET", issuer+"/.well-known/openid-configuration", nil).want(200)
	a := s.do("GET", jwks.IssuerPath+"acme/.well-known/jwks.json", nil).want(200)
	if age, err := strconv.Atoi(a.header.Get("Age")); err != nil || age > 1+int(time.Since(loading)/time.Second) { // it is rounded up
		t.Errorf("another workspace's set looks old: %v", a.header)
	}
	s.do("GET", jwks.IssuerPath+"nobody/.well-known/jwks.json", nil).want(404)
}
