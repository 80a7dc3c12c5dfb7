package portal_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// An owner sees in the forms what the provider set, and is refused beside the field beyond it.
func TestOwnersSeeWhatTheProviderSet(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.update("acme", func(set *store.Workspace) {
		set.Policy.Scopes = []store.OfferedScope{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	})
	v, operator := s.owner("acme", "cust_1"), s.operator("acme")
	k := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Web shop", Scopes: []string{"a", "b", "c"}})
	v.get(keyPath(k)).want(200).hasNot("The provider set")
	operator.post(anyPath(k), anyPath(k, "addresses"), url.Values{"addresses": {"10.0.0.0/8"}}).want(303)
	operator.post(anyPath(k), anyPath(k, "scopes"), url.Values{"scopes": {"a", "b"}}).want(303)
	at := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	if _, err := s.UpdateKey(t.Context(), "acme", k.ID, authz.KeyPatch{ExpiresAt: &at}); err != nil {
		t.Fatal(err)
	}
	v.get(keyPath(k)).want(200).has("choose only addresses within them: 10.0.0.0/8", "latest possible expiry: 10 March 2026, 12:00 UTC",
		"choose only from them: a b", "Allowed addresses changed")
	operator.get(anyPath(k)).want(200).hasNot("The provider set")
	for _, c := range []struct{ action, field, value, fault string }{
		{"addresses", "addresses", "10.0.0.0/7", "within those that the provider set for this key: 10.0.0.0/8"},
		{"addresses", "addresses", "", "within those that the provider set for this key: 10.0.0.0/8"},
		{"scopes", "scopes", "c", "from the scopes that the provider set for this key: a, b"},
		{"expiry", "date", "2026-03-11", "later than 10 March 2026, 12:00 UTC, which the provider set"},
	} {
		form := url.Values{"expiry": {"date"}, c.field: {c.value}}
		page := v.post(keyPath(k), keyPath(k, c.action), form).want(422).has(c.fault)
		if !strings.Contains(page.body, `id="`+c.action+`-fault"`) {
			t.Errorf("%s: is not said beside the field", c.action)
		}
	}
	v.post(keyPath(k), keyPath(k, "expiry"), url.Values{"expiry": {"signed"}}).want(422)
	v.post(keyPath(k), keyPath(k, "addresses"), url.Values{"addresses": {"10.1.0.0/16"}}).want(303)
	v.post(keyPath(k), keyPath(k, "scopes"), url.Values{"scopes": {"b"}}).want(303)
	v.post(keyPath(k), keyPath(k, "expiry"), url.Values{"expiry": {"date"}, "date": {"2026-03-10"}}).want(303)
	if now := s.present(k); !now.ExpiresAt.Equal(at) || !slices.Equal(now.Scopes, []string{"b"}) || len(now.Ceiling.Scopes) != 2 {
		t.Errorf("got %+v", now)
	}
}
