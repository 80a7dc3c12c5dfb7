package e2e_test

import (
	"net/http"
	"testing"
	"time"
)

// A server that stops stores which keys were introspected. That is not a report about other keys.
func TestE2EUsesAreStored(t *testing.T) {
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	used, idle := admin.mustIssue(t, "acme"), admin.mustIssue(t, "acme")
	if active, err := admin.introspect("acme", used.Token); err != nil || !active {
		t.Fatal(active, err)
	}
	s.stop()
	s.start()
	for _, k := range []key{used, idle} {
		var got struct {
			LastUsedAt *time.Time `json:"last_used_at"`
		}
		check(t, admin.call(http.MethodGet, "/v1/workspaces/acme/keys/"+k.ID, nil, &got))
		if isUsed := got.LastUsedAt != nil; isUsed != (k.ID == used.ID) {
			t.Errorf("used: %t, last used at %v", k.ID == used.ID, got.LastUsedAt)
		}
	}
	var workspace struct {
		UsageReportedAt *time.Time `json:"usage_reported_at"`
	}
	if check(t, admin.call(http.MethodGet, "/v1/workspaces/acme", nil, &workspace)); workspace.UsageReportedAt != nil {
		t.Errorf("the use of all keys counts as reported at %v", workspace.UsageReportedAt)
	}
}
