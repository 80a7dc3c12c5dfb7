package authz

import (
	"slices"

	"github.com/burnkey/burnkey/store"
)

// PageMaxExpiresIn is the longest life of a key that an owner makes on the page, in seconds,
// where the policy names none: a year, or its default life where that is longer.
const PageMaxExpiresIn = 365 * 86400

// OnPage returns a workspace as it is to an owner's session on the page, who is offered what
// somebody has named, and nothing else: the scopes of the policy, of the link, or of both; a
// life of MaxLife at most; and a key without an end where the policy says so of the page. The
// management API has the workspace as it is. For a session of nil, that is what it returns.
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

// noScope is one that no key can have. A policy without any would offer all.
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

// ScopesOffered are those that keys made in a session on the page may have.
func ScopesOffered(w *store.Workspace, s *store.Session) []store.OfferedScope {
	return slices.DeleteFunc(slices.Clone(scopesOnPage(w, s)), func(o store.OfferedScope) bool { return o.Name == "" })
}

// MaxLife and DefaultLife are those of a workspace's keys, in seconds.
func MaxLife(w *store.Workspace) int64 { return maxExpiresIn(w) }

// DefaultLife is MaxLife at most.
func DefaultLife(w *store.Workspace) int64 { return defaultExpiresIn(w) }
