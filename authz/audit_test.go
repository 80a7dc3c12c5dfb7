package authz_test

import (
	"testing"
	"time"

	"github.com/burnkey/burnkey/store"
)

// A caller that is refused repeatedly can neither fill the disk with audit entries nor crowd out others'
// entries.
func TestRefusalsAreBounded(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	refuse := func(who, call string, times int) {
		ctx := store.By(t.Context(), store.Actor{Kind: store.ActorKey, ID: who})
		for range times {
			if err := s.Refused(ctx, "acme", call); err != nil {
				t.Fatal(err)
			}
		}
	}
	noted := func(who string) int {
		entries, _, err := s.Audit(t.Context(), "acme", store.AuditFilter{ActorID: who, Action: store.ActionCallRefuse, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	refuse("one", "issue-key", 50)
	refuse("one", "revoke-key", 1)
	refuse("two", "issue-key", 1)
	if one, two := noted("one"), noted("two"); one != 11 || two != 1 {
		t.Errorf("%d and %d were noted", one, two)
	}
	s.clock.Advance(time.Minute)
	refuse("one", "issue-key", 1)
	if one := noted("one"); one != 12 {
		t.Errorf("%d were noted a minute later", one)
	}
}
