package authz_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// ceilingServer offers the scopes a, b and c, keys of at most 100 days, and keys without expiry.
func ceilingServer(t *testing.T) (*server, *store.Session) {
	t.Helper()
	s := newServer(t)
	s.workspace("acme")
	s.policy(store.Policy{Scopes: offered("a", "", "b", "", "c", ""), PortalNeverExpires: true})
	return s, &store.Session{Workspace: "acme", Owner: "cust_1", Role: store.RoleOwner}
}

// bounded are the ways in which a producer sets a ceiling: the scopes a and b, an expiry in ten days, and the
// networks 10.0.0.0/8 and 2001:db8::/32. Each way returns a key with the attributes that it sets.
func (s *server) bounded(at time.Time) map[string]func(attribute string) uuid.UUID {
	t := s.t
	networks := []string{"::ffff:10.0.0.0/104", "2001:db8::/32"}
	patches := map[string]authz.KeyPatch{
		"expires_at": {ExpiresAt: &at}, "scopes": {Scopes: to([]string{"a", "b"})}, "allowed_ips": {AllowedIPs: &networks},
	}
	issue := func() uuid.UUID {
		return s.issue("acme", authz.IssueRequest{Scopes: []string{"a", "b", "c"}, ExpiresIn: seconds(40 * 86400)}).ID
	}
	return map[string]func(string) uuid.UUID{
		"issue": func(attribute string) uuid.UUID {
			if attribute != "allowed_ips" {
				return uuid.Nil
			}
			return s.issue("acme", authz.IssueRequest{AllowedIPs: networks}).ID
		},
		"patch": func(attribute string) uuid.UUID {
			id := issue()
			must(s.update(id, patches[attribute]))
			return id
		},
		"patch to what the owner chose": func(attribute string) uuid.UUID {
			id, p := issue(), patches[attribute]
			p.Session = &store.Session{Workspace: "acme", Owner: "cust_1", Role: store.RoleOwner}
			must(s.update(id, p))
			must(s.update(id, patches[attribute]))
			return id
		},
		"bulk": func(attribute string) uuid.UUID {
			id := issue()
			changed, _, err := s.UpdateMany(t.Context(), "acme", authz.Selection{IDs: []uuid.UUID{id}}, patches[attribute], false)
			if err != nil || len(changed) != 1 {
				t.Fatalf("%d changed, %v", len(changed), err)
			}
			return id
		},
		"approval": func(attribute string) uuid.UUID {
			if attribute != "scopes" {
				return uuid.Nil
			}
			id := issue()
			must(s.update(id, authz.KeyPatch{Scopes: to([]string{"a"})}))
			r := s.request(authz.NewRequest{Key: id, Wanted: store.Wanted{Scopes: []string{"b"}}})
			must(s.decide(r.ID, store.RequestApproved))
			return id
		},
		"rotation": func(attribute string) uuid.UUID {
			id := issue()
			must(s.update(id, patches[attribute]))
			return s.rotate(id, authz.RotateRequest{Session: &store.Session{Workspace: "acme", Owner: "cust_1", Role: store.RoleOwner}}).ID
		},
	}
}

type ownersChange struct {
	attribute, name string
	patch           authz.KeyPatch
	allowed         bool
}

func ownersChanges(at time.Time) []ownersChange {
	scopes := func(scopes ...string) authz.KeyPatch { return authz.KeyPatch{Scopes: &scopes} }
	ips := func(texts ...string) authz.KeyPatch { return authz.KeyPatch{AllowedIPs: &texts} }
	return []ownersChange{
		{"expires_at", "the same", authz.KeyPatch{ExpiresAt: &at}, true},
		{"expires_at", "earlier", authz.KeyPatch{ExpiresAt: to(at.Add(-time.Hour))}, true},
		{"expires_at", "later", authz.KeyPatch{ExpiresAt: to(at.Add(time.Second))}, false},
		{"expires_at", "never", authz.KeyPatch{NeverExpires: true}, false},

		{"scopes", "the same in another order", scopes("b", "a"), true},
		{"scopes", "fewer", scopes("b"), true},
		{"scopes", "none", scopes(), true},
		{"scopes", "others", scopes("a", "b", "c"), false},
		{"scopes", "another", scopes("c"), false},

		{"allowed_ips", "the same", ips("2001:db8::/32", "10.0.0.0/8"), true},
		{"allowed_ips", "narrower", ips("10.1.0.0/16", "::ffff:10.2.0.1", "2001:db8:1::1"), true},
		{"allowed_ips", "one of them", ips("10.0.0.0/8"), true},
		{"allowed_ips", "wider", ips("10.0.0.0/7"), false},
		{"allowed_ips", "another", ips("10.1.0.0/16", "192.0.2.1"), false},
		{"allowed_ips", "any", ips("0.0.0.0/0", "::/0"), false},
		{"allowed_ips", "v4 mapped to another", ips("::ffff:11.0.0.1"), false},
		{"allowed_ips", "none", ips(), false},
	}
}

// An owner tightens what the producer set, and takes that back, but does not loosen it, whichever way it was set.
func TestOwnersStayWithinTheCeiling(t *testing.T) {
	s, session := ceilingServer(t)
	at := s.Now().Add(10 * 24 * time.Hour).UTC().Truncate(time.Second)
	for way, set := range s.bounded(at) {
		for _, c := range ownersChanges(at) {
			id := set(c.attribute)
			if id == uuid.Nil {
				continue
			}
			before, version := must(s.Key(t.Context(), "acme", id)), s.version("acme")
			c.patch.Session = session
			_, err := s.update(id, c.patch)
			if got := faults(t, err); (got == "") != c.allowed || got != "" && got != c.attribute {
				t.Errorf("%s, %s of %s: %v", way, c.name, c.attribute, err)
			}
			after := must(s.Key(t.Context(), "acme", id))
			if !after.Ceiling.Equal(&before.Ceiling) || !c.allowed && s.version("acme") != version {
				t.Errorf("%s, %s of %s: changed %+v to %+v", way, c.name, c.attribute, before, after)
			}
			back := authz.KeyPatch{Session: session}
			switch c.attribute {
			case "expires_at":
				back.ExpiresAt = &at
			case "scopes":
				back.Scopes = &before.Ceiling.Scopes
			case "allowed_ips":
				back.AllowedIPs = to([]string{"10.0.0.0/8", "2001:db8::/32"})
			}
			if _, err := s.update(id, back); err != nil {
				t.Errorf("%s, %s of %s, taken back: %v", way, c.name, c.attribute, err)
			}
		}
	}
}

// The errors name the limit.
func TestErrorsNameTheCeiling(t *testing.T) {
	s, session := ceilingServer(t)
	at := s.Now().Add(10 * 24 * time.Hour).UTC().Truncate(time.Second)
	k := s.issue("acme", authz.IssueRequest{Scopes: []string{"a"}, AllowedIPs: []string{"10.0.0.0/8", "192.0.2.7"}})
	must(s.update(k.ID, authz.KeyPatch{ExpiresAt: &at, Scopes: to([]string{})}))
	_, err := s.update(k.ID, authz.KeyPatch{
		Session: session, NeverExpires: true, Scopes: to([]string{"a"}), AllowedIPs: to([]string{}),
	})
	for _, want := range []string{
		"expires_at: must be at most " + at.Format(time.RFC3339) + ", which the producer set",
		"scopes: must be among the scopes that the producer set for this key: none",
		"allowed_ips: each must be within those that the producer set for this key: 10.0.0.0/8, 192.0.2.7/32",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A reset by the producer ends the ceiling, and without one an owner is bound by the policy alone.
func TestTheProducerLiftsTheCeiling(t *testing.T) {
	s, session := ceilingServer(t)
	at := s.Now().Add(10 * 24 * time.Hour)
	wide := []authz.KeyPatch{
		{ExpiresAt: to(at.Add(time.Hour))},
		{NeverExpires: true},
		{SignedExpiry: true},
		{Scopes: to([]string{"a", "c"})},
		{SignedScopes: true},
		{AllowedIPs: to([]string{"192.0.2.1"})},
		{AllowedIPs: to([]string{})},
	}
	for i := range wide {
		wide[i].Session = session
	}
	for name, lift := range map[string]authz.KeyPatch{
		"reset":  {SignedExpiry: true, SignedScopes: true, AllowedIPs: to([]string{})},
		"widest": {NeverExpires: true, Scopes: to([]string{"a", "b", "c"}), AllowedIPs: to([]string{"0.0.0.0/0"})},
	} {
		k := s.issue("acme", authz.IssueRequest{Scopes: []string{"a", "b"}, ExpiresIn: seconds(20 * 86400)})
		must(s.update(k.ID, authz.KeyPatch{ExpiresAt: &at, Scopes: to([]string{"a"}), AllowedIPs: to([]string{"10.0.0.0/8"})}))
		for _, p := range wide {
			if faults(t, second(s.update(k.ID, p))) == "" {
				t.Errorf("%+v is beyond the ceiling", p)
			}
		}
		lifted := must(s.update(k.ID, lift))
		if name == "reset" != lifted.Ceiling.IsZero() {
			t.Errorf("%s: %+v", name, lifted.Ceiling)
		}
		for _, p := range wide[:6] {
			if _, err := s.update(k.ID, p); err != nil {
				t.Errorf("%s: %+v: %v", name, p, err)
			}
		}
		if got := faults(t, second(s.update(k.ID, wide[6]))); (got == "") != (name == "reset") {
			t.Errorf("%s: any network: %q", name, got)
		}
	}
}

// An owner's own choice is no ceiling, neither when they create a key nor when they change it.
func TestOwnersSetNoCeiling(t *testing.T) {
	s, session := ceilingServer(t)
	k := s.issue("acme", authz.IssueRequest{Scopes: []string{"a"}, AllowedIPs: []string{"10.0.0.1"}, Session: session})
	at := s.Now().Add(time.Hour)
	changed := must(s.update(k.ID, authz.KeyPatch{
		ExpiresAt: &at, Scopes: to([]string{}), AllowedIPs: to([]string{"10.0.0.2"}), Session: session,
	}))
	if !k.Ceiling.IsZero() || !changed.Ceiling.IsZero() {
		t.Errorf("issued with %+v, changed to %+v", k.Ceiling, changed.Ceiling)
	}
	// The approval of a scope takes no other scope away.
	r := s.request(authz.NewRequest{Key: k.ID, Wanted: store.Wanted{Scopes: []string{"b"}}, Session: session})
	must(s.decide(r.ID, store.RequestApproved))
	must(s.update(k.ID, authz.KeyPatch{Scopes: to([]string{"a", "b"}), Session: session}))
	must(s.update(k.ID, authz.KeyPatch{Scopes: to([]string{"a", "b"})}))
	must(s.update(k.ID, authz.KeyPatch{Scopes: to([]string{"a"}), Session: session}))
	r = s.request(authz.NewRequest{Key: k.ID, Wanted: store.Wanted{Scopes: []string{"c"}}, Session: session})
	must(s.decide(r.ID, store.RequestApproved))
	granted := must(s.Key(t.Context(), "acme", k.ID))
	if !slices.Equal(granted.Scopes, []string{"a", "c"}) || !slices.Equal(granted.Ceiling.Scopes, []string{"a", "b", "c"}) {
		t.Errorf("approved: %+v", granted)
	}
}

// An owner who rotates a fenced key gets a fenced one, and its token expires no later than the producer set.
func TestRotationKeepsTheCeiling(t *testing.T) {
	s, session := ceilingServer(t)
	at := s.Now().Add(time.Hour + time.Millisecond).UTC().Truncate(time.Microsecond)
	fence := authz.KeyPatch{ExpiresAt: &at, Scopes: to([]string{"a"}), AllowedIPs: to([]string{"10.0.0.0/8"})}
	for _, p := range []store.Policy{
		{Scopes: offered("a", "", "b", ""), PortalNeverExpires: true}, {Expiry: store.ExpiryByPublication, Scopes: offered("a", "", "b", "")},
	} {
		s.policy(p)
		k := s.issue("acme", authz.IssueRequest{Scopes: []string{"a", "b"}, ExpiresIn: seconds(40 * 86400)}).Key
		want := must(s.update(k.ID, fence)).Ceiling
		for range 2 {
			next := s.rotate(k.ID, authz.RotateRequest{Session: session})
			if !next.Ceiling.Equal(&want) || next.ExpiresAt.After(at) || at.Sub(next.ExpiresAt) > time.Second ||
				!slices.Equal(next.Scopes, []string{"a"}) || !slices.Equal(next.AllowedIPs, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}) {
				t.Errorf("the successor is %+v", next.Key)
			}
			if claims := claimsOf(t, next.Token); claims.Expiry > at.Unix() || (claims.Expiry == 0) != (p.Expiry != "") {
				t.Errorf("its token says %+v", claims)
			}
			k = next.Key
		}
	}
}

// A key that is fenced after the token of its successor was signed has a fenced successor.
func TestCeilingRacesRotation(t *testing.T) {
	s, session := ceilingServer(t)
	k := s.issue("acme", authz.IssueRequest{ExpiresIn: seconds(86400)})
	at := s.Now().Add(time.Minute)
	s.minter.minted = func() {
		must(s.update(k.ID, authz.KeyPatch{ExpiresAt: &at, AllowedIPs: to([]string{"10.0.0.0/8"})}))
	}
	next := s.rotate(k.ID, authz.RotateRequest{Session: session})
	if got := s.attributes(next.KID); len(got.AllowedIPs) != 1 || !next.ExpiresAt.Equal(at) || !got.ExpiresAt.Equal(at) {
		t.Errorf("the successor is %+v", next.Key)
	}
	if _, err := s.update(next.ID, authz.KeyPatch{AllowedIPs: to([]string{}), Session: session}); faults(t, err) != "allowed_ips" {
		t.Errorf("it is freed: %v", err)
	}
}

// The ceiling counts as it is in the transaction of the owner's change.
func TestCeilingRacesTheOwner(t *testing.T) {
	s, session := ceilingServer(t)
	k := s.issue("acme", authz.IssueRequest{})
	s.store.Hook("UpdateKey", func(context.Context) error {
		s.store.Heal()
		return second(s.update(k.ID, authz.KeyPatch{AllowedIPs: to([]string{"10.0.0.0/8"})}))
	})
	_, err := s.update(k.ID, authz.KeyPatch{AllowedIPs: to([]string{"192.0.2.1"}), Session: session})
	if faults(t, err) != "allowed_ips" || errors.Is(err, authz.ErrNotActive) {
		t.Errorf("got %v", err)
	}
}
