package authz_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// safe records the tokens that Bootstrap passes to its callback.
type safe struct {
	mu     sync.Mutex
	tokens []string
}

func (s *safe) keep(token jwks.Token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = append(s.tokens, token.Reveal())
	return nil
}

// admins returns the key records of Home.
func (s *server) admins() []store.Key {
	s.t.Helper()
	keys, _, err := s.store.Store.Keys(s.t.Context(), authz.Home, store.Filter{Limit: 10})
	if err != nil {
		s.t.Fatal(err)
	}
	return keys
}

func TestBootstrap(t *testing.T) {
	s := newServer(t)
	var kept safe
	made, err := s.Bootstrap(t.Context(), kept.keep)
	if err != nil || !made || len(kept.tokens) != 1 {
		t.Fatalf("made %t, %v, kept %d", made, err, len(kept.tokens))
	}
	p, err := s.Authenticate(kept.tokens[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := p.May(authz.Home, authz.ScopeKeysWrite); err != nil {
		t.Error(err)
	}
	keys := s.admins()
	if len(keys) != 1 || !keys[0].ExpiresAt.IsZero() || !slices.Equal(keys[0].Scopes, []string{"admin"}) || keys[0].ID != p.KeyID {
		t.Errorf("keys %+v", keys)
	}
	for _, s := range []*server{s, serverOn(t, s.path)} {
		mintings := s.minter.mintings()
		made, err = s.Bootstrap(t.Context(), kept.keep)
		if err != nil || made || len(kept.tokens) != 1 || len(s.admins()) != 1 || s.minter.mintings() != mintings {
			t.Errorf("again: made %t, %v", made, err)
		}
	}
	// If the operator has revoked the only admin key, a restart does not make a new one.
	if _, err := s.Revoke(t.Context(), authz.Home, keys[0].ID); err != nil {
		t.Fatal(err)
	}
	if made, err := s.Bootstrap(t.Context(), kept.keep); err != nil || made {
		t.Errorf("after its revocation: made %t, %v", made, err)
	}
}

// If a bootstrap fails at any step, no valid key remains, and the next run completes it.
func TestBootstrapIsHealed(t *testing.T) {
	full := func(jwks.Token) error { return errors.New("the disk is full") }
	for _, test := range []struct {
		name  string
		spoil func(*server)
		keep  func(jwks.Token) error
		kept  int // tokens that were written but belong to no key
	}{
		{"before all", func(s *server) { s.store.Fail("Workspace") }, nil, 0},
		{"making the tombstone", func(s *server) { s.minter.err = authz.ErrBusy }, nil, 0},
		{"keeping the workspace", func(s *server) { s.store.Fail("CreateWorkspace") }, nil, 0},
		{"between workspace and key", func(s *server) { s.store.Fail("Keys") }, nil, 0},
		{"writing the token", func(*server) {}, full, 0},
		{"keeping the key", func(s *server) { s.store.Fail("Issue") }, nil, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t)
			var kept safe
			keep := test.keep
			if keep == nil {
				keep = kept.keep
			}
			test.spoil(s)
			if made, err := s.Bootstrap(t.Context(), keep); err == nil || made {
				t.Fatalf("made %t, %v", made, err)
			}
			if len(s.admins()) != 0 || len(kept.tokens) != test.kept {
				t.Fatalf("%d keys, %d tokens are left", len(s.admins()), len(kept.tokens))
			}
			next := serverOn(t, s.path)
			if made, err := next.Bootstrap(t.Context(), kept.keep); err != nil || !made {
				t.Fatalf("the next run: made %t, %v", made, err)
			}
			if _, err := next.Authenticate(kept.tokens[len(kept.tokens)-1]); err != nil || len(next.admins()) != 1 {
				t.Errorf("%d keys, %v", len(next.admins()), err)
			}
			if test.kept == 1 {
				if _, err := next.Authenticate(kept.tokens[0]); err == nil {
					t.Error("a token that was never kept works")
				}
			}
		})
	}
}

// If two servers find the same empty database, one issues the admin key, and the other's token is void.
func TestBootstrapTwoAtOnce(t *testing.T) {
	first := newServer(t)
	servers := []*server{first, serverOn(t, first.path)}
	var kept [2]safe
	var made [2]bool
	var both, gate sync.WaitGroup
	gate.Add(2)
	for i, s := range servers {
		s.store.HookAfter("Keys", func() error {
			gate.Done()
			gate.Wait() // neither has seen the other's
			return nil
		})
		both.Go(func() {
			var err error
			if made[i], err = s.Bootstrap(context.Background(), kept[i].keep); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if keys := first.admins(); len(keys) != 1 || made[0] == made[1] {
		t.Fatalf("%d admin keys, made: %t", len(keys), made)
	}
	for i := range servers {
		for _, s := range servers {
			if err := s.publisher.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, token := range kept[i].tokens {
				if _, err := s.Authenticate(token); (err == nil) != made[i] {
					t.Errorf("a token of the server that made it: %t, works: %v", made[i], err)
				}
			}
		}
	}
	for _, s := range servers {
		s.store.Heal()
		if made, err := s.Bootstrap(t.Context(), kept[0].keep); err != nil || made {
			t.Errorf("afterwards: made %t, %v", made, err)
		}
	}
}

// The command that issues an admin key works while a server runs, and on an empty database.
func TestIssueManagement(t *testing.T) {
	operator := newServer(t)
	issued, err := operator.IssueManagement(t.Context(), authz.AdminRequest())
	if err != nil {
		t.Fatal(err)
	}
	s := serverOn(t, operator.path)
	if _, err := s.Authenticate(issued.Token.Reveal()); err != nil {
		t.Error(err)
	}
	issued, err = operator.IssueManagement(t.Context(), authz.AdminRequest())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.publisher.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Authenticate(issued.Token.Reveal()); err != nil {
		t.Error(err)
	}
	if made, err := s.Bootstrap(t.Context(), func(jwks.Token) error { return nil }); err != nil || made {
		t.Errorf("a server that starts then makes another: %t, %v", made, err)
	}
}
