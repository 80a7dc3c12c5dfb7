package authz_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/mint"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// press is a Minter for tests: real tokens of real keys, each used once, in a
// hundredth of the time. They share primes, which makes them worthless elsewhere.
type press struct {
	mu     sync.Mutex
	count  int   // of claims that were asked for
	err    error // returned instead of a key
	blank  bool  // keys without a private half, tokens that are none
	minted func()
}

func (p *press) Mint(ctx context.Context, _ mint.Asker, claims func() ([]byte, error)) (mint.Minted, error) {
	if err := errors.Join(ctx.Err(), p.start()); err != nil {
		return mint.Minted{}, err
	}
	var payload []byte
	if claims != nil {
		var err error
		if payload, err = claims(); err != nil {
			return mint.Minted{}, err
		}
	}
	minted := mint.Minted{Key: blankKey(), Token: "blank"}
	if !p.blank {
		minted = sign(payload)
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

func blankKey() jwks.Key {
	n := make([]byte, jwks.ModulusLen)
	_, _ = rand.Read(n) // never fails
	n[0] |= 0x80
	n[jwks.ModulusLen-1] |= 1
	return must(jwks.FromModulus(n))
}

// primes yields key pairs: each two of its primes make one.
var primes struct {
	sync.Mutex
	known []*big.Int
	next  int // of the primes before the last, the one to go with the last
}

func newPrivateKey() *rsa.PrivateKey {
	primes.Lock()
	defer primes.Unlock()
	e := big.NewInt(jwks.Exponent)
	for primes.next >= len(primes.known)-1 {
		p := must(rand.Prime(rand.Reader, jwks.ModulusBits/2)) // its two highest bits are set
		if new(big.Int).ModInverse(e, minusOne(p)) != nil {
			primes.known, primes.next = append(primes.known, p), 0
		}
	}
	p, q := primes.known[len(primes.known)-1], primes.known[primes.next]
	primes.next++
	phi := new(big.Int).Mul(minusOne(p), minusOne(q))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: jwks.Exponent},
		D:         new(big.Int).ModInverse(e, phi), Primes: []*big.Int{p, q},
	}
	key.Precompute()
	return key
}

func minusOne(n *big.Int) *big.Int { return new(big.Int).Sub(n, big.NewInt(1)) }

// sign burns one key on a payload, or on nothing.
func sign(payload []byte) mint.Minted {
	private := newPrivateKey()
	minted := mint.Minted{Key: must(jwks.FromPublicKey(&private.PublicKey))}
	if len(payload) == 0 {
		return minted
	}
	b64 := base64.RawURLEncoding.EncodeToString
	header := fmt.Sprintf(`{"alg":"RS256","kid":"%s","typ":"JWT"}`, minted.Key.KID())
	signed := b64([]byte(header)) + "." + b64(payload)
	digest := sha256.Sum256([]byte(signed))
	sig := must(rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest[:]))
	minted.Token = jwks.Token(signed + "." + b64(sig))
	return minted
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// clock is a time that tests set. It is not UTC and finer than what is kept.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.FixedZone("", 3600))}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// server is a Service with all that it stands on.
type server struct {
	*authz.Service
	t         *testing.T
	path      string // of the database
	store     *faulty
	minter    *press
	publisher *authz.Publisher
	clock     *clock
}

const publicURL = "https://keys.example.com"

// newServer starts on an empty database.
func newServer(t *testing.T) *server {
	t.Helper()
	return serverOn(t, filepath.Join(t.TempDir(), "burnkey.db"))
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
	s := &server{t: t, path: path, store: &faulty{Store: db}, minter: &press{}, clock: newClock()}
	s.publisher = authz.NewPublisher(s.store, nil)
	if err := s.publisher.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Service = authz.New(authz.Options{
		Store: s.store, Minter: s.minter, Publisher: s.publisher, PublicURL: publicURL + "/", Now: s.clock.Now,
	})
	return s
}

// workspace makes one whose audiences are web and batch.
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

// set returns what is published here.
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

// version returns the store's.
func (s *server) version(workspace string) uint64 {
	s.t.Helper()
	w, err := s.store.Store.Workspace(s.t.Context(), workspace)
	if err != nil {
		s.t.Fatal(err)
	}
	return w.Version
}
