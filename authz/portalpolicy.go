package authz

import (
	"slices"

	"github.com/burnkey/burnkey/store"
)

// PageMaxExpiresIn is the longest life, in seconds, of a key created in the portal under a
// policy without a maximum: a year, or the policy's default life if longer.
const PageMaxExpiresIn = 365 * 86400

// OnPage returns the workspace as an owner sees it in the portal, where only what an
// administrator has named is offered: the scopes of the policy, of the link, or of both; a life
// up to MaxLife; and keys that never expire only if the policy allows that in the portal. With
// a nil session, as in the management API, it returns w.
func OnPage(w *store.Workspace, s *store.Session) *store.Workspace {
	if s == nil {
		return w
	}
	page := *w
	page.Policy = w.Policy.Clone()
	page.Policy.Scopes = scopesOnPage(w, s)
	if page.AllowNeverExpires = MayNeverExpire(w) && w.Policy.PortalNeverExpires; !page.AllowNeverExpires && w.Policy.MaxExpiresIn == 0 {
		page.Policy.MaxExpiresIn = max(PageMaxExpiresIn, w.Policy.DefaultExpiresIn)
	}
	return &page
}

// noScope is a scope that no key can have. An empty list would offer all scopes.
var noScope = []store.OfferedScope{{}}

func scopesOnPage(w *store.Workspace, s *store.Session) []store.OfferedScope {
	named := slices.Clone(w.Policy.Scopes)
	switch {
	case s.ScopesAllowed == nil:
	case len(named) > 0:
		named = slices.DeleteFunc(named, func(o store.OfferedScope) bool { return !slices.Contains(s.ScopesAllowed, o.Name) })
	default:
		for _, name := range s.ScopesAllowed {
			named = append(named, store.OfferedScope{Name: name})
		}
	}
	if len(named) == 0 {
		return noScope
	}
	return named
}

// ScopesOffered returns the scopes that keys created in a portal session may have.
func ScopesOffered(w *store.Workspace, s *store.Session) []store.OfferedScope {
	return slices.DeleteFunc(slices.Clone(scopesOnPage(w, s)), func(o store.OfferedScope) bool { return o.Name == "" })
}
