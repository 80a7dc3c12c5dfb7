package authz_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// requestServer has the plan gold and offers the scopes read, write and admin.
func requestServer(t *testing.T) *server {
	t.Helper()
	s := newServer(t)
	s.workspace("acme")
	_, err := s.UpdateWorkspace(t.Context(), "acme", func(w *store.Workspace) error {
		w.Policy.Scopes = []store.OfferedScope{{Name: "read"}, {Name: "write"}, {Name: "admin"}}
		return nil
	})
	if err == nil {
		_, err = s.limits(plan("gold", "", burst...))
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *server) request(r authz.NewRequest) store.Request {
	s.t.Helper()
	made, err := s.CreateRequest(s.t.Context(), "acme", r)
	if err != nil {
		s.t.Fatal(err)
	}
	return made
}

func (s *server) decide(id uuid.UUID, status store.RequestStatus) (store.Request, error) {
	return s.DecideRequest(s.t.Context(), "acme", id, authz.Decision{Status: status, Answer: "for a year"})
}

var (
	gold    = store.Wanted{Plan: "gold"}
	toWrite = store.Wanted{Scopes: []string{"write"}}
)

func ownersSession(owner string) *store.Session {
	return &store.Session{Workspace: "acme", Owner: owner, Role: store.RoleOwner, ScopesAllowed: []string{"read"}}
}

// An approval changes the key at once, and what the feed publishes of it.
func TestARequestIsApproved(t *testing.T) {
	s := requestServer(t)
	k := s.issue("acme", authz.IssueRequest{Scopes: []string{"read"}}).Key
	for _, wanted := range []store.Wanted{gold, toWrite} {
		version := s.version("acme")
		r := s.request(authz.NewRequest{Key: k.ID, Wanted: wanted, Reason: "We grow", Session: ownersSession("cust_1")})
		if s.version("acme") != version {
			t.Error("a request raised the version")
		}
		got, err := s.decide(r.ID, store.RequestApproved)
		if err != nil || got.Status != store.RequestApproved || got.Answer != "for a year" || !got.DecidedAt.Equal(s.Now()) {
			t.Errorf("got %+v, %v", got, err)
		}
		if s.version("acme") != version+1 || s.set("acme").Version() != version+1 {
			t.Errorf("version %d, published %d, want %d", s.version("acme"), s.set("acme").Version(), version+1)
		}
		var decided *authz.DecidedError
		if _, err := s.decide(r.ID, store.RequestDeclined); !errors.As(err, &decided) || decided.Request.Status != store.RequestApproved {
			t.Errorf("declined afterwards: %v", err)
		}
	}
	k, err := s.Key(t.Context(), "acme", k.ID)
	if err != nil || k.Plan != "gold" || !slices.Equal(k.Scopes, []string{"read", "write"}) {
		t.Errorf("got %+v, %v", k, err)
	}
	// Granted meanwhile by a change of the key, a request can be approved without effect.
	other := s.issue("acme", authz.IssueRequest{}).Key
	r := s.request(authz.NewRequest{Key: other.ID, Wanted: gold})
	name := "gold"
	if _, err := s.UpdateKey(t.Context(), "acme", other.ID, authz.KeyPatch{Plan: &name}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.decide(r.ID, store.RequestApproved); err != nil {
		t.Error(err)
	}
}

// An owner requests for their own keys only, and can't approve or decline. A link that allows few scopes does not
// restrict what can be requested: the policy does.
func TestOwnersRequestAndWithdrawOnly(t *testing.T) {
	s := requestServer(t)
	k := s.issue("acme", authz.IssueRequest{Scopes: []string{"read"}}).Key
	r := s.request(authz.NewRequest{Key: k.ID, Wanted: toWrite, Session: ownersSession("cust_1")})
	elsewhere := ownersSession("cust_1")
	elsewhere.Workspace = "other"
	for _, session := range []*store.Session{ownersSession("cust_2"), elsewhere} {
		_, err := s.CreateRequest(t.Context(), "acme", authz.NewRequest{Key: k.ID, Wanted: gold, Session: session})
		if !errors.Is(err, authz.ErrNotFound) {
			t.Errorf("another owner's request: %v", err)
		}
		_, err = s.DecideRequest(t.Context(), "acme", r.ID, authz.Decision{Status: store.RequestWithdrawn, Session: session})
		if !errors.Is(err, authz.ErrNotFound) {
			t.Errorf("another owner withdraws: %v", err)
		}
	}
	own := authz.Decision{Session: ownersSession("cust_1")}
	for _, own.Status = range []store.RequestStatus{store.RequestApproved, store.RequestDeclined} {
		if _, err := s.DecideRequest(t.Context(), "acme", r.ID, own); !errors.Is(err, authz.ErrForbidden) {
			t.Errorf("the owner, %s: %v", own.Status, err)
		}
	}
	own.Status = store.RequestWithdrawn
	if got, err := s.DecideRequest(t.Context(), "acme", r.ID, own); err != nil || got.Status != store.RequestWithdrawn {
		t.Errorf("withdrawn: %+v, %v", got, err)
	}
	_, err := s.DecideRequest(t.Context(), "acme", r.ID, authz.Decision{Status: store.RequestWithdrawn, Session: ownersSession("cust_2")})
	if !errors.Is(err, authz.ErrNotFound) {
		t.Errorf("another owner learns of the decision: %v", err)
	}
	// Without scopes in the policy, a management key can request any, but an owner none.
	if _, err := s.UpdateWorkspace(t.Context(), "acme", func(w *store.Workspace) error { w.Policy.Scopes = nil; return nil }); err != nil {
		t.Fatal(err)
	}
	_, err = s.CreateRequest(t.Context(), "acme", authz.NewRequest{Key: k.ID, Wanted: toWrite, Session: ownersSession("cust_1")})
	mustBeInvalid(t, "no scopes offered", err, "scopes", authz.RuleScopeNotOffered)
	s.request(authz.NewRequest{Key: k.ID, Wanted: toWrite})
}

func mustBeInvalid(t *testing.T, name string, err error, field string, rule authz.Rule) {
	t.Helper()
	var bad authz.InputError
	if !errors.As(err, &bad) || bad[0].Field != field || bad[0].Rule != rule {
		t.Errorf("%s: %v", name, err)
	}
}

func TestInvalidRequests(t *testing.T) {
	s := requestServer(t)
	k := s.issue("acme", authz.IssueRequest{Scopes: []string{"read"}, Plan: "gold"}).Key
	many := make([]string, authz.MaxScopes+1)
	for i := range many {
		many[i] = strings.Repeat("x", i+1)
	}
	for name, c := range map[string]struct {
		store.Wanted
		field string
		rule  authz.Rule
	}{
		"nothing":            {store.Wanted{}, "plan", authz.RulePlanOrScopes},
		"both":               {store.Wanted{Plan: "gold", Scopes: []string{"write"}}, "plan", authz.RulePlanOrScopes},
		"no such plan":       {store.Wanted{Plan: "silver"}, "plan", authz.RuleNoPlan},
		"no name of a plan":  {store.Wanted{Plan: "Gold"}, "plan", authz.RulePlanName},
		"the plan it has":    {gold, "plan", authz.RuleAlreadyHas},
		"the scope it has":   {store.Wanted{Scopes: []string{"read"}}, "scopes", authz.RuleAlreadyHas},
		"not offered":        {store.Wanted{Scopes: []string{"root"}}, "scopes", authz.RuleScopeNotOffered},
		"a space":            {store.Wanted{Scopes: []string{"a b"}}, "scopes", authz.RuleScopeCharacters},
		"twice":              {store.Wanted{Scopes: []string{"write", "write"}}, "scopes", authz.RuleDuplicate},
		"too many":           {store.Wanted{Scopes: many}, "scopes", authz.RuleTooMany},
		"too many in total":  {store.Wanted{Scopes: many[1:]}, "scopes", authz.RuleTooMany},
		"line break in plan": {store.Wanted{Plan: "gold\n"}, "plan", authz.RulePlanName},
	} {
		_, err := s.CreateRequest(t.Context(), "acme", authz.NewRequest{Key: k.ID, Wanted: c.Wanted})
		mustBeInvalid(t, name, err, c.field, c.rule)
	}
	_, err := s.CreateRequest(t.Context(), "acme", authz.NewRequest{Key: k.ID, Wanted: toWrite, Reason: "a\nb"})
	mustBeInvalid(t, "line break", err, "reason", authz.RuleControl)
	r := s.request(authz.NewRequest{Key: k.ID, Wanted: toWrite})
	_, err = s.DecideRequest(t.Context(), "acme", r.ID, authz.Decision{Status: store.RequestDeclined, Answer: strings.Repeat("x", 256)})
	mustBeInvalid(t, "long answer", err, "answer", authz.RuleTooLong)
	_, _, err = s.Requests(t.Context(), "acme", store.RequestFilter{Status: "x", Limit: 1})
	mustBeInvalid(t, "unknown status", err, "status", authz.RuleNotOneOf)
	for _, workspace := range []string{"nobody", authz.Home} {
		if _, err := s.CreateRequest(t.Context(), workspace, authz.NewRequest{Key: k.ID, Wanted: toWrite}); !errors.Is(err, authz.ErrNotFound) {
			t.Errorf("%s: %v", workspace, err)
		}
	}
}

// Changes of the workspace and the key after the request count when it is approved, in the transaction.
func TestAnApprovalIsWithinThePolicy(t *testing.T) {
	s := requestServer(t)
	k := s.issue("acme", authz.IssueRequest{Scopes: []string{"read"}}).Key
	scopes, gone := s.request(authz.NewRequest{Key: k.ID, Wanted: toWrite}), s.request(authz.NewRequest{Key: k.ID, Wanted: gold})
	_, err := s.UpdateWorkspace(t.Context(), "acme", func(w *store.Workspace) error { w.Policy.Scopes = w.Policy.Scopes[:1]; return nil })
	if err == nil {
		err = s.DeleteLimits(t.Context(), "acme", "plan", "gold")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []store.Request{scopes, gone} {
		if _, err := s.decide(r.ID, store.RequestApproved); !errors.Is(err, authz.ErrNotOffered) {
			t.Errorf("%+v: %v", r.Wanted, err)
		}
	}
	if _, err := s.Revoke(t.Context(), "acme", k.ID); err != nil {
		t.Fatal(err)
	}
	var state *authz.StateError
	var decided *authz.DecidedError
	if _, err := s.decide(gone.ID, store.RequestApproved); !errors.As(err, &decided) || decided.Request.Status != store.RequestDeclined {
		t.Errorf("approved for a revoked key: %v", err)
	}
	if _, err := s.CreateRequest(t.Context(), "acme", authz.NewRequest{Key: k.ID, Wanted: gold}); !errors.As(err, &state) {
		t.Errorf("requested for a revoked key: %v", err)
	}
	if after, err := s.Key(t.Context(), "acme", k.ID); err != nil || after.Plan != "" || len(after.Scopes) != 1 {
		t.Errorf("got %+v, %v", after, err)
	}
}

// A key that has expired, but is still published, gets nothing; an open request can be declined.
func TestNoApprovalForAnExpiredKey(t *testing.T) {
	s := requestServer(t)
	k := s.issue("acme", authz.IssueRequest{Scopes: []string{"read"}}).Key
	r := s.request(authz.NewRequest{Key: k.ID, Wanted: gold})
	s.clock.Advance(k.ExpiresAt.Sub(s.Now()))
	var state *authz.StateError
	if _, err := s.decide(r.ID, store.RequestApproved); !errors.As(err, &state) || state.Status != store.Expired {
		t.Errorf("approved: %v", err)
	}
	if got, err := s.decide(r.ID, store.RequestDeclined); err != nil || got.Status != store.RequestDeclined {
		t.Errorf("declined: %+v, %v", got, err)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	s := requestServer(t)
	k := s.issue("acme", authz.IssueRequest{}).Key
	s.request(authz.NewRequest{Key: k.ID, Wanted: gold})
	_, err := s.CreateRequest(t.Context(), "acme", authz.NewRequest{Key: k.ID, Wanted: gold})
	if !errors.Is(err, authz.ErrRequestExists) || !errors.Is(err, authz.ErrExists) {
		t.Errorf("again: %v", err)
	}
	for range store.MaxOpenOfOwner - 1 {
		s.request(authz.NewRequest{Key: s.issue("acme", authz.IssueRequest{}).Key.ID, Wanted: gold})
	}
	var full *authz.RequestsFullError
	_, err = s.CreateRequest(t.Context(), "acme", authz.NewRequest{Key: k.ID, Wanted: toWrite})
	if !errors.As(err, &full) || full.OfOwner != store.MaxOpenOfOwner {
		t.Errorf("one more: %v", err)
	}
	list, next, err := s.Requests(t.Context(), "acme", store.RequestFilter{Owner: "cust_1", Status: store.RequestOpen, Limit: 15})
	if err != nil || len(list) != 15 || next != list[14].ID {
		t.Errorf("%d requests, %v, %v", len(list), next, err)
	}
	if _, _, err := s.Requests(t.Context(), "nobody", store.RequestFilter{Limit: 1}); !errors.Is(err, authz.ErrNotFound) {
		t.Errorf("an unknown workspace: %v", err)
	}
	// The owner's budget pays for requests.
	ctx := authz.BySession(t.Context(), ownersSession("cust_9"))
	var spent *authz.BudgetError
	for range 100 {
		if _, err = s.CreateRequest(ctx, "acme", authz.NewRequest{Key: k.ID, Wanted: gold}); errors.As(err, &spent) {
			break
		}
	}
	if spent == nil || spent.After > time.Minute {
		t.Errorf("a hundred requests: %v", err)
	}
}

// Of two operators who decide at once, one decides and the other gets the decision.
func TestTwoOperatorsDecideAtOnce(t *testing.T) {
	s := requestServer(t)
	for range 10 {
		r := s.request(authz.NewRequest{Key: s.issue("acme", authz.IssueRequest{}).Key.ID, Wanted: gold})
		statuses := []store.RequestStatus{store.RequestApproved, store.RequestDeclined}
		errs := make([]error, 2)
		var both sync.WaitGroup
		for i, status := range statuses {
			both.Go(func() { _, errs[i] = s.decide(r.ID, status) })
		}
		both.Wait()
		winner := slices.Index(errs, nil)
		var decided *authz.DecidedError
		if winner < 0 || !errors.As(errs[1-winner], &decided) || decided.Request.Status != statuses[winner] {
			t.Fatalf("got %v", errs)
		}
		k, err := s.Key(t.Context(), "acme", r.Key)
		if err != nil || (k.Plan == "gold") != (statuses[winner] == store.RequestApproved) {
			t.Errorf("%s, and the key has the plan %q: %v", statuses[winner], k.Plan, err)
		}
	}
}
