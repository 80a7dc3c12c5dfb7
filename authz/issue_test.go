package authz_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/storetest"
)

func TestIssueClaims(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	forever := true
	if _, err := s.UpdateWorkspace(t.Context(), "acme", func(set *store.Workspace) error {
		set.AllowNeverExpires = forever
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	const iat = 1772597167 // 2026-03-04T04:06:07Z
	type request = authz.IssueRequest
	for _, test := range []struct {
		name string
		r    request
		want string // after jti
		exp  int64
	}{
		{"defaults", request{}, `"iat":1772597107,"exp":1780373167}`, iat + 7776000},
		{"an hour", request{ExpiresIn: seconds(3600)}, `"iat":1772597107,"exp":1772600767}`, iat + 3600},
		{"never", request{NeverExpires: true}, `"iat":1772597107}`, 0},
		{
			"scopes in their order",
			request{NeverExpires: true, Scopes: []string{"b:x", "a"}},
			`"iat":1772597107,"scope":"b:x a"}`, 0,
		},
		{
			"everything",
			request{ExpiresIn: seconds(1), Scopes: []string{"a"}, Claims: []byte(` {"z": 1, "a": {"b": "é<&"}} `)},
			`"iat":1772597107,"exp":1772597168,"scope":"a","z":1,"a":{"b":"é<&"}}`, iat + 1,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.r.Owner, test.r.Audience = `cust "1"`, []string{"batch", "web"}
			issued := s.issue("acme", test.r)
			parsed, err := jwks.Parse(issued.Token.Reveal())
			if err != nil {
				t.Fatal(err)
			}
			want := `{"iss":"https://keys.example.com/v1/auth/oauth/acme","sub":"cust \"1\"","aud":["batch","web"],"jti":"` +
				issued.ID.String() + `",` + test.want
			if string(parsed.Payload) != want {
				t.Errorf("payload\n%s, want\n%s", parsed.Payload, want)
			}
			if test.exp == 0 && !issued.ExpiresAt.IsZero() || test.exp != 0 && issued.ExpiresAt.Unix() != test.exp {
				t.Errorf("expires at %s", issued.ExpiresAt)
			}
			testPublished(t, s, &issued)
		})
	}
}

// testPublished compares an issued key with the store and the published set.
func testPublished(t *testing.T, s *server, issued *authz.Issued) {
	t.Helper()
	if issued.ID.Version() != 7 || issued.KID == (jwks.KID{}) || issued.Version != s.version("acme") {
		t.Errorf("issued %s, kid %s, version %d", issued.ID, issued.KID, issued.Version)
	}
	if at := issued.CreatedAt; at.Location() != time.UTC || at.Nanosecond() != 123456000 {
		t.Errorf("created at %s", at)
	}
	kept, err := s.Key(t.Context(), "acme", issued.ID)
	if err != nil || fmt.Sprint(kept) != fmt.Sprint(issued.Key) {
		t.Errorf("kept\n%v, %v, returned\n%v", kept, err, issued.Key)
	}
	verifier := jwks.Verifier{
		Keys: s.set("acme"), Now: s.clock.Now, Audience: []string{"web"},
		Issuer: func(iss string) bool { return iss == s.Issuer("acme") },
	}
	if _, err := verifier.Verify(issued.Token.Reveal()); err != nil {
		t.Error(err)
	}
	if s.set("acme").Version() != issued.Version {
		t.Errorf("the set has version %d, want %d", s.set("acme").Version(), issued.Version)
	}
}

func TestIssueDefaultsToTheWorkspacesAudiences(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	if issued := s.issue("acme", authz.IssueRequest{}); !slices.Equal(issued.Audience, []string{"web", "batch"}) {
		t.Errorf("audience %q", issued.Audience)
	}
}

// A token's times are those of its minting, even if the request waited in the queue before.
func TestIssueTakesTheTimeOfItsTurn(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.store.Hook("KeyByIdempotencyKey", func(context.Context) error {
		s.clock.Advance(time.Hour) // the last before the queue
		return nil
	})
	before := s.Now()
	issued := s.issue("acme", authz.IssueRequest{IdempotencyKey: "k", ExpiresIn: seconds(60)})
	if want := before.Add(time.Hour); !issued.CreatedAt.Equal(want) || issued.ExpiresAt.Unix() != want.Unix()+60 {
		t.Errorf("created %s, expires %s", issued.CreatedAt, issued.ExpiresAt)
	}
}

// A token with the longest permitted payload can still be parsed.
func TestLongestTokenIsRead(t *testing.T) {
	token := sign(bytes.Repeat([]byte(" "), authz.MaxPayload)).Token.Reveal()
	if _, err := jwks.Parse(token); err != nil {
		t.Errorf("%d bytes: %v", len(token), err)
	}
}

func TestIssueIdempotency(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.workspace("other")
	issued := s.issue("acme", authz.IssueRequest{IdempotencyKey: "order 66"})
	mintings := s.minter.mintings()
	hour := int64(3600)
	for _, repeat := range []struct {
		authz.IssueRequest
		other bool
	}{
		{authz.IssueRequest{Owner: "cust_1"}, false},
		{authz.IssueRequest{Owner: "cust_1", Scopes: []string{}, Metadata: []byte(` { } `)}, false},
		{authz.IssueRequest{Owner: "cust_2", Session: &store.Session{}}, false},
		{authz.IssueRequest{Owner: "cust_2"}, true},
		{authz.IssueRequest{Owner: "cust_1", Name: "n"}, true},
		{authz.IssueRequest{Owner: "cust_1", Scopes: []string{"a"}}, true},
		{authz.IssueRequest{Owner: "cust_1", ExpiresIn: &hour}, true},
		{authz.IssueRequest{Owner: "cust_1", Metadata: []byte(`{"a":1}`)}, true},
		{authz.IssueRequest{Owner: "cust_1", Claims: []byte(`{"a":1}`)}, true},
		{authz.IssueRequest{Owner: "cust_1", Audience: []string{"web"}}, true},
	} {
		repeat.IdempotencyKey = "order 66"
		_, err := s.Issue(t.Context(), "acme", repeat.IssueRequest)
		var repeated *store.IdempotencyError
		if !errors.As(err, &repeated) || repeated.ID != issued.ID || repeated.Other != repeat.other {
			t.Errorf("%+v: got %+v, want it to name %s", repeat, err, issued.ID)
		}
	}
	_, err := s.Rotate(t.Context(), "acme", issued.ID, authz.RotateRequest{IdempotencyKey: "order 66"})
	var repeated *store.IdempotencyError
	if !errors.As(err, &repeated) || !repeated.Other {
		t.Errorf("a rotation: got %v", err)
	}
	if s.minter.mintings() != mintings {
		t.Error("a repeat made a key")
	}
	s.issue("other", authz.IssueRequest{IdempotencyKey: "order 66"}) // is another workspace's own
	if _, err := s.Revoke(t.Context(), "acme", issued.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Issue(t.Context(), "acme", authz.IssueRequest{Owner: "a", IdempotencyKey: "order 66"}); !errors.Is(err,
		store.ErrIdempotencyKey) {
		t.Errorf("after the revocation: %v", err)
	}
}

// Of simultaneous requests with one idempotency key, one makes a key, and the others wait for it.
func TestIssueIdempotencyRace(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.minter.blank = true
	const racers = 8
	mintings := s.minter.mintings()
	var all sync.WaitGroup
	ids := make(chan uuid.UUID, racers)
	var issued sync.Map
	for range racers {
		all.Go(func() {
			got, err := s.Issue(context.Background(), "acme", authz.IssueRequest{Owner: "a", IdempotencyKey: "k"})
			var repeated *store.IdempotencyError
			switch {
			case err == nil:
				issued.Store(got.ID, true)
				ids <- got.ID
			case errors.As(err, &repeated):
				ids <- repeated.ID
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	first := <-ids
	for range racers - 1 {
		if id := <-ids; id != first {
			t.Errorf("got the ids %s and %s", first, id)
		}
	}
	if n := s.minter.mintings() - mintings; n != 1 {
		t.Errorf("%d keys were made", n)
	}
	if _, ok := issued.Load(first); !ok || s.version("acme") != 2 || s.set("acme").Len() != 2 {
		t.Errorf("version %d, %d published", s.version("acme"), s.set("acme").Len())
	}
}

func TestIssueFailures(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(*server)
		want  error
	}{
		{
			"no such workspace",
			func(s *server) { s.store.Hook("Workspace", func(context.Context) error { return authz.ErrNotFound }) },
			authz.ErrNotFound,
		},
		{"the queue is full", func(s *server) { s.minter.err = authz.ErrBusy }, authz.ErrBusy},
		{"the store can't tell the workspace", func(s *server) { s.store.Fail("Workspace") }, storetest.ErrBroken},
		{"the store can't tell a repeat", func(s *server) { s.store.Fail("KeyByIdempotencyKey") }, storetest.ErrBroken},
		{"the store can't keep it", func(s *server) { s.store.Fail("Issue") }, storetest.ErrBroken},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t)
			s.workspace("acme")
			before := s.set("acme")
			test.spoil(s)
			issued, err := s.Issue(t.Context(), "acme", authz.IssueRequest{Owner: "a", IdempotencyKey: "k"})
			if !errors.Is(err, test.want) || issued.Token != "" {
				t.Errorf("got %v, want %v", err, test.want)
			}
			s.store.Heal()
			s.minter.err = nil
			keys, _, err := s.Keys(t.Context(), "acme", store.Filter{Limit: 9})
			if err != nil || len(keys) != 0 || s.set("acme") != before || s.version("acme") != 1 {
				t.Errorf("%d keys, %v, version %d: something was left", len(keys), err, s.version("acme"))
			}
			s.issue("acme", authz.IssueRequest{IdempotencyKey: "k"}) // and can be done
		})
	}
}

// If the store reports an error although it stored the key, the key is published, but no caller gets its token.
func TestIssueStoreFailsLate(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.store.HookAfter("Issue", func() error { return storetest.ErrBroken })
	issued, err := s.Issue(t.Context(), "acme", authz.IssueRequest{Owner: "a"})
	if !errors.Is(err, storetest.ErrBroken) || issued.Token != "" {
		t.Errorf("got %v", err)
	}
	s.store.Heal()
	if err := s.publisher.Load(t.Context()); err != nil || s.set("acme").Version() != 2 {
		t.Errorf("version %d, %v", s.set("acme").Version(), err)
	}
}

// A plan that is deleted while a key with it is made is an error of the request.
func TestIssueThePlanGoes(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	if _, _, err := s.SetLimits(t.Context(), "acme", authz.LimitsRequest{On: jwks.OnPlan, Name: "gold"}); err != nil {
		t.Fatal(err)
	}
	s.store.Hook("Issue", func(ctx context.Context) error { return s.DeleteLimits(ctx, "acme", jwks.OnPlan, "gold") })
	_, err := s.Issue(t.Context(), "acme", authz.IssueRequest{Owner: "a", Plan: "gold"})
	mustBeInvalid(t, "a deleted plan", err, "plan", authz.RuleNoPlan)
}

// If a client disconnects while its key is made, either all of the key exists or nothing.
func TestIssueClientLeaves(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	ctx, cancel := context.WithCancel(t.Context())
	s.minter.minted = cancel
	issued, err := s.Issue(ctx, "acme", authz.IssueRequest{Owner: "a"})
	if err != nil || !s.publishes("acme", issued.KID) {
		t.Errorf("%v: the key was made and not kept", err)
	}
	mintings := s.minter.mintings()
	if _, err := s.Issue(ctx, "acme", authz.IssueRequest{Owner: "a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	if s.version("acme") != 2 || s.minter.mintings() > mintings+1 {
		t.Errorf("version %d", s.version("acme"))
	}
}

// If a key can't be published at once, the answer is still a success, since only this answer contains the
// token.
func TestIssueWhenPublishingFails(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	elsewhere := serverOn(t, s.path)
	elsewhere.issue("acme", authz.IssueRequest{}) // version 2, unknown here
	s.store.Fail("Changes")
	issued := s.issue("acme", authz.IssueRequest{})
	if issued.Version != 3 || s.set("acme").Version() != 1 {
		t.Errorf("issued version %d while %d is published", issued.Version, s.set("acme").Version())
	}
	s.store.Heal()
	if err := s.publisher.Load(t.Context()); err != nil || !s.publishes("acme", issued.KID) {
		t.Errorf("not published afterwards: %v", err)
	}
}

// No representation of a key contains its token.
func TestIssuedHidesItsToken(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	issued := s.issue("acme", authz.IssueRequest{})
	shown := fmt.Sprintf("%v %+v %#v", issued, issued, issued)
	if strings.Contains(shown, issued.Token.Reveal()[40:80]) {
		t.Error("a token shows itself")
	}
}
