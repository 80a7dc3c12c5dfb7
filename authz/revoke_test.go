package authz_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/storetest"
)

func TestRevoke(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.workspace("other")
	issued, kept := s.issue("acme", authz.IssueRequest{}), s.issue("acme", authz.IssueRequest{})
	for _, test := range []struct {
		name, workspace string
		id              uuid.UUID
	}{
		{"unknown", "acme", uuid.Must(uuid.NewV7())},
		{"no id", "acme", uuid.Nil},
		{"another workspace's", "other", issued.ID},
		{"unknown workspace", "nobody", issued.ID},
	} {
		if _, err := s.Revoke(t.Context(), test.workspace, test.id); !errors.Is(err, authz.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", test.name, err)
		}
	}
	if !s.publishes("acme", issued.KID) || s.version("acme") != 3 || s.version("other") != 1 {
		t.Fatal("something was revoked")
	}

	s.clock.Advance(time.Minute)
	first, err := s.Revoke(t.Context(), "acme", issued.ID)
	if err != nil || s.publishes("acme", issued.KID) || !s.publishes("acme", kept.KID) {
		t.Fatalf("%v, still published: %t", err, s.publishes("acme", issued.KID))
	}
	if first.RevokedVersion != 4 || !first.RevokedAt.Equal(s.Now()) || s.set("acme").Version() != 4 {
		t.Errorf("revoked at %s by version %d", first.RevokedAt, first.RevokedVersion)
	}
	s.clock.Advance(time.Minute)
	again, err := s.Revoke(t.Context(), "acme", issued.ID)
	if err != nil || !again.RevokedAt.Equal(first.RevokedAt) || again.RevokedVersion != 4 || s.version("acme") != 4 {
		t.Errorf("again: %+v, %v", again, err)
	}
}

// Even after a workspace's last key is revoked, its set has the tombstone, since gateways treat an empty set as
// a failure.
func TestRevokeTheLastKey(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	if _, err := s.Revoke(t.Context(), "acme", s.issue("acme", authz.IssueRequest{}).ID); err != nil {
		t.Fatal(err)
	}
	if n := s.set("acme").Len(); n != 1 {
		t.Errorf("%d keys are left, want the tombstone", n)
	}
}

// A revocation succeeds only after the key has left the set, even if changes of other servers must be read
// first. If reading them fails, so does the revocation.
func TestRevokeBehindOtherServers(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	issued := s.issue("acme", authz.IssueRequest{})
	elsewhere := serverOn(t, s.path)
	theirs := elsewhere.issue("acme", authz.IssueRequest{})
	s.store.Fail("Changes")
	if _, err := s.Revoke(t.Context(), "acme", issued.ID); !errors.Is(err, storetest.ErrBroken) {
		t.Errorf("got %v, want an error: the key is published", err)
	}
	s.store.Heal()
	if _, err := s.Revoke(t.Context(), "acme", issued.ID); err != nil || s.publishes("acme", issued.KID) || !s.publishes("acme", theirs.KID) {
		t.Errorf("again: %v", err)
	}
}

// If the store lags, like a replica, a missing row does not prove that a key does not exist.
func TestRevokeOnAStoreThatLags(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	issued := s.issue("acme", authz.IssueRequest{})
	serverOn(t, s.path).issue("acme", authz.IssueRequest{}) // so that the log must be read
	s.store.Lag(s.set("acme").Version(), storetest.KeysOf(t, s.set("acme")))
	if _, err := s.Revoke(t.Context(), "acme", issued.ID); err == nil && s.publishes("acme", issued.KID) {
		t.Error("a revocation was answered while the key is published")
	}
	s.store.Heal()
	if _, err := s.Revoke(t.Context(), "acme", issued.ID); err != nil || s.publishes("acme", issued.KID) {
		t.Errorf("again: %v", err)
	}
}

// A revocation does not wait forever for a read that hangs.
func TestRevokeBehindAReaderThatHangs(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	issued := s.issue("acme", authz.IssueRequest{})
	serverOn(t, s.path).issue("acme", authz.IssueRequest{})
	reading, release := make(chan struct{}), make(chan struct{})
	s.store.Hook("Changes", func(context.Context) error {
		close(reading)
		<-release
		return storetest.ErrBroken
	})
	loaded := make(chan error)
	go func() { loaded <- s.publisher.Load(context.Background()) }()
	<-reading
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.publisher.Reach(ctx, "acme", 3); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
	if err := s.publisher.Reach(ctx, "acme", issued.Version); err != nil {
		t.Errorf("what is published already is waited for: %v", err)
	}
	close(release)
	if err := <-loaded; !errors.Is(err, storetest.ErrBroken) {
		t.Error(err)
	}
}

func TestRevokeClientLeaves(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	issued := s.issue("acme", authz.IssueRequest{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Revoke(ctx, "acme", issued.ID); err != nil || s.publishes("acme", issued.KID) {
		t.Errorf("%v: a revocation that has come in is carried out", err)
	}
}

func TestRevokeToken(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.workspace("other")
	foreign := s.issue("other", authz.IssueRequest{}).Token.Reveal()
	for _, test := range []struct {
		name, workspace string
		token           func(good string) string
		revoked         bool
		want            error
	}{
		{"good", "acme", func(good string) string { return good }, true, nil},
		{"expired but authentic", "acme", func(good string) string { s.clock.Advance(time.Hour); return good }, true, nil},
		{"signature altered", "acme", func(good string) string { return alter(good, 2) }, false, nil},
		{"payload altered", "acme", func(good string) string { return alter(good, 1) }, false, nil},
		{"kid altered", "acme", func(good string) string { return alter(good, 0) }, false, nil},
		{"cut", "acme", func(good string) string { return good[:len(good)-1] }, false, nil},
		{"with a line end", "acme", func(good string) string { return good + "\n" }, false, nil},
		{"another workspace's", "acme", func(string) string { return foreign }, false, nil},
		{"at another workspace", "other", func(good string) string { return good }, false, nil},
		{"junk", "acme", func(string) string { return "junk" }, false, nil},
		{"empty", "acme", func(string) string { return "" }, false, nil},
		{"at no workspace", "nobody", func(good string) string { return good }, false, authz.ErrNotFound},
		{"junk at no workspace", "nobody", func(string) string { return "junk" }, false, authz.ErrNotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			issued := s.issue("acme", authz.IssueRequest{ExpiresIn: seconds(60)})
			revoked, err := s.RevokeToken(t.Context(), test.workspace, jwks.Token(test.token(issued.Token.Reveal())))
			if !errors.Is(err, test.want) || revoked != test.revoked {
				t.Errorf("got %t and %v, want %t and %v", revoked, err, test.revoked, test.want)
			}
			if s.publishes("acme", issued.KID) == test.revoked {
				t.Errorf("published: %t", !test.revoked)
			}
			if test.revoked { // again, no known key has this token
				if _, err := s.RevokeToken(t.Context(), test.workspace, issued.Token); err != nil {
					t.Errorf("again: %v", err)
				}
			}
		})
	}
	if s.set("other").Len() != 2 || s.version("other") != 2 {
		t.Error("the other workspace's key was touched")
	}
}

// alter changes one character in the middle of a part of the token. A kid stays well-formed.
func alter(token string, part int) string {
	parts := strings.Split(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[part])
	if err != nil {
		panic(err)
	}
	at, to := len(raw)/2, byte('A') // in a kid, another letter of base64url
	if raw[at] == to {
		to = 'B'
	}
	raw[at] = to
	parts[part] = base64.RawURLEncoding.EncodeToString(raw)
	return strings.Join(parts, ".")
}

// The token can be sent to a server that does not know the key yet, or not even its workspace. Even that server
// must not report success before the token is invalid.
func TestRevokeTokenOfAnotherServersKey(t *testing.T) {
	here := newServer(t)
	here.workspace("acme")
	elsewhere := serverOn(t, here.path)
	elsewhere.workspace("new")
	for _, workspace := range []string{"acme", "new"} {
		issued := elsewhere.issue(workspace, authz.IssueRequest{})
		if _, err := here.RevokeToken(t.Context(), workspace, issued.Token); err != nil {
			t.Fatal(err)
		}
		key, err := elsewhere.Key(t.Context(), workspace, issued.ID)
		if err != nil || key.RevokedAt.IsZero() || here.publishes(workspace, issued.KID) {
			t.Errorf("%s: revoked at %s, %v", workspace, key.RevokedAt, err)
		}
	}
	// If the store can't answer, the call fails.
	issued := elsewhere.issue("acme", authz.IssueRequest{})
	here.store.Fail("KeyByKID")
	if _, err := here.RevokeToken(t.Context(), "acme", issued.Token); !errors.Is(err, storetest.ErrBroken) {
		t.Errorf("got %v, want the store's error", err)
	}
}

func TestRevokeTokenStoreFails(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	issued := s.issue("acme", authz.IssueRequest{})
	s.store.Fail("Revoke")
	if _, err := s.RevokeToken(t.Context(), "acme", issued.Token); !errors.Is(err, storetest.ErrBroken) {
		t.Errorf("got %v, want the store's error", err)
	}
	if !s.publishes("acme", issued.KID) {
		t.Error("gone from the set and not from the store")
	}
}

// If the standby has not confirmed a revocation, the key is no longer in the set, but a failover can undo the
// revocation. A further call must repeat it before it succeeds.
func TestRevokeTokenConfirmsWhatWasNotAcknowledged(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	token, foreign := s.issue("acme", authz.IssueRequest{}).Token, s.issue("acme", authz.IssueRequest{}).Token
	s.store.HookAfter("Revoke", func() error { return storetest.ErrBroken })
	for range 3 {
		if _, err := s.RevokeToken(t.Context(), "acme", token); !errors.Is(err, storetest.ErrBroken) {
			t.Errorf("got %v, want the store's error for as long as nothing is confirmed", err)
		}
		if err := s.publisher.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if s.set("acme").Len() != 2 {
		t.Fatal("the key is still published")
	}
	s.store.Heal()
	before := s.store.Called("Revoke")
	if _, err := s.RevokeToken(t.Context(), "acme", token); err != nil || s.store.Called("Revoke") != before+1 {
		t.Errorf("%v; the store was asked %d times", err, s.store.Called("Revoke")-before)
	}
	// A token that no stored key can have signed costs only one lookup.
	other := newServer(t)
	other.workspace("acme")
	if _, err := other.RevokeToken(t.Context(), "acme", foreign); err != nil || other.store.Called("Revoke") != 0 ||
		other.store.Called("KeyByKID") != 1 {
		t.Errorf("an unknown kid: %v", err)
	}
}

// After a fault, a key is stored but not in the set. A caller that knows only its kid can't revoke it, and its
// token is not reported as void.
func TestRevokeTokenOfAKeyWhoseJWKIsLost(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	issued := s.issue("acme", authz.IssueRequest{})
	s.exec(`DELETE FROM jwks WHERE kid IN (SELECT kid FROM keys)`)
	if err := s.publisher.Check(t.Context(), "acme"); !errors.Is(err, publish.ErrDiverged) {
		t.Fatal(err)
	}
	if _, err := s.RevokeToken(t.Context(), "acme", jwks.Token(alter(issued.Token.Reveal(), 2))); err == nil {
		t.Error("the token is called void")
	}
	if key, err := s.Key(t.Context(), "acme", issued.ID); err != nil || !key.RevokedAt.IsZero() {
		t.Errorf("revoked at %v, %v", key.RevokedAt, err)
	}
}

// An expired key can be revoked only with its token, as long as the log has the JWK. Its kid is public, so a
// forged token with that kid changes nothing and is not recorded.
func TestRevokeTokenOfAKeyThatHasExpired(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	issued := s.issue("acme", authz.IssueRequest{ExpiresIn: seconds(60)})
	s.clock.Advance(time.Hour)
	if _, err := s.ReapDue(t.Context()); err != nil || s.publishes("acme", issued.KID) {
		t.Fatal(err)
	}
	status := func() store.Status {
		key, err := s.Key(t.Context(), "acme", issued.ID)
		if err != nil {
			t.Fatal(err)
		}
		return key.Status(s.Now())
	}
	trail := func() int {
		entries, _, err := s.Audit(t.Context(), "acme", store.AuditFilter{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := trail()
	for part := range 3 { // of the header, change only the middle of its kid
		if _, err := s.RevokeToken(t.Context(), "acme", jwks.Token(alter(issued.Token.Reveal(), part))); err != nil {
			t.Error(err)
		}
	}
	if status() != store.Expired || trail() != before || s.store.Called("Revoke") != 0 {
		t.Fatalf("a forgery made it %s and wrote %d entries", status(), trail()-before)
	}
	if _, err := s.RevokeToken(t.Context(), "acme", issued.Token); err != nil || status() != store.Revoked {
		t.Errorf("its holder's token: %s, %v", status(), err)
	}
}
