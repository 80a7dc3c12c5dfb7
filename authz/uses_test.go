package authz_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// storeUses stores uses as a server does when it stops.
func (s *server) storeUses() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	cancel()
	s.RunUses(ctx, time.Hour, nil)
}

// reportedForADay reports for a day that no key was used.
func (s *server) reportedForADay() {
	s.t.Helper()
	for range 3 {
		s.clock.Advance(aDay / 2)
		s.report("acme")
	}
}

func (s *server) lastUsed(k store.Key) time.Time {
	s.t.Helper()
	got, err := s.Key(s.t.Context(), "acme", k.ID)
	testkit.Check(s.t, err)
	return got.LastUsedAt
}

// A key that is only exchanged or introspected is in use, though no gateway sees it.
func TestExchangedKeysAreUsed(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.endless("acme")
	issue := func() authz.Issued { return s.issue("acme", authz.IssueRequest{NeverExpires: true}) }
	exchanged, actor, introspected, parent, refused, idle := issue(), issue(), issue(), issue(), issue(), issue()
	s.reportedForADay()
	s.exchanging(store.Exchange{})
	s.usable(exchanged)
	s.exchange(authz.ExchangeRequest{Key: exchanged.Token, Actor: actor.Token})
	s.refused(authz.ExchangeRequest{Key: refused.Token, Scopes: []string{"more"}}, authz.PartScope)
	for _, token := range []jwks.Token{introspected.Token, jwks.Token(s.exchanged("acme", parent.Key))} {
		if found, err := s.Introspect(t.Context(), "acme", token); err != nil || found == nil {
			t.Fatalf("%v, %v", found, err)
		}
	}
	// Uses that are not stored yet count, too.
	want := []uuid.UUID{idle.ID, refused.ID}
	if ids, err := s.unused(authz.Selection{UnusedFor: aDay}); err != nil || !slices.Equal(ids, want) {
		t.Errorf("unused: %v, want %v; %v", ids, want, err)
	}
	for i, k := range []authz.Issued{exchanged, actor, introspected, parent} {
		if got := s.lastUsed(k.Key); !got.Equal(s.Now()) {
			t.Errorf("key %d was last used at %s", i, got)
		}
	}
}

// A key that is exchanged while others of the same list are revoked is not revoked as unused.
func TestAKeyIsExchangedDuringRevocation(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.endless("acme")
	late := s.issue("acme", authz.IssueRequest{NeverExpires: true})
	idle := s.issue("acme", authz.IssueRequest{NeverExpires: true})
	s.reportedForADay()
	s.exchanging(store.Exchange{})
	s.usable(late)
	s.store.Hook("Revoke", func(context.Context) error {
		s.exchange(authz.ExchangeRequest{Key: late.Token})
		return nil
	})
	revoked, _, err := s.RevokeMany(t.Context(), "acme", authz.Selection{UnusedFor: aDay}, false)
	if err != nil || len(revoked) != 1 || revoked[0].ID != idle.ID {
		t.Errorf("%v, %v", revoked, err)
	}
}

// An exchange itself writes nothing. A failed write is repeated.
func TestUsesAreStoredTogether(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	key := s.issue("acme", authz.IssueRequest{})
	s.exchanging(store.Exchange{})
	s.usable(key)
	for range 3 {
		s.clock.Advance(time.Second)
		s.exchange(authz.ExchangeRequest{Key: key.Token})
	}
	if n := s.store.Called("RecordUsage"); n != 0 {
		t.Errorf("%d writes", n)
	}
	used := s.Now()
	s.store.Fail("RecordUsage")
	s.storeUses()
	s.store.Heal()
	s.clock.Advance(time.Minute)
	s.storeUses()
	s.storeUses()
	if n := s.store.Called("RecordUsage"); n != 2 {
		t.Errorf("%d writes", n)
	}
	if got := s.lastUsed(key.Key); !got.Equal(used) {
		t.Errorf("last used at %s, want %s", got, used)
	}
	if w, err := s.Workspace(t.Context(), "acme"); err != nil || w.Usage != (store.Reported{}) {
		t.Errorf("the use of other keys counts as known: %+v, %v", w.Usage, err)
	}
	var unknown *authz.UsageError
	if _, err := s.unused(authz.Selection{UnusedFor: aDay}); !errors.As(err, &unknown) {
		t.Errorf("got %v", err)
	}
}

// Uses are stored while the server runs; a use during the write is stored by the next one.
func TestRunUses(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	key := s.issue("acme", authz.IssueRequest{})
	introspect := func() {
		if found, err := s.Introspect(t.Context(), "acme", key.Token); err != nil || found == nil {
			t.Errorf("%v, %v", found, err)
		}
	}
	introspect()
	var once sync.Once
	s.store.Hook("RecordUsage", func(context.Context) error {
		once.Do(func() {
			s.clock.Advance(time.Minute)
			introspect()
		})
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() { s.RunUses(ctx, time.Millisecond, nil) })
	defer work.Wait()
	defer cancel()
	testkit.Eventually(t, "the second use is stored", func() bool { return s.lastUsed(key.Key).Equal(s.Now()) })
}

// A key is in use while a key under it is, which would be revoked with it.
func TestParentsOfUsedKeysAreUsed(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.endless("acme")
	var parents, children []authz.Issued
	for range 3 {
		parent := s.issue("acme", authz.IssueRequest{NeverExpires: true})
		child := s.issue("acme", authz.IssueRequest{Owner: parent.Owner, NeverExpires: true, Parent: parent.ID})
		parents, children = append(parents, parent), append(children, child)
	}
	idle := s.issue("acme", authz.IssueRequest{NeverExpires: true})
	s.reportedForADay()
	use := func(k authz.Issued) {
		t.Helper()
		if found, err := s.Introspect(t.Context(), "acme", k.Token); err != nil || found == nil {
			t.Fatalf("%v, %v", found, err)
		}
	}
	use(children[0])
	s.issue("acme", authz.IssueRequest{Owner: parents[1].Owner, NeverExpires: true, Parent: parents[1].ID})
	want := []uuid.UUID{idle.ID, children[2].ID, parents[2].ID, children[1].ID}
	ids := []uuid.UUID{idle.ID, parents[0].ID, parents[1].ID, parents[2].ID, children[0].ID, children[1].ID, children[2].ID}
	for _, sel := range []authz.Selection{{UnusedFor: aDay}, {UnusedFor: aDay, IDs: ids}} {
		if got, err := s.unused(sel); err != nil || !slices.Equal(got, want) {
			t.Errorf("unused: %v, want %v; %v", got, want, err)
		}
	}
	// The last child is used while the first key of the list is revoked.
	s.store.Hook("Revoke", func(context.Context) error {
		use(children[2])
		return nil
	})
	revoked, _, err := s.RevokeMany(t.Context(), "acme", authz.Selection{UnusedFor: aDay}, false)
	if err != nil || len(revoked) != 2 || revoked[0].ID != idle.ID || revoked[1].ID != children[1].ID {
		t.Errorf("%v, %v", revoked, err)
	}
}
