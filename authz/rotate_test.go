package authz_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

func grace(d time.Duration) authz.RotateRequest { return authz.RotateRequest{Grace: &d} }

func (s *server) rotate(id uuid.UUID, r authz.RotateRequest) authz.Issued {
	s.t.Helper()
	issued, err := s.Rotate(s.t.Context(), "acme", id, r)
	if err != nil {
		s.t.Fatal(err)
	}
	return issued
}

func (s *server) status(id uuid.UUID) store.Status {
	s.t.Helper()
	key, err := s.Key(s.t.Context(), "acme", id)
	if err != nil {
		s.t.Fatal(err)
	}
	return key.Status(s.Now())
}

func TestRotateSaysTheSame(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	old := s.issue("acme", authz.IssueRequest{
		Owner: "cust_7", Name: "CI", Scopes: []string{"b", "a"}, Audience: []string{"web"}, ExpiresIn: seconds(3600),
		Claims: []byte(`{"plan":"gold"}`), Metadata: []byte(`{"team":7}`),
	})
	s.clock.Advance(time.Minute)
	successor := s.rotate(old.ID, grace(time.Hour))
	if successor.Owner != "cust_7" || successor.Name != "CI" || !slices.Equal(successor.Scopes, old.Scopes) ||
		!slices.Equal(successor.Audience, old.Audience) || string(successor.Claims) != string(old.Claims) ||
		string(successor.Metadata) != string(old.Metadata) || successor.RotatedFrom != old.ID {
		t.Errorf("the successor is %+v", successor.Key)
	}
	if got := successor.ExpiresAt.Unix() - successor.CreatedAt.Unix(); got != 3600 {
		t.Errorf("it lives for %d s", got)
	}
	if successor.Version != s.version("acme") || successor.Version != old.Version+1 {
		t.Errorf("version %d, after %d", successor.Version, old.Version)
	}
	kept, err := s.Key(t.Context(), "acme", old.ID)
	if err != nil || kept.RotatedTo != successor.ID {
		t.Errorf("the old key is %+v, %v", kept, err)
	}
	// The key's own lifetime ends before its grace: 59 min of it are left.
	if !kept.GraceEndsAt.Equal(kept.ExpiresAt) {
		t.Errorf("the grace ends at %s, the key at %s", kept.GraceEndsAt, kept.ExpiresAt)
	}
	for _, key := range []store.Key{old.Key, successor.Key} {
		if !s.publishes("acme", key.KID) {
			t.Errorf("%s is not published", key.ID)
		}
	}
	verifier := jwks.Verifier{Keys: s.set("acme"), Now: s.clock.Now, AnyAudience: true, Issuer: func(string) bool { return true }}
	for _, token := range []jwks.Token{old.Token, successor.Token} {
		if claims, err := verifier.Verify(token.Reveal()); err != nil || claims.Subject != "cust_7" {
			t.Error(claims, err)
		}
	}
}

func TestRotateStates(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(*server, uuid.UUID)
		want    error
	}{
		{"an active key", func(*server, uuid.UUID) {}, nil},
		{"a rotated one", func(s *server, id uuid.UUID) { s.rotate(id, grace(time.Minute)) }, authz.ErrNotActive},
		{"a revoked one", func(s *server, id uuid.UUID) { _, _ = s.Revoke(s.t.Context(), "acme", id) }, authz.ErrNotActive},
		{"an expired one", func(s *server, _ uuid.UUID) { s.clock.Advance(time.Hour) }, authz.ErrNotActive},
		{"one whose rotation was undone", func(s *server, id uuid.UUID) {
			s.rotate(id, grace(time.Minute))
			_, _ = s.UndoRotation(s.t.Context(), "acme", id)
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t)
			s.workspace("acme")
			old := s.issue("acme", authz.IssueRequest{ExpiresIn: seconds(3600)})
			test.prepare(s, old.ID)
			version, mintings := s.version("acme"), s.minter.mintings()
			_, err := s.Rotate(t.Context(), "acme", old.ID, authz.RotateRequest{})
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v", err)
			}
			if err != nil && (s.version("acme") != version || s.minter.mintings() != mintings) {
				t.Error("the refusal made a key or a version")
			}
		})
	}
}

func TestRotateInput(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	old := s.issue("acme", authz.IssueRequest{})
	for _, d := range []time.Duration{-1, authz.MaxGrace + 1} {
		var bad authz.InputError
		if _, err := s.Rotate(t.Context(), "acme", old.ID, grace(d)); !errors.As(err, &bad) || bad[0].Field != "grace" {
			t.Errorf("a grace of %s: %v", d, err)
		}
	}
	if _, err := s.Rotate(t.Context(), "acme", uuid.Must(uuid.NewV7()), authz.RotateRequest{}); !errors.Is(err, authz.ErrNotFound) {
		t.Error(err)
	}
	s.workspace("globex")
	if _, err := s.Rotate(t.Context(), "globex", old.ID, authz.RotateRequest{}); !errors.Is(err, authz.ErrNotFound) {
		t.Error("another workspace's key:", err)
	}
	if s.status(old.ID) != store.Active {
		t.Error("the key is not as it was")
	}
}

func TestRotateAtOnce(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	old := s.issue("acme", authz.IssueRequest{})
	successor := s.rotate(old.ID, grace(0))
	if s.publishes("acme", old.KID) || !s.publishes("acme", successor.KID) || s.status(old.ID) != store.Revoked {
		t.Error("the old key goes on, or the new one does not work")
	}
	if got := s.set("acme").Version(); got != successor.Version || got != s.version("acme") {
		t.Errorf("it took more than one version: %d", got)
	}
}

func TestRotateIsIdempotent(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	old := s.issue("acme", authz.IssueRequest{})
	successor := s.rotate(old.ID, authz.RotateRequest{IdempotencyKey: "once"})
	var repeated *store.IdempotencyError
	if _, err := s.Rotate(t.Context(), "acme", old.ID, authz.RotateRequest{IdempotencyKey: "once"}); !errors.As(err, &repeated) ||
		repeated.ID != successor.ID {
		t.Error(err)
	}
}

// If the workspace now has a maximum lifetime, the successor of a key that never expires gets an expiry.
func TestRotateEndsWhatNeverExpires(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	never := true
	s.patch(func(set *store.Workspace) { set.AllowNeverExpires = never })
	old := s.issue("acme", authz.IssueRequest{NeverExpires: true})
	old = s.rotate(old.ID, grace(0))
	if !old.ExpiresAt.IsZero() {
		t.Error("it was allowed, and yet the successor expires at", old.ExpiresAt)
	}
	s.patch(func(set *store.Workspace) { set.Policy = store.Policy{MaxExpiresIn: 3600} })
	if successor := s.rotate(old.ID, grace(0)); successor.ExpiresAt.Unix()-successor.CreatedAt.Unix() != 3600 {
		t.Error("the successor expires at", successor.ExpiresAt)
	}
}

// A rotation must comply with the present policy.
func TestRotateKeepsToThePolicy(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	old := s.issue("acme", authz.IssueRequest{Scopes: []string{"maps:read"}, ExpiresIn: seconds(7200)})
	policy := store.Policy{Scopes: []store.OfferedScope{{Name: "maps:read"}}, MaxExpiresIn: 3600, KeysPerOwner: 1}
	s.patch(func(set *store.Workspace) { set.Policy = policy })
	successor := s.rotate(old.ID, grace(time.Minute)) // though the owner has as many as allowed
	if got := successor.ExpiresAt.Unix() - successor.CreatedAt.Unix(); got != 3600 {
		t.Errorf("it lives for %d s", got)
	}
	policy.Scopes[0].Name = "maps:write"
	s.patch(func(set *store.Workspace) { set.Policy = policy })
	var bad authz.InputError
	if _, err := s.Rotate(t.Context(), "acme", successor.ID, authz.RotateRequest{}); !errors.As(err, &bad) || bad[0].Field != "scopes" {
		t.Error(err)
	}
}

func (s *server) patch(change func(*store.Workspace)) {
	s.t.Helper()
	if _, err := s.UpdateWorkspace(s.t.Context(), "acme", func(w *store.Workspace) error { change(w); return nil }); err != nil {
		s.t.Fatal(err)
	}
}

func TestUndoAndEndByEitherId(t *testing.T) {
	for _, byOld := range []bool{true, false} {
		s := newServer(t)
		s.workspace("acme")
		old := s.issue("acme", authz.IssueRequest{})
		id := func(successor authz.Issued) uuid.UUID {
			if byOld {
				return old.ID
			}
			return successor.ID
		}
		first := s.rotate(old.ID, grace(time.Hour))
		if key, err := s.UndoRotation(t.Context(), "acme", id(first)); err != nil || key.ID != old.ID || key.Status(s.Now()) != store.Active {
			t.Fatal(key, err)
		}
		if s.publishes("acme", first.KID) || !s.publishes("acme", old.KID) || s.status(first.ID) != store.Revoked {
			t.Error("it is not undone")
		}
		second := s.rotate(old.ID, grace(time.Hour))
		if key, err := s.EndGrace(t.Context(), "acme", id(second)); err != nil || key.ID != old.ID || key.Status(s.Now()) != store.Revoked {
			t.Fatal(key, err)
		}
		if !s.publishes("acme", second.KID) || s.publishes("acme", old.KID) {
			t.Error("the grace goes on")
		}
		for name, call := range map[string]func() error{
			"undo": func() error { _, err := s.UndoRotation(t.Context(), "acme", id(second)); return err },
			"end":  func() error { _, err := s.EndGrace(t.Context(), "acme", id(second)); return err },
		} {
			if err := call(); !errors.Is(err, authz.ErrNotActive) {
				t.Errorf("%s after the end: %v", name, err)
			}
		}
	}
}

func TestReapDueIsExact(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	old := s.issue("acme", authz.IssueRequest{})
	brief := s.issue("acme", authz.IssueRequest{ExpiresIn: seconds(30)})
	s.rotate(old.ID, grace(time.Minute))
	kept, err := s.Key(t.Context(), "acme", old.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		to        time.Time
		old, life store.Status
	}{
		{brief.ExpiresAt.Add(-time.Microsecond), store.Deprecated, store.Active},
		{brief.ExpiresAt, store.Deprecated, store.Expired},
		{kept.GraceEndsAt.Add(-time.Microsecond), store.Deprecated, store.Expired},
		{kept.GraceEndsAt, store.Revoked, store.Expired},
	} {
		s.clock.Advance(step.to.Sub(s.Now()))
		if _, err := s.ReapDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.status(old.ID); got != step.old || s.publishes("acme", old.KID) != (got == store.Deprecated) {
			t.Errorf("at %s the old key is %s, published: %t", step.to, got, s.publishes("acme", old.KID))
		}
		if got := s.status(brief.ID); got != step.life || s.publishes("acme", brief.KID) != (got == store.Active) {
			t.Errorf("at %s the brief key is %s, published: %t", step.to, got, s.publishes("acme", brief.KID))
		}
	}
	if s.set("acme").Version() != s.version("acme") {
		t.Error("what is published is not at the store's version")
	}
}

func TestReapDueSaysWhatIsNext(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	if next, err := s.ReapDue(t.Context()); err != nil || !next.IsZero() {
		t.Errorf("with nothing due: %s, %v", next, err)
	}
	issued := s.issue("acme", authz.IssueRequest{ExpiresIn: seconds(60)})
	if next, err := s.ReapDue(t.Context()); err != nil || !next.Equal(issued.ExpiresAt) {
		t.Errorf("next %s, want %s, %v", next, issued.ExpiresAt, err)
	}
	s.clock.Advance(2 * time.Minute)
	s.store.Fail("Retire")
	if next, err := s.ReapDue(t.Context()); err == nil || !next.Equal(issued.ExpiresAt) {
		t.Errorf("a failure: %s, %v", next, err)
	}
	s.store.Heal()
	if _, err := s.ReapDue(t.Context()); err != nil || s.publishes("acme", issued.KID) {
		t.Error("it was not made up for:", err)
	}
}

// A key that left the set because it expired can still be revoked, without a new version of the set.
func TestRevokeWhatHasExpired(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	issued := s.issue("acme", authz.IssueRequest{ExpiresIn: seconds(60)})
	s.clock.Advance(time.Minute)
	if _, err := s.ReapDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	version := s.version("acme")
	key, err := s.Revoke(t.Context(), "acme", issued.ID)
	if err != nil || key.Status(s.Now()) != store.Revoked || s.version("acme") != version {
		t.Error(key, err)
	}
}
