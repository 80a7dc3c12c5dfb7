package api_test

import (
	"strings"
	"testing"
)

// For an unknown action or an invalid time in the audit's filters, the answer says which values are allowed.
func TestFiltersOfTheAuditSayWhatTheyTake(t *testing.T) {
	s := newServer(t)
	for _, path := range []string{"/v1/workspaces/acme/audit", "/v1/workspaces/acme/audit.csv"} {
		for query, words := range map[string]string{
			"action=key.isue": "key.issue", "action=KEY.ISSUE": "key.issue", "action=" + marker: "session.start",
			"since=yesterday":  "RFC 3339, such as 2026-01-31T12:00:00Z",
			"until=2026-01-31": "RFC 3339, such as 2026-01-31T12:00:00Z",
		} {
			field, _, _ := strings.Cut(query, "=")
			a := s.do("GET", path+"?"+query, nil)
			s.wantRefused(t, a, field)
			if p := a.problem(); !strings.Contains(p.Errors[0].Detail, words) || strings.Contains(p.Errors[0].Detail, "2006") {
				t.Errorf("%s: %s", query, p.Errors[0].Detail)
			}
		}
		s.do("GET", path+"?action=login.refuse&since=2026-01-31T12:00:00%2B01:00", nil).want(200)
	}
	a := s.do("POST", "/v1/workspaces/acme/revocations", `{"created_before":"2026-01-31"}`)
	s.wantRefused(t, a, "created_before")
	if p := a.problem(); !strings.Contains(p.Errors[0].Detail, "RFC 3339, such as") {
		t.Errorf("created_before: %+v", p.Errors)
	}
}
