package portal_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

const auditPath = "/portal/acme/operator/audit"

// count returns the number of audit entries on a page.
func (p *page) count() int { return strings.Count(p.body, "<li>\n<p><strong>") }

func TestAuditFilters(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.issue("other", authz.IssueRequest{Owner: "cust_1", Name: "elsewhere"})
	k := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Shop"})
	by := store.By(t.Context(), store.Actor{Kind: store.ActorKey, ID: "a-management-key", From: "203.0.113.9"})
	s.advance(24 * time.Hour)
	_, err := s.Revoke(by, "acme", k.ID)
	check(t, err)
	check(t, s.Refused(by, "acme", "issue-key"))
	s.advance(24 * time.Hour)
	v := s.operator("acme")
	for query, want := range map[string]int{
		"":                                  5, // created, issued, revoked, refused, logged in
		"owner=cust_1":                      2,
		"owner=cust_1&action=key.issue":     1,
		"key=" + k.ID.String():              2,
		"action=key.revoke":                 1,
		"action=nonsense":                   0,
		"actor=a-management-key":            2,
		"result=refused":                    1,
		"result=ok":                         4,
		"since=2026-03-05":                  3,
		"since=2026-03-05&until=2026-03-05": 2,
		"until=2026-03-04":                  2,
		"until=2026-03-03":                  0,
	} {
		if p := v.get(auditPath + "?" + query).want(200).hasNot("elsewhere"); p.count() != want {
			t.Errorf("%s: %d entries: %s", query, p.count(), p.text())
		}
	}
	v.get(auditPath).has("Key revoked", "Owner cust_1", "Management key a-management-key · 203.0.113.9",
		"API call rejected Rejected", "Logged in")
	for query, want := range map[string]string{
		"key=x": "This is not a valid key ID.", "since=x": "Enter a valid date.",
		"until=2026-02-30": "Enter a valid date.",
	} {
		for _, path := range []string{auditPath, auditPath + ".csv", auditPath + ".json"} {
			v.get(path + "?" + query).want(422).has(want)
		}
	}
	v.get(auditPath + "?actor=a%00b").want(404)
}

func TestPagesOfTheAudit(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i := range 120 { // each with its own call, since repeated refusals of a call are not all recorded
		check(t, s.Refused(t.Context(), "acme", fmt.Sprint("call-", i)))
	}
	v := s.operator("acme")
	path, seen := auditPath+"?result=refused", 0
	for range 5 {
		p := v.get(path).want(200)
		seen += p.count()
		if path = p.next(); path == "" {
			break
		}
	}
	if seen != 120 {
		t.Errorf("%d entries", seen)
	}
}

// No cell of an export is a formula to a spreadsheet.
func TestExport(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, owner := range []string{"=cmd()", "+1", "-1", "@x", `a "quoted", <b>owner</b>`} {
		s.issue("acme", authz.IssueRequest{Owner: owner, Name: "Shop"})
	}
	s.issue("other", authz.IssueRequest{Owner: "elsewhere"})
	v := s.operator("acme")
	p := v.get(auditPath + ".csv?action=key.issue").want(200)
	if h := p.Header(); !strings.HasPrefix(h.Get("Content-Type"), "text/csv") ||
		h.Get("Content-Disposition") != `attachment; filename="acme-audit.csv"` {
		t.Error(h)
	}
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(p.body, "\ufeff"))).ReadAll()
	check(t, err)
	var owners []string
	for _, row := range rows[1:] {
		owners = append(owners, row[4])
	}
	if want := `a "quoted", <b>owner</b>|'@x|'-1|'+1|'=cmd()`; strings.Join(owners, "|") != want || rows[0][0] != "at" {
		t.Errorf("the owners are %q", owners)
	}
	var file struct {
		Entries []struct {
			Owner, Action, Result, Key string
			Actor                      struct{ Kind string }
			Detail                     struct{ Name string }
		}
		More bool
	}
	p = v.get(auditPath + ".json?action=key.issue").want(200)
	check(t, json.Unmarshal([]byte(p.body), &file))
	if len(file.Entries) != 5 || file.More || file.Entries[4].Owner != "=cmd()" || file.Entries[0].Detail.Name != "Shop" ||
		file.Entries[0].Actor.Kind != store.ActorSystem || p.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%+v", file)
	}
	if strings.Contains(v.get(auditPath+".json").want(200).body, "elsewhere") {
		t.Error("another workspace's entries are exported")
	}
}

// An export is read in several steps. A JSON export ends by saying whether older entries were left out.
func TestALongExport(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.store.Store = &endless{Store: s.store.Store, most: 2500}
	v := s.operator("acme")
	lines := func() int { return strings.Count(v.get(auditPath+".csv").want(200).body, "\n") - 1 }
	if got := lines(); got != 2500 {
		t.Errorf("%d entries", got)
	}
	s.store.Store.(*endless).most = 10_500
	if got := lines(); got != 10_000 {
		t.Errorf("%d entries", got)
	}
	const more = `"more":true}` + "\n"
	if !strings.HasSuffix(v.get(auditPath+".json").body, more) {
		t.Error("it does not say that there are more")
	}
	s.store.Store.(*endless).detail = `{"policy":"` + strings.Repeat("x", 150<<10) + `"}`
	if got := v.get(auditPath + ".json").want(200).body; len(got) > 17<<20 || len(got) < 15<<20 || !strings.HasSuffix(got, more) {
		t.Errorf("large entries make %d bytes", len(got))
	}
	v.get(auditPath).want(200).has(fmt.Sprintf("up to the latest %d", 10_000))
}
