package authz_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/mint"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/sqlite"
	"github.com/burnkey/burnkey/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// press is a Minter for tests. It makes valid tokens, each with a different key, a hundred times faster than a
// real one: the keys share primes, so they are not secure.
type press struct {
	mu     sync.Mutex
	count  int   // of claims that were asked for
	err    error // returned instead of a key
	blank  bool  // keys without a private half, invalid tokens
	minted func()
}

func (p *press) Mint(ctx context.Context, _ mint.Asker, claims func() (mint.Claims, error)) (mint.Minted, error) {
	if err := errors.Join(ctx.Err(), p.start()); err != nil {
		return mint.Minted{}, err
	}
	var said mint.Claims
	if claims != nil {
		var err error
		if said, err = claims(); err != nil {
			return mint.Minted{}, err
		}
	}
	minted := mint.Minted{Key: blankKey(), Token: "blank"}
	if !p.blank {
		minted = signAs(said.Type, said.Payload)
	}
	if p.minted != nil {
		p.minted()
	}
	return minted, nil
}

func (p *press) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	return p.err
}

func (p *press) mintings() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

func blankKey() jwks.Key { return must(jwks.FromModulus(testkit.Modulus())) }

// sign makes a new key and, if there is a payload, signs it.
func sign(payload []byte) mint.Minted { return signAs(jwks.TypeJWT, payload) }

func signAs(typ jwks.TokenType, payload []byte) mint.Minted {
	private := testkit.PrivateKey()
	minted := mint.Minted{Key: must(jwks.FromPublicKey(&private.PublicKey))}
	if len(payload) == 0 {
		return minted
	}
	minted.Token = jwks.Token(testkit.Sign(private, headerOf(typ, minted.Key.KID().String()), string(payload)))
	return minted
}

func headerOf(typ jwks.TokenType, kid string) string {
	if typ == jwks.TypeAccessToken {
		return testkit.AccessHeader(kid)
	}
	return testkit.Header(kid)
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// newClock returns a clock that is not in UTC and is more precise than stored times.
func newClock() *testkit.Clock {
	return testkit.NewClock(time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.FixedZone("", 3600)))
}

// server is a Service with its dependencies.
type server struct {
	*authz.Service
	t         *testing.T
	path      string // of the database
	store     *storetest.Faulty
	minter    *press
	publisher *publish.Publisher
	clock     *testkit.Clock
}

const (
	publicURL = "https://keys.example.com"
	pepper    = "pepper of tests 1"
)

var newFile = storetest.Files(func(ctx context.Context, path string) (store.Store, error) { return sqlite.Open(ctx, path) })

// newServer starts on an empty database.
func newServer(t *testing.T) *server {
	t.Helper()
	return serverOn(t, newFile(t))
}

func serverOn(t *testing.T, path string) *server {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &server{t: t, path: path, store: &storetest.Faulty{Store: db}, minter: &press{}, clock: newClock()}
	s.publisher = publish.NewPublisher(s.store, nil)
	if err := s.publisher.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Service = authz.New(authz.Options{
		Store: s.store, Minter: s.minter, Publisher: s.publisher, PublicURL: publicURL + "/", Now: s.clock.Now,
		Pepper: []byte(pepper),
	})
	return s
}

// workspace creates a workspace with the audiences web and batch.
func (s *server) workspace(id string) {
	s.t.Helper()
	_, err := s.CreateWorkspace(s.t.Context(), authz.WorkspaceRequest{ID: id, Audiences: []string{"web", "batch"}})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) issue(workspace string, r authz.IssueRequest) authz.Issued {
	s.t.Helper()
	if r.Owner == "" {
		r.Owner = "cust_1"
	}
	issued, err := s.Issue(s.t.Context(), workspace, r)
	if err != nil {
		s.t.Fatal(err)
	}
	return issued
}

// set returns the set published by this server.
func (s *server) set(workspace string) *publish.Set {
	s.t.Helper()
	set, ok := s.publisher.Set(workspace)
	if !ok {
		s.t.Fatalf("%s has no set", workspace)
	}
	return set
}

func (s *server) publishes(workspace string, kid jwks.KID) bool {
	s.t.Helper()
	_, ok := s.set(workspace).Lookup(kid)
	return ok
}

// version returns the workspace's version in the store.
func (s *server) version(workspace string) uint64 {
	s.t.Helper()
	w, err := s.store.Store.Workspace(s.t.Context(), workspace)
	if err != nil {
		s.t.Fatal(err)
	}
	return w.Version
}

// exec executes SQL directly, bypassing the store.
func (s *server) exec(query string, args ...any) {
	s.t.Helper()
	db, err := sql.Open("sqlite", s.path+"?_pragma=busy_timeout(30000)") // a server may be writing
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(s.t.Context(), query, args...); err != nil {
		s.t.Fatal(err)
	}
}
