package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/api"
	"github.com/burnkey/burnkey/authz/mint"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/sqlite"
	"github.com/burnkey/burnkey/store/storetest"
)

const publicURL = "https://keys.example.test"

// server is a complete Burnkey server, without the command that normally starts it. Each answer in each test is
// compared with the OpenAPI document, and at the end of a test neither log nor metrics may contain a token.
type server struct {
	*httptest.Server
	t         *testing.T
	store     *faultyStore
	minter    *quickMinter
	service   *authz.Service
	routes    []*echo.Route
	contract  *contract
	client    *http.Client
	log       *testkit.Log
	admin     string // a key that may do everything
	late      atomic.Int64
	unready   atomic.Bool
	mayBreak  atomic.Bool // whether errors in the log and 500 are no failure
	publicURL string
	publisher *publish.Publisher
	closing   chan struct{}
	closed    sync.Once
	readers   *publish.StreamLimits // nil: the default
}

var newFile = storetest.Files(func(ctx context.Context, path string) (store.Store, error) { return sqlite.Open(ctx, path) })

// newServer starts a server with the workspaces burnkey, acme and other.
func newServer(t *testing.T, change ...func(*server, *authz.Options, *http.Server)) *server {
	t.Helper()
	ctx := t.Context()
	db, err := sqlite.Open(ctx, newFile(t))
	must(t, err)
	s := &server{
		t: t, store: &faultyStore{Store: db}, minter: new(quickMinter), log: new(testkit.Log),
		publicURL: publicURL, Server: httptest.NewUnstartedServer(nil), closing: make(chan struct{}),
	}
	metrics := prometheus.NewRegistry()
	publisher := publish.NewPublisher(s.store, metrics)
	must(t, publisher.Load(ctx))
	s.publisher = publisher
	options := authz.Options{Store: s.store, Minter: s.minter, Publisher: publisher, PublicURL: publicURL, Now: s.now}
	for _, f := range change {
		f(s, &options, s.Config)
	}
	if real, ok := options.Minter.(realMinter); ok {
		options.Minter, err = mint.New(mint.Options{Workers: 1, Queue: real.queue, Metrics: metrics})
		must(t, err)
	}
	s.service = authz.New(options)
	_, err = s.service.Bootstrap(ctx, func(token jwks.Token) error {
		s.admin = token.Reveal()
		return nil
	})
	must(t, err)
	handler, err := api.New(api.Options{
		Service: s.service, Publisher: publisher, Metrics: metrics, Version: "test",
		Log:     slog.New(slog.NewJSONHandler(s.log, nil)),
		Closing: s.closing, StreamLimits: s.readers,
		Checks: map[string]api.Check{
			"database": func(ctx context.Context) error { return s.store.Ping(ctx) },
			"shutdown": func(context.Context) error {
				if s.unready.Load() {
					return errors.New("the server is shutting down")
				}
				return nil
			},
		},
	})
	must(t, err)
	s.routes = handler.(*echo.Echo).Routes()
	s.Config.Handler = handler
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.Start()
	transport := &http.Transport{DisableCompression: true}
	s.contract = readContract(t, transport, s.URL)
	s.contract.publicURL = strings.TrimSuffix(options.PublicURL, "/")
	s.client = &http.Client{Transport: &checked{s: s, base: transport}}
	t.Cleanup(func() {
		s.closeStreams()
		s.Close() // waits for requests in progress
		transport.CloseIdleConnections()
		s.checkSecrets(metrics)
		must(t, db.Close())
	})
	s.createWorkspace("acme")
	s.createWorkspace("other")
	return s
}

func (s *server) closeStreams() { s.closed.Do(func() { close(s.closing) }) }

// realMinter makes newServer use minting processes.
type realMinter struct {
	authz.Minter
	queue int
}

func (s *server) now() time.Time { return time.Now().Add(time.Duration(s.late.Load())) }

// stopped stops the server's clock, so that no budget is refilled.
func stopped(_ *server, o *authz.Options, _ *http.Server) {
	now := time.Now()
	o.Now = func() time.Time { return now }
}

// sleep moves the server's clock forward.
func (s *server) sleep(d time.Duration) { s.late.Add(int64(d)) }

func (s *server) checkSecrets(metrics prometheus.Gatherer) {
	s.t.Helper()
	families, err := metrics.Gather()
	must(s.t, err)
	shown, err := json.Marshal(families)
	must(s.t, err)
	for where, text := range map[string]string{"log": s.log.String(), "metrics": string(shown)} {
		if strings.Contains(text, jwks.TokenPrefix) {
			s.t.Errorf("the %s: holds the beginning of a token", where)
		}
		for _, token := range append(s.minter.tokens(), jwks.Token(s.admin)) {
			if strings.Contains(text, signature(token)) {
				s.t.Errorf("the %s: holds a signature", where)
			}
		}
	}
	if !s.mayBreak.Load() && strings.Contains(s.log.String(), `"level":"ERROR"`) {
		s.t.Errorf("errors were logged:\n%s", s.log.String())
	}
}

func signature(token jwks.Token) string {
	return token.Reveal()[strings.LastIndexByte(token.Reveal(), '.')+1:]
}

// answer is a response that was read completely.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

// do makes a call. The body is nil, a string that is sent unchanged, or a value to marshal. Management calls
// use the admin key unless an option changes that.
func (s *server) do(method, path string, body any, options ...func(*http.Request)) answer {
	s.t.Helper()
	a, err := s.try(method, path, body, options...)
	must(s.t, err)
	return a
}

func (s *server) try(method, path string, body any, options ...func(*http.Request)) (answer, error) {
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return answer{}, err
		}
		reader = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(context.Background(), method, s.URL+path, reader)
	if err != nil {
		return answer{}, err
	}
	if strings.HasPrefix(path, "/v1/workspaces") || strings.HasPrefix(path, "/v1/keys/") || path == feedPath {
		r.Header.Set("Authorization", "Bearer "+s.admin)
		if body != nil {
			r.Header.Set("Content-Type", "application/json")
		}
	}
	if strings.HasSuffix(path, "/introspect") {
		r.Header.Set("Authorization", "Bearer "+s.admin)
		form(r)
	}
	for _, f := range options {
		f(r)
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{t: s.t, status: resp.StatusCode, header: resp.Header}
	a.body, err = io.ReadAll(resp.Body)
	return a, err
}

func as(token string) func(*http.Request) { return header("Authorization", "Bearer "+token) }

// header returns an option that sets a header or, without values, removes it.
func header(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) {
		if len(values) == 0 {
			r.Header.Del(name)
			return
		}
		r.Header[name] = values
	}
}

// want fails the test unless the answer has the given status.
func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("answered %d, want %d: %.300s", a.status, status, redact(string(a.body)))
	}
	return a
}

func (a answer) object() map[string]any {
	a.t.Helper()
	var v map[string]any
	if err := json.Unmarshal(a.body, &v); err != nil {
		a.t.Fatalf("not a JSON object: %v", err)
	}
	return v
}

func (a answer) text(member string) string {
	a.t.Helper()
	text, ok := a.object()[member].(string)
	if !ok {
		a.t.Fatalf("no text %q in %.300s", member, redact(string(a.body)))
	}
	return text
}

// redact keeps tokens out of a test's output.
func redact(text string) string {
	if at := strings.Index(text, jwks.TokenPrefix); at >= 0 {
		return text[:at] + "[token]"
	}
	return text
}

func (s *server) createWorkspace(id string) {
	s.t.Helper()
	s.do("POST", "/v1/workspaces", map[string]any{"id": id}).want(201)
}

// issued is a key that a test has issued.
type issued struct{ id, kid, token string }

func (s *server) issue(workspace string, body map[string]any) issued {
	s.t.Helper()
	if body["owner"] == nil {
		body["owner"] = "cust_1"
	}
	a := s.do("POST", "/v1/workspaces/"+workspace+"/keys", body).want(201)
	return issued{a.text("id"), a.text("kid"), a.text("token")}
}

// manager issues a management key with the given scopes, tied to the workspace tie unless that is empty.
func (s *server) manager(tie string, scopes ...string) string {
	s.t.Helper()
	body := map[string]any{"owner": "operator", "scopes": scopes}
	if tie != "" {
		body["claims"] = map[string]any{authz.TieClaim: tie}
	}
	return s.issue(authz.Home, body).token
}

// state returns everything that a refused call must not change.
func (s *server) state() string {
	s.t.Helper()
	var all strings.Builder
	for _, path := range []string{
		"/v1/workspaces?limit=1000", keysPath + "?limit=1000", jwksPath,
	} {
		all.Write(s.do("GET", path, nil).want(200).body)
	}
	return all.String()
}

const (
	keysPath = "/v1/workspaces/acme/keys"
	issuer   = "/v1/auth/oauth/acme"
	jwksPath = issuer + "/.well-known/jwks.json"
)

var must = testkit.Check
