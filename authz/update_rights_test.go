package authz_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// A revoked key stays out of the set, whether the revocation or an update comes first.
func TestUpdateRacesRevocation(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	for i := range 20 {
		k := s.issue("acme", authz.IssueRequest{})
		var calls sync.WaitGroup
		calls.Go(func() { s.Revoke(t.Context(), "acme", k.ID) })
		fence := authz.KeyPatch{AllowedIPs: to([]string{fmt.Sprintf("192.0.2.%d", i)})}
		for _, p := range []authz.KeyPatch{{Enabled: to(false)}, {Enabled: to(true)}, fence} {
			calls.Go(func() {
				if _, err := s.UpdateKey(t.Context(), "acme", k.ID, p); err != nil && !errors.Is(err, authz.ErrNotActive) {
					t.Error(err)
				}
			})
		}
		calls.Wait()
		if left := s.attributes(k.KID); s.publishes("acme", k.KID) || !left.IsZero() {
			t.Fatal("the key came back")
		}
		if status := s.status(k.ID); status != store.Revoked {
			t.Fatalf("status %s", status)
		}
	}
}

// The policy counts as it is in the transaction, not when the call came.
func TestUpdateUnderTheNewPolicy(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	k := s.issue("acme", authz.IssueRequest{})
	s.store.Hook("UpdateKey", func(context.Context) error {
		s.policy(store.Policy{Scopes: offered("a", ""), MaxExpiresIn: 60})
		return nil
	})
	for field, p := range map[string]authz.KeyPatch{
		"scopes": {Scopes: to([]string{"b"})}, "expires_at": {ExpiresAt: to(s.Now().Add(time.Hour))}, "never_expires": {NeverExpires: true},
	} {
		p.Name = to("named")
		if _, err := s.update(k.ID, p); faults(t, err) != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if stored := must(s.Key(t.Context(), "acme", k.ID)); stored.Name != "" {
		t.Error("a refused change was stored")
	}
}

// A key whose rights end while its change waits makes no change.
func TestUpdateWithoutRights(t *testing.T) {
	s := newServer(t)
	must(s.Bootstrap(t.Context(), new(safe).keep))
	s.workspace("acme")
	k := s.issue("acme", authz.IssueRequest{})
	admin := must(s.Issue(t.Context(), authz.Home, authz.IssueRequest{Owner: "ops", Scopes: []string{authz.ScopeAdmin}}))
	ctx, done := s.AsKey(t.Context(), must(s.Authenticate(admin.Token.Reveal())))
	defer done()
	s.store.Hook("UpdateKey", func(context.Context) error {
		s.store.Heal()
		return second(s.UpdateKey(t.Context(), authz.Home, admin.ID, authz.KeyPatch{Enabled: to(false)}))
	})
	_, err := s.UpdateKey(ctx, "acme", k.ID, authz.KeyPatch{Enabled: to(false)})
	if err = authz.Ended(ctx, err); !errors.Is(err, authz.ErrUnauthenticated) || !s.publishes("acme", k.KID) {
		t.Errorf("got %v", err)
	}
}

// A page of a selection ends at MaxAtOnce keys, and the next continues after it.
func TestUpdateManyInPages(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.issue("acme", authz.IssueRequest{})
	s.exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1002)
		INSERT INTO keys (workspace, id, kid, owner, name, scopes, audience, claims, metadata, created_at, updated_at, version)
		SELECT workspace, randomblob(16), randomblob(32), owner, name, scopes, audience, claims, metadata, created_at, updated_at, version
		FROM keys, n WHERE workspace = 'acme'`)
	sel, seen := authz.Selection{Owner: "cust_1"}, make(map[uuid.UUID]bool)
	for _, want := range []int{authz.MaxAtOnce, 3} {
		keys, next, err := s.UpdateMany(t.Context(), "acme", sel, authz.KeyPatch{Name: to("n")}, true)
		if err != nil || len(keys) != want || (next == uuid.Nil) != (want == 3) {
			t.Fatalf("%d keys, next %s, %v", len(keys), next, err)
		}
		for _, k := range keys {
			seen[k.ID] = true
		}
		sel.After = next
	}
	if len(seen) != 1003 {
		t.Errorf("%d keys were seen", len(seen))
	}
}

// A change of many keys is charged for each key that changes, and can be continued when the budget allows.
func TestUpdateManySpends(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	for range 70 {
		s.issue("acme", authz.IssueRequest{})
	}
	ctx := authz.BySession(t.Context(), &store.Session{Workspace: "acme", Owner: "cust_1", Role: store.RoleOwner})
	update := func() (int, error) {
		keys, _, err := s.UpdateMany(ctx, "acme", authz.Selection{Owner: "cust_1"}, authz.KeyPatch{Enabled: to(false)}, false)
		return len(keys), err
	}
	spent := new(authz.BudgetError)
	first, err := update()
	if !errors.As(err, &spent) || first == 0 || first == 70 {
		t.Fatalf("%d keys changed, then %v", first, err)
	}
	s.clock.Advance(time.Hour)
	if rest, err := update(); err != nil || first+rest != 70 {
		t.Errorf("then %d, %v", rest, err)
	}
}

// The holder of a suspended key can revoke it, long after it was issued. Otherwise it could be resumed.
func TestRevokeASuspendedToken(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	k, other := s.issue("acme", authz.IssueRequest{}), s.issue("acme", authz.IssueRequest{})
	must(s.update(k.ID, authz.KeyPatch{Enabled: to(false)}))
	must(s.store.Compact(t.Context(), "acme", s.version("acme")))
	forged := jwks.Token(strings.Replace(k.Token.Reveal(), ".", ".A", 1))
	for _, token := range []jwks.Token{forged, other.Token, k.Token} {
		if _, err := s.RevokeToken(t.Context(), "acme", token); err != nil {
			t.Fatal(err)
		}
		want := store.Suspended
		if token == k.Token {
			want = store.Revoked
		}
		if got := s.status(k.ID); got != want {
			t.Errorf("the key is %s, want %s", got, want)
		}
	}
}

// A server whose clock is slow moves a key's date while another is about to remove the key: the key stays.
func TestUpdateRacesExpiry(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	k := s.issue("acme", authz.IssueRequest{ExpiresIn: seconds(1)})
	s.clock.Advance(time.Second)
	s.store.Hook("Retire", func(context.Context) error {
		s.store.Heal()
		s.clock.Advance(-time.Second)
		defer s.clock.Advance(time.Second)
		return second(s.update(k.ID, authz.KeyPatch{ExpiresAt: to(s.Now().Add(time.Hour))}))
	})
	if _, err := s.ReapDue(t.Context()); err != nil || !s.publishes("acme", k.KID) || s.status(k.ID) != store.Active {
		t.Errorf("%v; the key is %s, published: %t", err, s.status(k.ID), s.publishes("acme", k.KID))
	}
	s.clock.Advance(time.Hour)
	must(s.ReapDue(t.Context()))
	if _, err := s.update(k.ID, authz.KeyPatch{NeverExpires: true}); !errors.Is(err, authz.ErrNotActive) || s.publishes("acme", k.KID) {
		t.Errorf("after the new date: %v", err)
	}
}
