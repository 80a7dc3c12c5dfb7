package portal_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// An operator creates a key for an owner and sees its token once. The audit names the operator.
func TestCreateForAnOwner(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.update("acme", func(set *store.Workspace) { set.Policy.Scopes = []store.OfferedScope{{Name: "maps:read"}} })
	v := s.operator("acme")
	const path = "/portal/acme/operator/keys"
	p := v.get(path+"/new?owner=cust_7").want(200).has("Owner", "Create key")
	form := url.Values{"once": {p.hidden("once")}, "owner": {"cust_7"}, "name": {"Shop"}, "scopes": {"maps:read"}, "expiry": {"604800"}}
	for field, value := range map[string]string{"owner": " ", "name": "", "expiry": "x", "scopes": "maps:write"} {
		v.post(path+"/new", path, with(form, field, value)).want(422).hasNot(jwks.TokenPrefix)
	}
	if keys, _, err := s.Keys(t.Context(), "acme", store.Filter{Limit: 9}); err != nil || len(keys) > 0 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	made := v.post(path+"/new", path, form).want(200)
	if !strings.Contains(made.body, s.minter.last()) {
		t.Error("the page does not show the token")
	}
	v.post(path+"/new", path, form).want(409).hasNot(jwks.TokenPrefix) // sent twice
	keys, _, err := s.Keys(t.Context(), "acme", store.Filter{Limit: 9})
	check(t, err)
	if len(keys) != 1 || keys[0].Owner != "cust_7" || keys[0].Scopes[0] != "maps:read" || keys[0].ExpiresAt.Sub(s.clock()) > 7*24*time.Hour {
		t.Fatalf("the keys are %+v", keys)
	}
	if entries, _, err := s.Audit(t.Context(), "acme", store.AuditFilter{Action: store.ActionKeyIssue, Limit: 1}); err != nil ||
		entries[0].Actor.Kind != store.ActorOperator {
		t.Errorf("the audit has %+v, %v", entries, err)
	}
	v.get(path + "/" + keys[0].ID.String() + "/live").want(200)
	v.get(path).want(200).hasNot(jwks.TokenPrefix)
}

// The page of an owner has that owner's keys, limits and requests, and nobody else's.
func TestOwnersPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	mine := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Mine"})
	s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Second"})
	s.issue("acme", authz.IssueRequest{Owner: "cust_2", Name: "Theirs"})
	s.issue("other", authz.IssueRequest{Owner: "cust_1", Name: "Foreign"})
	_, err := s.Revoke(t.Context(), "acme", mine.ID)
	check(t, err)
	_, err = s.CreateLimits(t.Context(), "acme", authz.LimitsRequest{
		On: jwks.OnOwner, Name: "cust_1", Limits: []jwks.Limit{{Name: "burst", Requests: 7, Seconds: 60}},
	})
	check(t, err)
	v := s.operator("acme")
	const path = "/portal/acme/operator/owner"
	v.get(path+"?owner=cust_1").want(200).has("1 Active", "1 Revoked", "burst", "0 waiting", "Create key").hasNot("Theirs", "Foreign").
		listsExactly("Second", "Mine")
	v.get(path + "?owner=nobody").want(200).has("There are no API keys yet.")
	v.get(path).want(404)
	v.get(path + "?owner=%00").want(404)
}
