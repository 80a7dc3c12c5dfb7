package authz_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

const (
	cacheAge = 5 * time.Second
	// usableAfter is the age at which a JWK is used.
	usableAfter = cacheAge + 2*time.Second
)

// exchanging turns the exchange of acme on, and keeps signing processes until the test ends or the returned function is called.
func (s *server) exchanging(x store.Exchange) (stop func()) {
	s.t.Helper()
	x.Enabled, x.MaxCacheAge = true, int64(cacheAge/time.Second)
	s.setExchange(x)
	ctx, cancel := context.WithCancel(s.t.Context())
	var work sync.WaitGroup
	work.Go(func() { s.RunExchange(ctx, authz.ShiftOptions{Every: 5 * time.Millisecond}) })
	stop = sync.OnceFunc(func() { cancel(); work.Wait() })
	s.t.Cleanup(stop)
	return stop
}

func (s *server) setExchange(x store.Exchange) {
	s.t.Helper()
	_, err := s.UpdateWorkspace(s.t.Context(), "acme", func(w *store.Workspace) error { w.Policy.Exchange = x; return nil })
	testkit.Check(s.t, err)
}

func (s *server) endless(workspace string) {
	s.t.Helper()
	_, err := s.UpdateWorkspace(s.t.Context(), workspace, func(w *store.Workspace) error { w.AllowNeverExpires = true; return nil })
	testkit.Check(s.t, err)
}

// usable waits until a JWK is published, and for the time until it is used.
func (s *server) usable(key authz.Issued) {
	s.t.Helper()
	testkit.Eventually(s.t, "a JWK is published", func() bool {
		var unready *authz.NotReadyError
		_, err := s.Exchange(s.t.Context(), "acme", authz.ExchangeRequest{Key: key.Token})
		return errors.As(err, &unready) && unready.After == usableAfter
	})
	s.clock.Advance(usableAfter)
}

func (s *server) exchange(r authz.ExchangeRequest) authz.Exchanged {
	s.t.Helper()
	x, err := s.Exchange(s.t.Context(), "acme", r)
	testkit.Check(s.t, err)
	return x
}

// claims verifies an access token by the published set alone.
func (s *server) claims(x authz.Exchanged) *jwks.Claims {
	s.t.Helper()
	v := jwks.Verifier{
		Keys: s.set("acme"), Issuer: func(iss string) bool { return iss == s.Issuer("acme") }, AnyAudience: true, Now: s.clock.Now,
	}
	claims, err := v.Verify(x.Token.Reveal())
	testkit.Check(s.t, err)
	return claims
}

func TestExchange(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	key := s.issue("acme", authz.IssueRequest{Scopes: []string{"read", "write"}, Claims: []byte(`{"tier":"gold"}`)})
	if _, err := s.Exchange(t.Context(), "acme", authz.ExchangeRequest{Key: key.Token}); !errors.Is(err, authz.ErrNoExchange) {
		t.Errorf("while it is off: %v", err)
	}
	s.exchanging(store.Exchange{})
	s.usable(key)
	x := s.exchange(authz.ExchangeRequest{Key: key.Token})
	got := s.claims(x)
	if got.Subject != key.Owner || got.ClientID != key.Owner || got.KeyID != key.ID.String() || got.KeyKID != key.KID ||
		got.Scope != "read write" || !slices.Equal(got.Audience, key.Audience) || string(got.Extra) != `{"tier":"gold"}` || got.KeyImported {
		t.Errorf("claims: %+v", got)
	}
	if x.ExpiresIn != authz.DefaultTokenLife || got.Expiry != s.Now().Unix()+x.ExpiresIn || got.ID == key.ID.String() {
		t.Errorf("expires in %d, at %d; jti %s", x.ExpiresIn, got.Expiry, got.ID)
	}
	less := s.claims(s.exchange(authz.ExchangeRequest{
		Key: key.Token, Scopes: []string{"write", "write"}, Audience: []string{"batch"}, ExpiresIn: 60,
		ClientID: []string{"nobody", strings.ToUpper(key.ID.String())},
	}))
	if less.Scope != "write" || !slices.Equal(less.Audience, []string{"batch"}) || less.Expiry != s.Now().Unix()+60 {
		t.Errorf("narrowed: %+v", less)
	}
	// An access token is not exchanged again.
	s.refused(authz.ExchangeRequest{Key: x.Token}, authz.PartKey)
}

// refused checks that an exchange is refused for a part.
func (s *server) refused(r authz.ExchangeRequest, part string) {
	s.t.Helper()
	var refused *authz.ExchangeError
	if _, err := s.Exchange(s.t.Context(), "acme", r); !errors.As(err, &refused) || refused.Part != part {
		s.t.Errorf("got %v, want a refusal for the %s", err, part)
	}
}

func TestExchangeOnlyNarrows(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.workspace("other")
	key := s.issue("acme", authz.IssueRequest{Scopes: []string{"read"}, Audience: []string{"web"}})
	s.exchanging(store.Exchange{MaxExpiresIn: 300})
	s.usable(key)
	ask := func(change func(*authz.ExchangeRequest)) authz.ExchangeRequest {
		r := authz.ExchangeRequest{Key: key.Token}
		change(&r)
		return r
	}
	for part, requests := range map[string][]authz.ExchangeRequest{
		authz.PartScope: {
			ask(func(r *authz.ExchangeRequest) { r.Scopes = []string{"read", "write"} }),
			ask(func(r *authz.ExchangeRequest) { r.Scopes = []string{""} }),
		},
		authz.PartAudience: {ask(func(r *authz.ExchangeRequest) { r.Audience = []string{"batch"} })},
		authz.PartLifetime: {
			ask(func(r *authz.ExchangeRequest) { r.ExpiresIn = 301 }),
			ask(func(r *authz.ExchangeRequest) { r.ExpiresIn = 59 }),
			ask(func(r *authz.ExchangeRequest) { r.ExpiresIn = -1 }),
		},
		authz.PartKey: {
			ask(func(r *authz.ExchangeRequest) { r.ClientID = []string{"cust_2"} }),
			ask(func(r *authz.ExchangeRequest) { r.ClientID = []string{} }),
			ask(func(r *authz.ExchangeRequest) { r.Key = s.issue("other", authz.IssueRequest{}).Token }),
			ask(func(r *authz.ExchangeRequest) { r.Key = key.Token[:len(key.Token)-8] + "AAAAAAAA" }),
			ask(func(r *authz.ExchangeRequest) { r.Key = "x" }),
			ask(func(r *authz.ExchangeRequest) { r.Key = "" }),
		},
		authz.PartActor: {ask(func(r *authz.ExchangeRequest) { r.Actor = "x" })},
	} {
		for _, r := range requests {
			s.refused(r, part)
		}
	}
	if x := s.exchange(authz.ExchangeRequest{Key: key.Token}); x.ExpiresIn != 300 {
		t.Errorf("expires in %d seconds", x.ExpiresIn)
	}
}

// An access token ends with its key, and with the key of its actor.
func TestExchangeEndsWithItsKeys(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.endless("acme")
	long := s.issue("acme", authz.IssueRequest{NeverExpires: true})
	s.exchanging(store.Exchange{})
	s.usable(long)
	if claims := s.claims(s.exchange(authz.ExchangeRequest{Key: long.Token})); claims.Expiry != s.Now().Unix()+600 {
		t.Errorf("of a key that never expires, it expires at %d", claims.Expiry)
	}
	short := s.issue("acme", authz.IssueRequest{Owner: "agent", ExpiresIn: new(int64(90))})
	if claims := s.claims(s.exchange(authz.ExchangeRequest{Key: short.Token})); claims.Expiry != short.ExpiresAt.Unix() {
		t.Errorf("expires at %d, its key at %d", claims.Expiry, short.ExpiresAt.Unix())
	}
	claims := s.claims(s.exchange(authz.ExchangeRequest{Key: long.Token, Actor: short.Token}))
	if want := `{"act":{"key_id":"` + short.ID.String() + `","sub":"agent"}}`; string(claims.Extra) != want ||
		claims.Expiry != short.ExpiresAt.Unix() || claims.Subject != long.Owner {
		t.Errorf("with an actor: %s, until %d", claims.Extra, claims.Expiry)
	}
	s.clock.Advance(90 * time.Second)
	s.refused(authz.ExchangeRequest{Key: short.Token}, authz.PartKey)
	s.refused(authz.ExchangeRequest{Key: long.Token, Actor: short.Token}, authz.PartActor)
}

// Each key of an exchange must be allowed at the address of the request.
func TestExchangeFromAnAddress(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	key := s.issue("acme", authz.IssueRequest{})
	held := s.issue("acme", authz.IssueRequest{Owner: "agent", AllowedIPs: []string{"192.0.2.0/24"}})
	s.exchanging(store.Exchange{})
	s.usable(key)
	inside, outside := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")
	s.refused(authz.ExchangeRequest{Key: held.Token, From: outside}, authz.PartKey)
	s.refused(authz.ExchangeRequest{Key: key.Token, Actor: held.Token, From: outside}, authz.PartActor)
	s.storeUses()
	if used := s.lastUsed(held.Key); !used.IsZero() {
		t.Errorf("refused exchanges are a use at %s", used)
	}
	s.exchange(authz.ExchangeRequest{Key: key.Token, Actor: held.Token, From: inside})
}

// Custom claims of an older key that would mean something in an access token, also to libraries that ignore case, are left out.
func TestExchangeOfAnOlderKey(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	private, id := testkit.PrivateKey(), must(uuid.NewV7())
	pub := must(jwks.FromPublicKey(&private.PublicKey))
	record := store.Key{
		Workspace: "acme", ID: id, Owner: "cust_1", Audience: []string{"web"}, Claims: []byte(`{}`),
		CreatedAt: s.Now(), UpdatedAt: s.Now(), ExpiresAt: s.Now().Add(time.Hour),
	}
	key := authz.Issued{Key: must(s.store.Issue(t.Context(), record, pub, nil))}
	key.Token = jwks.Token(testkit.Sign(private, testkit.Header(pub.KID().String()), fmt.Sprintf(
		`{"iss":%q,"sub":"cust_1","aud":["web"],"exp":%d,"iat":%d,"jti":%q,"Act":{"sub":"a"},"act":{"sub":"a"},"Key_Kid":"k","team":1}`,
		s.Issuer("acme"), record.ExpiresAt.Unix(), s.Now().Unix(), id)))
	s.exchanging(store.Exchange{})
	s.usable(key)
	if claims := s.claims(s.exchange(authz.ExchangeRequest{Key: key.Token})); string(claims.Extra) != `{"team":1}` {
		t.Errorf("custom claims: %s", claims.Extra)
	}
}

// Changes of a key, also by another server, hold for the next exchange.
func TestExchangeStopsAtOnce(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	key := s.issue("acme", authz.IssueRequest{Scopes: []string{"read", "write"}})
	s.exchanging(store.Exchange{})
	s.usable(key)
	other := serverOn(t, s.path)
	ask := authz.ExchangeRequest{Key: key.Token, From: netip.MustParseAddr("192.0.2.1")}
	update := func(change func(*store.Key)) {
		_, err := other.store.UpdateKey(t.Context(), "acme", key.ID, func(_ *store.Workspace, k *store.Key) error {
			change(k)
			k.UpdatedAt = s.Now()
			return nil
		})
		testkit.Check(t, err)
	}
	update(func(k *store.Key) { k.Scopes = []string{"read"} })
	if x := s.exchange(ask); !slices.Equal(x.Scopes, []string{"read"}) {
		t.Errorf("narrowed: %v", x.Scopes)
	}
	update(func(k *store.Key) { k.AllowedIPs = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	s.refused(ask, authz.PartKey)
	update(func(k *store.Key) { k.AllowedIPs, k.SuspendedAt = nil, s.Now() })
	s.refused(ask, authz.PartKey)
	update(func(k *store.Key) { k.SuspendedAt = time.Time{} })
	s.exchange(ask)
	if _, err := other.Revoke(t.Context(), "acme", key.ID); err != nil {
		t.Fatal(err)
	}
	s.refused(ask, authz.PartKey)

	fresh := other.issue("acme", authz.IssueRequest{}) // which this server has not read yet
	s.exchange(authz.ExchangeRequest{Key: fresh.Token})
	s.setExchange(store.Exchange{})
	if _, err := s.Exchange(t.Context(), "acme", authz.ExchangeRequest{Key: fresh.Token}); !errors.Is(err, authz.ErrNoExchange) {
		t.Errorf("after it is turned off: %v", err)
	}
}

func TestExchangeLimit(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	key, another := s.issue("acme", authz.IssueRequest{}), s.issue("acme", authz.IssueRequest{})
	s.exchanging(store.Exchange{PerMinute: 3})
	s.usable(another)
	s.clock.Advance(time.Minute)
	var busy *authz.ExchangeBusyError
	for range 3 {
		s.exchange(authz.ExchangeRequest{Key: key.Token})
	}
	_, err := s.Exchange(t.Context(), "acme", authz.ExchangeRequest{Key: key.Token})
	if !errors.As(err, &busy) || !busy.Limit || busy.After != 20*time.Second {
		t.Errorf("got %v", err)
	}
	s.exchange(authz.ExchangeRequest{Key: another.Token})
	s.clock.Advance(20 * time.Second)
	s.exchange(authz.ExchangeRequest{Key: key.Token})
}

func TestNoExchangeOfManagementKeys(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	for _, x := range []struct {
		workspace string
		exchange  store.Exchange
		field     string
	}{
		{"acme", store.Exchange{MaxExpiresIn: 59}, "policy.exchange.max_expires_in"},
		{"acme", store.Exchange{MaxExpiresIn: 3601}, "policy.exchange.max_expires_in"},
		{"acme", store.Exchange{MaxCacheAge: 4}, "policy.exchange.max_cache_age"},
		{"acme", store.Exchange{PerMinute: -1}, "policy.exchange.per_minute"},
	} {
		_, err := s.UpdateWorkspace(t.Context(), x.workspace, func(w *store.Workspace) error { w.Policy.Exchange = x.exchange; return nil })
		var bad authz.InputError
		if !errors.As(err, &bad) || bad[0].Field != x.field {
			t.Errorf("%+v: got %v", x, err)
		}
	}
	_, err := s.Bootstrap(t.Context(), func(jwks.Token) error { return nil })
	testkit.Check(t, err)
	_, err = s.UpdateWorkspace(t.Context(), authz.Home, func(w *store.Workspace) error { w.Policy.Exchange.Enabled = true; return nil })
	var bad authz.InputError
	if !errors.As(err, &bad) || bad[0].Field != "policy.exchange.enabled" {
		t.Errorf("for management keys: %v", err)
	}
}
