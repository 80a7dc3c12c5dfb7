package authz_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// In the portal, an owner gets only what is offered there, even by bypassing the form or by rotating a key that
// has more. The management API has no such limits.
func TestTheOfferOfThePage(t *testing.T) {
	const year, decade = authz.PageMaxExpiresIn, authz.MaxExpiresIn
	named := []store.OfferedScope{{Name: "maps:read"}, {Name: "maps:write"}}
	for name, c := range map[string]struct {
		policy  store.Policy
		allowed []string // scopes_allowed of the link
		scopes  string   // scopes that a key may have
		most    int64    // longest life in seconds
		never   bool
	}{
		"nothing is named":      {store.Policy{}, nil, "", year, false},
		"by the link":           {store.Policy{}, []string{"maps:read"}, "maps:read", year, false},
		"by the policy":         {store.Policy{Scopes: named}, nil, "maps:read maps:write", year, false},
		"by both":               {store.Policy{Scopes: named}, []string{"maps:write", "admin"}, "maps:write", year, false},
		"by the link, nothing":  {store.Policy{Scopes: named}, []string{}, "", year, false},
		"a longer default":      {store.Policy{DefaultExpiresIn: 2 * year}, nil, "", 2 * year, false},
		"a longer maximum":      {store.Policy{MaxExpiresIn: 3 * year}, nil, "", 3 * year, false},
		"never":                 {store.Policy{PortalNeverExpires: true}, nil, "", decade, true},
		"never, with a maximum": {store.Policy{PortalNeverExpires: true, MaxExpiresIn: 100}, nil, "", 100, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			if _, err := s.CreateWorkspace(t.Context(), authz.WorkspaceRequest{ID: "acme", AllowNeverExpires: true}); err != nil {
				t.Fatal(err)
			}
			_, err := s.UpdateWorkspace(t.Context(), "acme", func(w *store.Workspace) error { w.Policy = c.policy; return nil })
			if err != nil {
				t.Fatal(err)
			}
			session := &store.Session{Workspace: "acme", Owner: "cust_1", Role: store.RoleOwner, ScopesAllowed: c.allowed}
			may := func(what string, r authz.IssueRequest, want bool) {
				t.Helper()
				r.Owner, r.Session = "cust_1", session
				_, err := s.Issue(t.Context(), "acme", r)
				if bad := authz.InputError(nil); (err == nil) != want || err != nil && !errors.As(err, &bad) {
					t.Errorf("%s: %v", what, err)
				}
			}
			for _, scope := range []string{"maps:read", "maps:write", "admin"} {
				is := strings.Contains(" "+c.scopes+" ", " "+scope+" ")
				may(scope, authz.IssueRequest{Scopes: []string{scope}}, is)
				if len(c.policy.Scopes) > 0 && scope == "admin" || c.policy.MaxExpiresIn == 100 {
					continue
				}
				k, err := s.Issue(t.Context(), "acme", authz.IssueRequest{Owner: "cust_1", Scopes: []string{scope}}) // through the API
				if err != nil {
					t.Fatal(err)
				}
				if _, err := s.Rotate(t.Context(), "acme", k.ID, authz.RotateRequest{Session: session}); (err == nil) != is {
					t.Errorf("rotate %s: %v", scope, err)
				}
			}
			most, more := c.most, c.most+1
			may("no scopes", authz.IssueRequest{}, true)
			may("the maximum", authz.IssueRequest{ExpiresIn: &most}, true)
			may("more", authz.IssueRequest{ExpiresIn: &more}, false)
			may("until then", authz.IssueRequest{Until: s.Now().Add(1e9 * 60)}, true)
			may("never", authz.IssueRequest{NeverExpires: true}, c.never)
			if c.policy.MaxExpiresIn > 0 {
				return
			}
			for _, r := range []authz.IssueRequest{{NeverExpires: true}, {ExpiresIn: new(int64(decade))}} {
				r.Owner = "cust_1"
				k, err := s.Issue(t.Context(), "acme", r)
				if err != nil {
					t.Fatal(err)
				}
				next, err := s.Rotate(t.Context(), "acme", k.ID, authz.RotateRequest{Session: session})
				if err != nil {
					t.Fatal(err)
				}
				life := next.ExpiresAt.Unix() - next.CreatedAt.Unix()
				if endless := next.ExpiresAt.IsZero(); endless != (c.never && r.NeverExpires) || !endless && life > c.most {
					t.Errorf("the successor expires at %s", next.ExpiresAt)
				}
			}
		})
	}
}
