package authz

import (
	"time"

	"github.com/burnkey/burnkey/store"
)

// role holds what a link's role takes against the limits, and returns it.
func (e *InputError) role(w *store.Workspace, r LinkRequest) string {
	switch r.Role {
	case "", store.RoleOwner:
		e.owner("owner", r.Owner)
		e.scopes("scopes_allowed", r.ScopesAllowed)
		e.offered("scopes_allowed", w, r.ScopesAllowed)
		return store.RoleOwner
	case store.RoleOperator:
		if r.Owner != "" {
			e.addf("owner", "must be absent for an operator, who sees the keys of all")
		}
		if r.ScopesAllowed != nil {
			e.addf("scopes_allowed", "must be absent for an operator, who makes no keys")
		}
	default:
		e.addf("role", "must be %s or %s", store.RoleOwner, store.RoleOperator)
	}
	return r.Role
}

// lifeBy is that of the session that a link opens.
func lifeBy(link *store.Session) time.Duration {
	if link.Role == store.RoleOperator {
		return LoginLife
	}
	return SessionLife
}
