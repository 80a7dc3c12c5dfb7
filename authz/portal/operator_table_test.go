package portal_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
)

const tablePath = "/portal/acme/operator/keys"

// keysOf issues keys whose names, owners and times of expiry are in different orders.
func (s *site) keysOf() {
	days := func(n int64) *int64 { n *= 86400; return &n }
	for _, k := range []struct {
		name, owner string
		days        int64
	}{{"delta", "b", 10}, {"Alpha", "c", 60}, {"charlie", "a", 5}, {"bravo", "b", 90}} {
		s.issue("acme", authz.IssueRequest{Owner: k.owner, Name: k.name, Scopes: []string{"maps:read"}, ExpiresIn: days(k.days)})
		s.advance(time.Second)
	}
}

// The table can be sorted by each column whose head is a link, in both directions, and keeps its order on the next page.
func TestTableOrders(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.keysOf()
	v := s.operator("acme")
	for query, want := range map[string]string{
		"":                          "bravo charlie Alpha delta",
		"sort=created":              "delta Alpha charlie bravo",
		"sort=name":                 "Alpha bravo charlie delta",
		"sort=-name":                "delta charlie bravo Alpha",
		"sort=owner":                "charlie delta bravo Alpha",
		"sort=expires":              "charlie delta Alpha bravo",
		"sort=nonsense":             "bravo charlie Alpha delta",
		"sort=name&owner=b":         "bravo delta",
		"status=expiring":           "charlie delta",
		"status=expiring&sort=name": "charlie delta",
		"sort=used":                 "",
		"size=7&sort=name":          "Alpha bravo charlie delta",
	} {
		v.get(tablePath + "?" + query).want(200).listsExactly(strings.Fields(want)...)
	}
	if p := v.get(tablePath + "?sort=name").want(200); strings.Count(p.body, "aria-sort") != 1 ||
		!strings.Contains(p.body, `aria-sort="ascending"><a href="`+tablePath+`?sort=-name"`) {
		t.Error("the head of the column does not say the order, or does not lead to its opposite")
	}
	for i := range 60 {
		s.issue("acme", authz.IssueRequest{Owner: "z", Name: fmt.Sprintf("more %02d", i)})
	}
	path, seen := tablePath+"?owner=z&sort=-name&size=50&col=id", []string{}
	for range 2 {
		p := v.get(path).want(200).hasNot("Expires 2026")
		seen = append(seen, p.names()...)
		path = p.next()
	}
	if path != "" || len(seen) != 60 || seen[0] != "more 59" || seen[50] != "more 09" {
		t.Errorf("%d keys, then %q", len(seen), path)
	}
}

// The overview counts what its links list.
func TestOverview(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.keysOf()
	paused := s.issue("acme", authz.IssueRequest{Owner: "a", Name: "paused"})
	off := false
	_, err := s.UpdateKey(t.Context(), "acme", paused.ID, authz.KeyPatch{Enabled: &off})
	check(t, err)
	s.issue("other", authz.IssueRequest{Owner: "a", Name: "foreign"})
	check(t, s.Refused(t.Context(), "acme", "issue-key"))
	v := s.operator("acme")
	v.get("/portal/acme/operator/overview").want(200).has(
		"4 keys work", "2 of them expire within 30 days", "0 keys are being replaced", "1 keys are paused",
		"0 requests are waiting for an answer", "1 API calls and logins were refused in the last 24 hours",
	)
	v.get(tablePath + "?status=suspended").want(200).listsExactly("paused")
	v.get(tablePath+"?status=expiring").want(200).listsExactly("charlie", "delta")
}
