package authz_test

import (
	"context"
	"errors"
	"maps"
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
	"github.com/burnkey/burnkey/store/storetest"
)

func to[T any](v T) *T { return &v }

func (s *server) update(id uuid.UUID, p authz.KeyPatch) (store.Key, error) {
	return s.UpdateKey(s.t.Context(), "acme", id, p)
}

func (s *server) plan(workspace, name string) {
	s.t.Helper()
	_, err := s.store.Store.CreateLimits(s.t.Context(), store.LimitSet{
		Workspace: workspace, LimitSet: jwks.LimitSet{On: jwks.OnPlan, Name: name, Limits: burst}, CreatedAt: s.Now(),
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

var burst = []jwks.Limit{{Name: "burst", Requests: 100, Seconds: 60}}

func (s *server) policy(p store.Policy) {
	s.t.Helper()
	_, err := s.UpdateWorkspace(s.t.Context(), "acme", func(w *store.Workspace) error {
		w.Policy, w.AllowNeverExpires = p, true
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// attributes returns the attributes that the log and the snapshot of the feed both have for a key.
func (s *server) attributes(kid jwks.KID) (found jwks.Attributes) {
	s.t.Helper()
	_, _, err := s.store.Published(s.t.Context(), "acme", func(k jwks.Key, a jwks.Attributes) error {
		if k.KID() == kid {
			found = a
		}
		return nil
	})
	changes, errLog := s.store.Changes(s.t.Context(), "acme", 0, 1000)
	if err = errors.Join(err, errLog); err != nil {
		s.t.Fatal(err)
	}
	var replayed jwks.Attributes
	for _, c := range changes {
		for _, set := range c.Unsigned.Set {
			if set.KID == kid {
				replayed = set.Attributes
			}
		}
	}
	if found.IsZero() == replayed.IsZero() && printOf(found) != printOf(replayed) {
		s.t.Errorf("published %+v, logged %+v", found, replayed)
	}
	return found
}

// A suspended key leaves the set before the call returns, and comes back with all of its attributes.
func TestSuspend(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	k := s.issue("acme", authz.IssueRequest{AllowedIPs: []string{"192.0.2.7"}})
	for range 2 {
		suspended, err := s.update(k.ID, authz.KeyPatch{Enabled: to(false), SuspendedReason: to("abuse")})
		if err != nil || s.publishes("acme", k.KID) || suspended.Status(s.Now()) != store.Suspended || suspended.SuspendedReason != "abuse" {
			t.Fatalf("%+v, %v", suspended, err)
		}
		if v := s.version("acme"); v != 3 {
			t.Errorf("version %d: a repeated suspension raises it", v)
		}
		s.clock.Advance(time.Second)
	}
	if _, err := s.Rotate(t.Context(), "acme", k.ID, authz.RotateRequest{}); !errors.Is(err, authz.ErrNotActive) {
		t.Errorf("rotation: %v", err)
	}
	resumed, err := s.update(k.ID, authz.KeyPatch{Enabled: to(true)})
	if err != nil || !s.publishes("acme", k.KID) || resumed.SuspendedReason != "" || len(s.attributes(k.KID).AllowedIPs) != 1 {
		t.Errorf("%+v, %v", resumed, err)
	}
	s.update(k.ID, authz.KeyPatch{Enabled: to(false)})
	if _, err := s.Revoke(t.Context(), "acme", k.ID); err != nil {
		t.Error(err)
	}
	for _, p := range []authz.KeyPatch{{Enabled: to(true)}, {Scopes: to([]string{})}, {Limits: to(burst)}, {Enabled: to(false)}} {
		if state := new(authz.StateError); !errors.As(second(s.update(k.ID, p)), &state) || state.Status != store.Revoked {
			t.Errorf("%+v of a revoked key: %v", p, state)
		}
	}
	if named, err := s.update(k.ID, authz.KeyPatch{Name: to("old")}); err != nil || named.Name != "old" {
		t.Errorf("name of a revoked key: %v", err)
	}
}

func second[A, B any](_ A, b B) B { return b }

// If the change can't be published here, the call fails, and the same call later publishes it.
func TestUpdateThatIsNotPublished(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	k := s.issue("acme", authz.IssueRequest{})
	s.store.Fail("Changes")
	suspend := authz.KeyPatch{Enabled: to(false)}
	if _, err := s.update(k.ID, suspend); !errors.Is(err, storetest.ErrBroken) || !s.publishes("acme", k.KID) {
		t.Fatalf("got %v", err)
	}
	s.store.Heal()
	if _, err := s.update(k.ID, suspend); err != nil || s.publishes("acme", k.KID) {
		t.Errorf("again: %v", err)
	}
}

// updateCase is a patch of a key with the scopes a and b that expires in an hour, in a workspace that offers a, b
// and c, and keys of at most a day.
type updateCase struct {
	name   string
	patch  authz.KeyPatch
	faulty string // the fields at fault
	owners string // the fields at fault if the key's owner asks, who was given the scopes a and c
}

func (s *server) updateCases() []updateCase {
	type patch = authz.KeyPatch
	in := func(d time.Duration) *time.Time { return to(s.Now().Add(d)) }
	ips := func(texts ...string) patch { return patch{AllowedIPs: &texts} }
	rules := func(rules ...jwks.Limit) patch { return patch{Limits: &rules} }
	const day = 24 * time.Hour
	return []updateCase{
		{"nothing", patch{}, "", ""},
		{"reason without suspension", patch{SuspendedReason: to("x")}, "suspended_reason", "suspended_reason"},
		{"reason of a resumed key", patch{Enabled: to(true), SuspendedReason: to("x")}, "suspended_reason", "suspended_reason"},
		{"long reason", patch{Enabled: to(false), SuspendedReason: to(strings.Repeat("é", 256))}, "suspended_reason", "suspended_reason"},
		{"reason with a line end", patch{Enabled: to(false), SuspendedReason: to("a\nb")}, "suspended_reason", "suspended_reason"},
		{"longest reason", patch{Enabled: to(false), SuspendedReason: to(strings.Repeat("é", 255))}, "", ""},

		{"earlier", patch{ExpiresAt: in(time.Minute)}, "", ""},
		{"later", patch{ExpiresAt: in(day)}, "", ""},
		{"too late", patch{ExpiresAt: in(day + time.Microsecond)}, "expires_at", "expires_at"},
		{"in a far year", patch{ExpiresAt: to(time.Date(99999, 1, 1, 0, 0, 0, 0, time.UTC))}, "expires_at", "expires_at"},
		{"now", patch{ExpiresAt: in(0)}, "expires_at", "expires_at"},
		{"the zero time", patch{ExpiresAt: to(time.Time{})}, "expires_at", "expires_at"},
		{"never", patch{NeverExpires: true}, "never_expires", "never_expires"},
		{"never and at a time", patch{NeverExpires: true, ExpiresAt: in(time.Minute)}, "expires_at", "expires_at"},

		{"scopes", patch{Scopes: to([]string{"a"})}, "", ""},
		{"no scopes", patch{Scopes: to([]string{})}, "", ""},
		{"another scope", patch{Scopes: to([]string{"c", "b"})}, "", ""},
		{"a scope that is not offered", patch{Scopes: to([]string{"a", "d"})}, "scopes", "scopes"},
		{"a scope twice", patch{Scopes: to([]string{"a", "a"})}, "scopes", "scopes"},
		{"no scope token", patch{Scopes: to([]string{"a b"})}, "scopes", "scopes"},

		{"no network", ips("192.0.2.300"), "allowed_ips", "allowed_ips"},
		{"empty network", ips(""), "allowed_ips", "allowed_ips"},
		{"network with a zone", ips("fe80::1%eth0"), "allowed_ips", "allowed_ips"},
		{"network too long", ips("192.0.2.0/33"), "allowed_ips", "allowed_ips"},
		{"half-mapped network", ips("::ffff:192.0.2.0/90"), "allowed_ips", "allowed_ips"},
		{"with a space", ips(" 192.0.2.0"), "allowed_ips", "allowed_ips"},
		{"NUL", ips("192.0.2.0\x00"), "allowed_ips", "allowed_ips"},
		{"too many networks", ips(strings.Fields(strings.Repeat("192.0.2.1 ", 33))...), "allowed_ips", "allowed_ips"},
		{"most networks", ips(strings.Fields(strings.Repeat("192.0.2.1 ", 32))...), "", ""},

		{"plan", patch{Plan: to("gold")}, "", "plan"},
		{"no plan", patch{Plan: to("")}, "", "plan"},
		{"unknown plan", patch{Plan: to("silver")}, "plan", "plan"},
		{"no name of a plan", patch{Plan: to("Gold")}, "plan", "plan plan"},
		{"another workspace's plan", patch{Plan: to("theirs")}, "plan", "plan"},

		{"rules", rules(burst[0], jwks.Limit{Name: "m", Requests: 1e9, Calendar: "month"}), "", "limits"},
		{"no rules", rules(), "", "limits"},
		{"rules of one name", rules(burst[0], burst[0]), "limits", "limits limits"},
		{"rule without a name", rules(jwks.Limit{Requests: 1, Seconds: 1}), "limits", "limits limits"},
		{"rule of a bad name", rules(jwks.Limit{Name: "A", Requests: 1, Seconds: 1}), "limits", "limits limits"},
		{"rule without requests", rules(jwks.Limit{Name: "a", Seconds: 1}), "limits[0].requests", "limits[0].requests limits"},
		{"too many requests", rules(jwks.Limit{Name: "a", Requests: 1e9 + 1, Seconds: 1}), "limits[0].requests", "limits[0].requests limits"},
		{"rule without a period", rules(burst[0], jwks.Limit{Name: "a", Requests: 1}), "limits[1]", "limits[1] limits"},
		{"two periods", rules(jwks.Limit{Name: "a", Requests: 1, Seconds: 1, Calendar: "day"}), "limits[0]", "limits[0] limits"},
		{"long period", rules(jwks.Limit{Name: "a", Requests: 1, Seconds: 31_536_001}), "limits[0].seconds", "limits[0].seconds limits"},
		{"no calendar", rules(jwks.Limit{Name: "a", Requests: 1, Calendar: "year"}), "limits[0].calendar", "limits[0].calendar limits"},
		{"too many rules", rules(slices.Repeat(burst, 9)...), "limits", "limits limits"},
	}
}

// A patch is stored entirely or not at all, and the error names what is at fault.
func TestAttributeInput(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.workspace("other")
	s.policy(store.Policy{Scopes: offered("a", "", "b", "", "c", ""), MaxExpiresIn: 86400})
	s.plan("acme", "gold")
	s.plan("other", "theirs")
	session := &store.Session{Workspace: "acme", Owner: "cust_1", Role: store.RoleOwner, ScopesAllowed: []string{"a", "c"}}
	for _, c := range s.updateCases() {
		for _, by := range []*store.Session{nil, session} {
			k := s.issue("acme", authz.IssueRequest{Scopes: []string{"a", "b"}, ExpiresIn: seconds(3600)})
			c.patch.Session, c.patch.Name = by, to("named")
			before, want := s.version("acme"), c.faulty
			if by != nil {
				want = c.owners
			}
			_, err := s.UpdateKey(t.Context(), "acme", k.ID, c.patch)
			if got := faults(t, err); got != want {
				t.Errorf("%s (owner: %t): %q at fault, want %q: %v", c.name, by != nil, got, want, err)
			}
			stored := must(s.Key(t.Context(), "acme", k.ID))
			if err != nil && (stored.Name != "" || s.version("acme") != before) {
				t.Errorf("%s: partly stored: %+v", c.name, stored)
			}
		}
	}
}

// faults returns the fields of an InputError.
func faults(t *testing.T, err error) string {
	t.Helper()
	var bad authz.InputError
	if err != nil && !errors.As(err, &bad) {
		t.Errorf("not an InputError: %v", err)
	}
	var fields []string
	for _, f := range bad {
		fields = append(fields, f.Field)
	}
	return strings.Join(fields, " ")
}

func TestNetworksAreNormal(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	given := []string{
		"192.0.2.7", "::ffff:192.0.2.7", "10.1.2.3/8", "::ffff:10.0.0.0/104", "2001:db8::7", "2001:db8:1::7/48", "0.0.0.0/0", "::/0",
	}
	var want []netip.Prefix
	for _, text := range []string{"192.0.2.7/32", "10.0.0.0/8", "2001:db8::7/128", "2001:db8:1::/48", "0.0.0.0/0", "::/0"} {
		want = append(want, netip.MustParsePrefix(text))
	}
	k := s.issue("acme", authz.IssueRequest{AllowedIPs: given})
	changed, err := s.update(s.issue("acme", authz.IssueRequest{}).ID, authz.KeyPatch{AllowedIPs: &given})
	if err != nil || !slices.Equal(k.AllowedIPs, want) || !slices.Equal(changed.AllowedIPs, want) {
		t.Errorf("issued with %v, changed to %v, want %v: %v", k.AllowedIPs, changed.AllowedIPs, want, err)
	}
}

// A key is issued with its attributes in one version. A successor gets the present ones.
func TestAttributesOfANewKey(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.plan("acme", "gold")
	version := s.version("acme")
	k := s.issue("acme", authz.IssueRequest{
		Scopes: []string{"a", "b"}, AllowedIPs: []string{"192.0.2.0/24"}, Plan: "gold", Limits: burst, ExpiresIn: seconds(3600),
	})
	changes := must(s.store.Changes(t.Context(), "acme", version, 9))
	if len(changes) != 1 || len(changes[0].Add) != 1 || len(changes[0].Unsigned.Set) != 1 {
		t.Fatalf("issued by %+v", changes)
	}
	want := jwks.Attributes{AllowedIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Plan: "gold", Limits: burst}
	s.sameAttributes(k.KID, want)
	later := s.Now().Add(2 * time.Hour)
	must(s.update(k.ID, authz.KeyPatch{Scopes: to([]string{"b"}), ExpiresAt: &later, Limits: to([]jwks.Limit{})}))
	next := must(s.Rotate(t.Context(), "acme", k.ID, authz.RotateRequest{}))
	want.Limits = nil
	s.sameAttributes(next.KID, want)
	if claims := claimsOf(t, next.Token); claims.Scope != "b" || claims.ExpiresAt().Sub(s.Now()).Round(time.Minute) != 2*time.Hour {
		t.Errorf("the successor's token: %+v", claims)
	}
	for _, r := range []authz.IssueRequest{{Plan: "silver"}, {Plan: "Ä"}, {AllowedIPs: []string{"x"}}, {Limits: []jwks.Limit{{}}}} {
		r.Owner = "cust_1"
		minted := s.minter.mintings()
		if _, err := s.Issue(t.Context(), "acme", r); faults(t, err) == "" || s.minter.mintings() != minted {
			t.Errorf("%+v: %v, and a key pair was made: %t", r, err, s.minter.mintings() != minted)
		}
	}
}

func claimsOf(t *testing.T, token jwks.Token) *jwks.Claims {
	t.Helper()
	parsed, err := jwks.Parse(token.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	return must(parsed.Claims())
}

func (s *server) sameAttributes(kid jwks.KID, want jwks.Attributes) {
	s.t.Helper()
	if got := s.attributes(kid); printOf(got) != printOf(want) {
		s.t.Errorf("attributes: %+v, want %+v", got, want)
	}
}

func printOf(a jwks.Attributes) jwks.Fingerprint { return (&jwks.KeyAttributes{Attributes: a}).Print() }

// The attributes tell gateways what the token does not, and EnforcedBy says who holds it.
func TestEnforcedBy(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.plan("acme", "gold")
	s.policy(store.Policy{})
	in := func(d time.Duration) *time.Time { return to(s.Now().Truncate(time.Second).Add(d)) }
	for _, c := range []struct {
		name  string
		patch authz.KeyPatch
		want  string
	}{
		{"nothing", authz.KeyPatch{}, ""},
		{"earlier", authz.KeyPatch{ExpiresAt: in(time.Minute)}, "expires_at:all"},
		{"later", authz.KeyPatch{ExpiresAt: in(2 * time.Hour)}, "expires_at:gateway"},
		{"never", authz.KeyPatch{NeverExpires: true}, "expires_at:gateway"},
		{"scopes", authz.KeyPatch{Scopes: to([]string{"a"})}, "scopes:gateway"},
		{"no scopes", authz.KeyPatch{Scopes: to([]string{})}, "scopes:gateway"},
		{"the scopes of the token in another order", authz.KeyPatch{Scopes: to([]string{"b", "a"})}, ""},
		{"everything else", authz.KeyPatch{
			Enabled: to(false), AllowedIPs: to([]string{"::1"}), Plan: to("gold"), Limits: to(burst),
		}, "allowed_ips:gateway enabled:all limits:gateway plan:gateway"},
	} {
		issued := s.issue("acme", authz.IssueRequest{Scopes: []string{"a", "b"}, ExpiresIn: seconds(3600)})
		k, err := s.update(issued.ID, c.patch)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		by := authz.EnforcedBy(&k)
		for _, name := range slices.Sorted(maps.Keys(by)) {
			got = append(got, name+":"+by[name])
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
		reset, err := s.update(issued.ID, authz.KeyPatch{
			Enabled: to(true), SignedExpiry: true, SignedScopes: true, AllowedIPs: to([]string{}), Plan: to(""), Limits: to([]jwks.Limit{}),
		})
		left := s.attributes(k.KID)
		if err != nil || len(authz.EnforcedBy(&reset)) > 0 || !reset.ExpiresAt.Equal(issued.ExpiresAt) || !left.IsZero() {
			t.Errorf("%s: after the reset %+v, %v", c.name, reset, err)
		}
	}
}

// With expiry by publication, a token has no exp. Its key leaves the set at the time, which can be moved.
func TestExpiryByPublication(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.policy(store.Policy{Expiry: store.ExpiryByPublication, MaxExpiresIn: 7200})
	k := s.issue("acme", authz.IssueRequest{ExpiresIn: seconds(3600)})
	if claims := claimsOf(t, k.Token); claims.Expiry != 0 || k.ExpiresAt.Sub(k.CreatedAt).Round(time.Second) != time.Hour {
		t.Errorf("%+v, expires at %s", claims, k.ExpiresAt)
	}
	s.sameAttributes(k.KID, jwks.Attributes{ExpiresAt: k.ExpiresAt})
	if by := authz.EnforcedBy(&k.Key); by["expires_at"] != authz.ByAll {
		t.Errorf("enforced by %v", by)
	}
	if _, err := s.update(k.ID, authz.KeyPatch{SignedExpiry: true}); faults(t, err) != "never_expires" {
		t.Errorf("reset to the token, which never expires: %v", err)
	}
	later := must(s.update(k.ID, authz.KeyPatch{ExpiresAt: to(s.Now().Add(90 * time.Minute))}))
	if by := authz.EnforcedBy(&later); by["expires_at"] != authz.ByAll {
		t.Errorf("moved: enforced by %v", by)
	}
	next := s.rotate(s.issue("acme", authz.IssueRequest{}).ID, authz.RotateRequest{})
	if claimsOf(t, next.Token).Expiry != 0 {
		t.Error("the successor's token has exp")
	}
	s.clock.Advance(61 * time.Minute)
	must(s.ReapDue(t.Context()))
	if !s.publishes("acme", k.KID) {
		t.Error("it left the set at its first time")
	}
	s.clock.Advance(30 * time.Minute)
	must(s.ReapDue(t.Context()))
	if s.publishes("acme", k.KID) {
		t.Error("it is published after its time")
	}
	if got := s.status(k.ID); got != store.Expired {
		t.Errorf("status %s", got)
	}
}

// The form of expiry is that of the policy when the key is stored.
func TestExpiryFormChangesWhileMinting(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.minter.minted = func() { s.policy(store.Policy{Expiry: store.ExpiryByPublication}) }
	if _, err := s.Issue(t.Context(), "acme", authz.IssueRequest{Owner: "o"}); faults(t, err) != "expires_in" {
		t.Errorf("got %v", err)
	}
}

// A date that is moved forward holds when it comes, also if no server has a reason to look.
func TestEarlierExpiryWakesReap(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	k := s.issue("acme", authz.IssueRequest{})
	ctx, cancel := context.WithCancel(t.Context())
	var reaping sync.WaitGroup
	reaping.Go(func() { s.Reap(ctx, authz.ReapOptions{Every: time.Hour}) })
	defer reaping.Wait()
	defer cancel()
	must(s.update(k.ID, authz.KeyPatch{ExpiresAt: to(s.Now().Add(time.Second))}))
	s.clock.Advance(time.Second)
	must(s.update(s.issue("acme", authz.IssueRequest{}).ID, authz.KeyPatch{ExpiresAt: to(s.Now().Add(time.Minute))})) // wakes it
	testkit.Eventually(t, "the key leaves", func() bool { return !s.publishes("acme", k.KID) })
}

// An owner pauses and resumes keys, but does not lift the producer's suspension or change its reason.
func TestOwnersSuspension(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	k := s.issue("acme", authz.IssueRequest{})
	session := &store.Session{Workspace: "acme", Owner: "cust_1", Role: store.RoleOwner}
	step := func(by *store.Session, enabled *bool, reason *string, fault string, status store.Status) {
		t.Helper()
		_, err := s.update(k.ID, authz.KeyPatch{Enabled: enabled, SuspendedReason: reason, Session: by})
		if got := faults(t, err); got != fault || s.status(k.ID) != status {
			t.Errorf("%q at fault, want %q; the key is %s", got, fault, s.status(k.ID))
		}
	}
	step(session, to(false), to("holiday"), "", store.Suspended)
	step(session, to(true), nil, "", store.Active)
	step(session, to(false), nil, "", store.Suspended)
	step(nil, to(true), nil, "", store.Active)
	step(session, to(false), nil, "", store.Suspended)
	step(nil, to(false), to("abuse"), "", store.Suspended) // takes over
	step(session, to(true), nil, "enabled", store.Suspended)
	step(session, nil, to("no abuse"), "suspended_reason", store.Suspended)
	step(session, to(false), nil, "", store.Suspended) // changes nothing
	step(session, to(true), nil, "enabled", store.Suspended)
	step(nil, to(true), nil, "", store.Active)
}

// Attributes of management keys would not hold, so only suspension is possible, which ends the key's rights and
// the sessions that it made.
func TestManagementKeysAttributes(t *testing.T) {
	s := newServer(t)
	must(s.Bootstrap(t.Context(), new(safe).keep))
	admin := must(s.Issue(t.Context(), authz.Home, authz.IssueRequest{Owner: "ops", Scopes: []string{authz.ScopeAdmin}}))
	for name, p := range map[string]authz.KeyPatch{
		"scopes": {Scopes: to([]string{authz.ScopeAdmin, authz.ScopeGateway})}, "expires_at": {ExpiresAt: to(s.Now().Add(time.Hour))},
		"never_expires": {NeverExpires: true}, "allowed_ips": {AllowedIPs: to([]string{"::1"})}, "limits": {Limits: to(burst)},
	} {
		if _, err := s.UpdateKey(t.Context(), authz.Home, admin.ID, p); faults(t, err) != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := s.Issue(t.Context(), authz.Home, authz.IssueRequest{
		Owner: "ops", Scopes: []string{authz.ScopeAdmin}, AllowedIPs: []string{"::1"},
	})
	if faults(t, err) != "allowed_ips" {
		t.Errorf("issue: %v", err)
	}
	_, err = s.UpdateWorkspace(t.Context(), authz.Home, func(w *store.Workspace) error {
		w.Policy.Expiry = store.ExpiryByPublication
		return nil
	})
	if faults(t, err) != "policy.expiry" {
		t.Errorf("policy: %v", err)
	}
	p := must(s.Authenticate(admin.Token.Reveal()))
	ctx, done := s.AsKey(t.Context(), p)
	defer done()
	must(s.UpdateKey(t.Context(), authz.Home, admin.ID, authz.KeyPatch{Enabled: to(false)}))
	if _, err := s.Authenticate(admin.Token.Reveal()); !errors.Is(err, authz.ErrUnauthenticated) || context.Cause(ctx) == nil {
		t.Errorf("suspended: %v, its call: %v", err, context.Cause(ctx))
	}
	must(s.UpdateKey(t.Context(), authz.Home, admin.ID, authz.KeyPatch{Enabled: to(true)}))
	if _, err := s.Authenticate(admin.Token.Reveal()); err != nil {
		t.Errorf("resumed: %v", err)
	}
}
