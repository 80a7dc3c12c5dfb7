package authz_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/storetest"
)

func (s *server) limits(r authz.LimitsRequest) (store.LimitSet, error) {
	return s.CreateLimits(s.t.Context(), "acme", r)
}

func plan(name, signed string, rules ...jwks.Limit) authz.LimitsRequest {
	return authz.LimitsRequest{On: jwks.OnPlan, Name: name, Signed: signed, Limits: rules}
}

// shared returns the limits that a workspace's gateways hold.
func (s *server) shared(workspace string) (names []string) {
	s.t.Helper()
	_, unsigned, err := s.store.Store.Published(s.t.Context(), workspace, func(jwks.Key, jwks.Attributes) error { return nil })
	if err != nil {
		s.t.Fatal(err)
	}
	for _, l := range unsigned.Limits {
		names = append(names, fmt.Sprintf("%s/%s %v", l.On, l.Name, l.Limits))
	}
	return names
}

// A change of a plan is one version, which this server has published when the call returns.
func TestPlans(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.workspace("other")
	version := s.version("acme")
	is := func(what string, versions uint64, want ...string) {
		t.Helper()
		version += versions
		if got := s.shared("acme"); !slices.Equal(got, want) || s.version("acme") != version || s.set("acme").Version() != version {
			t.Errorf("%s: %q, version %d, published %d, want %q, %d", what, got, s.version("acme"), s.set("acme").Version(), want, version)
		}
	}
	ctx := t.Context()
	l, err := s.limits(authz.LimitsRequest{On: jwks.OnPlan, Name: "gold", Description: "For friends", Limits: burst})
	if err != nil || l.Description != "For friends" || l.CreatedAt != s.Now() {
		t.Errorf("created %+v, %v", l, err)
	}
	is("created", 1, "plan/gold [{burst 100 60 }]")
	if _, err := s.limits(plan("gold", "")); !errors.Is(err, authz.ErrPlanExists) {
		t.Errorf("again: %v", err)
	}
	k := s.issue("acme", authz.IssueRequest{Plan: "gold"})
	version++
	s.clock.Advance(1e9)
	change := func(set func(*store.LimitSet) error) {
		t.Helper()
		if l, err = s.UpdateLimits(ctx, "acme", jwks.OnPlan, "gold", set); err != nil {
			t.Fatal(err)
		}
	}
	raise := func(l *store.LimitSet) error { l.Limits[0].Requests = 200; return nil }
	change(raise)
	if l.UpdatedAt != s.Now() || l.UpdatedAt == l.CreatedAt {
		t.Errorf("changed: %+v", l)
	}
	is("changed", 1, "plan/gold [{burst 200 60 }]")
	s.clock.Advance(1e9)
	change(raise)
	if l.UpdatedAt == s.Now() {
		t.Error("a change without effect has a time")
	}
	is("changed without effect", 0, "plan/gold [{burst 200 60 }]")
	for name, want := range map[string]error{"gold": authz.ErrInUse, "none": authz.ErrNotFound} {
		if err := s.DeleteLimits(ctx, "acme", jwks.OnPlan, name); !errors.Is(err, want) {
			t.Errorf("delete %s: %v", name, err)
		}
	}
	if _, err := s.Limits(ctx, "other", jwks.OnPlan, "gold"); !errors.Is(err, authz.ErrNotFound) {
		t.Errorf("seen in another workspace: %v", err)
	}
	if _, err := s.update(k.ID, authz.KeyPatch{Plan: to("")}); err != nil {
		t.Fatal(err)
	}
	version++
	if err := s.DeleteLimits(ctx, "acme", jwks.OnPlan, "gold"); err != nil {
		t.Error(err)
	}
	is("deleted", 1)
}

// If this server can't publish a change, the call fails, and its repetition publishes it.
func TestLimitsThatAreNotPublished(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.store.Fail("Changes")
	r := authz.LimitsRequest{On: jwks.OnTotal, Name: jwks.AnyName, Limits: burst}
	if _, _, err := s.SetLimits(t.Context(), "acme", r); !errors.Is(err, storetest.ErrBroken) {
		t.Fatalf("got %v", err)
	}
	s.store.Heal()
	if _, isNew, err := s.SetLimits(t.Context(), "acme", r); err != nil || isNew || s.set("acme").Version() != s.version("acme") {
		t.Errorf("again: %t, %v", isNew, err)
	}
}

func TestLimitsInput(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	rule := func(name string, requests, seconds uint32, calendar string) []jwks.Limit {
		return []jwks.Limit{{Name: name, Requests: requests, Seconds: seconds, Calendar: calendar}}
	}
	nine := make([]jwks.Limit, 9)
	for i := range nine {
		nine[i] = jwks.Limit{Name: fmt.Sprint(i), Requests: 1, Seconds: 1}
	}
	long := strings.Repeat("x", 256)
	for _, tt := range []struct {
		on, name string
		limits   []jwks.Limit
		signed   string
		faulty   string
	}{
		{on: "plan", name: "free"},
		{on: "plan", name: long[:63], limits: nine[:8]},
		{on: "plan", faulty: "name"},
		{on: "plan", name: "Free", faulty: "name"},
		{on: "plan", name: "*", faulty: "name"},
		{on: "plan", name: long[:64], faulty: "name"},
		{on: "plan", name: "many", limits: nine, faulty: "limits"},
		{on: "plan", name: "same", limits: append(nine[:1:1], nine[0]), faulty: "limits"},
		{on: "plan", name: "a", limits: rule("", 1, 1, ""), faulty: "limits"},
		{on: "plan", name: "a", limits: rule("B", 1, 1, ""), faulty: "limits"},
		{on: "plan", name: "a", limits: rule(long[:33], 1, 1, ""), faulty: "limits"},
		{on: "plan", name: "a", limits: rule("b", 0, 1, ""), faulty: "limits[0].requests"},
		{on: "plan", name: "a", limits: rule("b", 1_000_000_001, 1, ""), faulty: "limits[0].requests"},
		{on: "plan", name: "a", limits: rule("b", 1, 0, ""), faulty: "limits[0]"},
		{on: "plan", name: "a", limits: rule("b", 1, 1, "day"), faulty: "limits[0]"},
		{on: "plan", name: "a", limits: rule("b", 1, 31_536_001, ""), faulty: "limits[0].seconds"},
		{on: "plan", name: "a", limits: rule("b", 1, 0, "year"), faulty: "limits[0].calendar"},

		{on: "plan", name: "second", limits: rule("b", 1, 1, ""), signed: "b"},
		{on: "plan", name: "day", limits: rule("b", 1, 0, "day"), signed: "b"},
		{on: "plan", name: "month", limits: rule("b", 1, 0, "month"), signed: "b"},
		{on: "plan", name: "a", limits: rule("b", 1, 2, ""), signed: "b", faulty: "signed"},
		{on: "plan", name: "a", limits: rule("b", 1, 0, "week"), signed: "b", faulty: "signed"},
		{on: "plan", name: "a", limits: rule("b", 1, 1, ""), signed: "c", faulty: "signed"},
		{on: "total", name: "*", limits: rule("b", 1, 1, ""), signed: "b", faulty: "signed"},

		{on: "owner", name: "Cust 1", limits: burst},
		{on: "owner", name: "*", limits: burst},
		{on: "owner", name: "x", faulty: "limits"},
		{on: "owner", limits: burst, faulty: "name"},
		{on: "owner", name: " x", limits: burst, faulty: "name"},
		{on: "owner", name: long, limits: burst, faulty: "name"},
		{on: "owner", name: "x\x00", limits: burst, faulty: "name"},
		{on: "route", name: "search", limits: burst},
		{on: "route", name: "/search", limits: burst, faulty: "name"},
		{on: "route", name: "*", limits: burst, faulty: "name"},
		{on: "address", name: "*", limits: burst},
		{on: "address", name: "192.0.2.1", limits: burst, faulty: "name"},
		{on: "total", name: "*", limits: burst},
		{on: "total", limits: burst, faulty: "name"},
	} {
		before := s.version("acme")
		r := authz.LimitsRequest{On: tt.on, Name: tt.name, Limits: tt.limits, Signed: tt.signed}
		_, _, err := s.SetLimits(t.Context(), "acme", r)
		if got := faults(t, err); got != tt.faulty {
			t.Errorf("%+v: %q at fault, want %q: %v", tt, got, tt.faulty, err)
		}
		if _, err := s.Limits(t.Context(), "acme", tt.on, tt.name); tt.faulty != "" && (err == nil || s.version("acme") != before) {
			t.Errorf("%+v: stored", tt)
		}
	}
	_, err := s.limits(authz.LimitsRequest{On: "plan", Name: "a", Description: "a\nb"})
	if got := faults(t, err); got != "description" {
		t.Errorf("a description with a line break: %v", err)
	}
	if _, err := s.CreateLimits(t.Context(), authz.Home, plan("a", "")); faults(t, err) != "limits" {
		t.Errorf("in the workspace of management keys: %v", err)
	}
	if _, err := s.CreateLimits(t.Context(), "none", plan("a", "")); !errors.Is(err, authz.ErrNotFound) {
		t.Errorf("in no workspace: %v", err)
	}
}

func TestLimitSetsInPages(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	for _, of := range []struct{ on, name string }{
		{"total", "*"}, {"address", "*"}, {"owner", "b"}, {"route", "search"}, {"owner", "*"}, {"plan", "gold"}, {"owner", "a"},
	} {
		if _, err := s.limits(authz.LimitsRequest{On: of.on, Name: of.name, Limits: burst}); err != nil {
			t.Fatal(err)
		}
	}
	on := []string{jwks.OnOwner, jwks.OnRoute, jwks.OnAddress, jwks.OnTotal}
	for size := 1; size < 8; size++ {
		var got []string
		for after := (authz.LimitsID{}); ; {
			list, next, err := s.LimitSets(t.Context(), "acme", on, after, size)
			if err != nil || len(list) > size {
				t.Fatalf("%d: %v", len(list), err)
			}
			for _, l := range list {
				got = append(got, l.On+"/"+l.Name)
			}
			if after = next; next == (authz.LimitsID{}) {
				break
			}
		}
		if want := "owner/* owner/a owner/b route/search address/* total/*"; strings.Join(got, " ") != want {
			t.Errorf("pages of %d: %s, want %s", size, got, want)
		}
	}
	if _, _, err := s.LimitSets(t.Context(), "none", on, authz.LimitsID{}, 1); !errors.Is(err, authz.ErrNotFound) {
		t.Errorf("of no workspace: %v", err)
	}
}

// The plan's signed rule is in tokens that are issued or rotated while it is signed, and in no others.
func TestSignedRule(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	hour, day := jwks.Limit{Name: "hour", Requests: 7, Seconds: 3600}, jwks.Limit{Name: "day", Requests: 9, Calendar: jwks.Day}
	if _, err := s.limits(plan("gold", "hour", hour, day)); err != nil {
		t.Fatal(err)
	}
	claimed := func(what string, issued authz.Issued, want string) {
		t.Helper()
		if got := string(claimsOf(t, issued.Token).Extra); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
		if k := must(s.Key(t.Context(), "acme", issued.ID)); strings.Contains(string(k.Claims), "rate") {
			t.Errorf("%s: the record's own claims are %s", what, k.Claims)
		}
	}
	const ofHour = `"rate_limit":{"requests_per_unit":7,"unit":"HOUR"}}`
	claimed("no plan", s.issue("acme", authz.IssueRequest{}), "")
	k := s.issue("acme", authz.IssueRequest{Plan: "gold", Claims: []byte(`{"a":1}`)})
	claimed("signed", k, `{"a":1,`+ofHour)
	_, err := s.UpdateLimits(t.Context(), "acme", jwks.OnPlan, "gold", func(l *store.LimitSet) error {
		l.Signed = "day"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	successor, err := s.Rotate(t.Context(), "acme", k.ID, authz.RotateRequest{})
	if err != nil {
		t.Fatal(err)
	}
	claimed("rotated", successor, `{"a":1,"rate_limit":{"requests_per_unit":9,"unit":"DAY"}}`)
	_, err = s.Issue(t.Context(), "acme", authz.IssueRequest{Owner: "x", Claims: []byte(`{"Rate_Limit":1}`)})
	if faults(t, err) != "claims.Rate_Limit" {
		t.Errorf("claimed by the request: %v", err)
	}
}

// A key that was issued with the claim before it was reserved can be rotated.
func TestEarlierRateLimitClaim(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.plan("acme", "gold")
	k := s.issue("acme", authz.IssueRequest{Claims: []byte(`{"a":1}`)})
	s.exec(`UPDATE keys SET claims = '{"rate_limit":"mine"}' WHERE id = ?`, k.ID[:])
	successor, err := s.Rotate(t.Context(), "acme", k.ID, authz.RotateRequest{})
	if err != nil || string(claimsOf(t, successor.Token).Extra) != `{"rate_limit":"mine"}` {
		t.Fatalf("rotated: %v", err)
	}
	_, err = s.UpdateLimits(t.Context(), "acme", jwks.OnPlan, "gold", func(l *store.LimitSet) error { l.Signed = "burst"; return nil })
	if _, errPlan := s.update(successor.ID, authz.KeyPatch{Plan: to("gold")}); err != nil || errPlan != nil {
		t.Fatal(err, errPlan)
	}
	successor, err = s.Rotate(t.Context(), "acme", successor.ID, authz.RotateRequest{})
	if want := `{"rate_limit":{"requests_per_unit":100,"unit":"MINUTE"}}`; err != nil || string(claimsOf(t, successor.Token).Extra) != want {
		t.Fatalf("rotated with a plan: %v", err)
	}
}

// A change of a plan that 10,000 keys have is one version, one change of the log without any key, and quick.
func TestPlanOfManyKeys(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.plan("acme", "gold")
	s.issue("acme", authz.IssueRequest{Plan: "gold"})
	const copies = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) `
	s.exec(copies + `INSERT INTO jwks (workspace, kid, n, attributes)
		SELECT 'acme', randomblob(32), (SELECT n FROM jwks WHERE attributes IS NOT NULL), '{"plan":"gold"}' FROM n`)
	before := s.version("acme")
	_, err := s.UpdateLimits(t.Context(), "acme", jwks.OnPlan, "gold", func(l *store.LimitSet) error {
		l.Limits[0].Requests = 200
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	changes, err := s.store.Changes(t.Context(), "acme", before, 100)
	if err != nil || len(changes) != 1 {
		t.Fatalf("%d changes, %v", len(changes), err)
	}
	c := changes[0]
	if len(c.Add)+len(c.Remove)+len(c.Unsigned.Set) > 0 || len(c.Unsigned.Limits) != 1 || c.Unsigned.Limits[0].Limits[0].Requests != 200 {
		t.Errorf("changed %d, %d, %d, %v", len(c.Add), len(c.Remove), len(c.Unsigned.Set), c.Unsigned.Limits)
	}
	if text := must(c.Unsigned.MarshalJSON()); len(text) > 200 {
		t.Errorf("the change takes %d bytes: %s", len(text), text)
	}
}
