package gateway

import (
	"slices"
	"strings"

	"github.com/burnkey/burnkey/jwks"
)

// A requirement is what a route requires of a valid token. Each field is a list separated by spaces. An empty
// field requires nothing. The route's name is for limits alone.
type requirement struct{ audience, scopes, workspace, route string }

// A requirementError says which part of a route's requirements is invalid.
type requirementError struct{ name, detail string }

func (e *requirementError) Error() string { return e.name + " " + e.detail }

func readRequirement(requirements map[string]string) (need requirement, err error) {
	for name, value := range requirements {
		switch name {
		case "audience":
			need.audience = value
		case "scopes":
			need.scopes = value
		case "workspace":
			need.workspace = value
		case "route":
			need.route = strings.Clone(value) // or the caller's Request would escape to the heap
			if !isRouteName(value) {
				return requirement{}, &requirementError{name, "is invalid; must match " + routePattern}
			}
		default:
			return requirement{}, &requirementError{name, "is unknown; must be audience, scopes, workspace or route"}
		}
		if strings.TrimSpace(value) == "" {
			return requirement{}, &requirementError{name, "is empty; leave it out to require nothing"}
		}
		if name != "audience" && strings.Contains(value, ",") { // an audience may contain one
			return requirement{}, &requirementError{name, "contains a comma; separate its items with spaces"}
		}
	}
	return need, nil
}

// routePattern is that of a workspace's id.
const routePattern = jwks.WorkspacePattern

// isRouteName matches routePattern. A regular expression would take longer than the rest of a requirement.
func isRouteName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c != '-' || i == 0) {
			return false
		}
	}
	return s != "" && len(s) <= idMax
}

func (n *requirement) check(workspace string, claims *jwks.Claims) *jwks.Refusal {
	if n.workspace != "" && !lists(n.workspace, workspace) {
		return jwks.WrongWorkspace
	}
	if n.audience != "" && !slices.ContainsFunc(claims.Audience, func(aud string) bool { return lists(n.audience, aud) }) {
		return jwks.InvalidToken(jwks.ErrAudience)
	}
	for scope := range strings.FieldsSeq(n.scopes) {
		if !lists(claims.Scope, scope) {
			return jwks.TooNarrow
		}
	}
	return nil
}

// lists reports whether a list separated by spaces contains the item.
func lists(list, item string) bool {
	for have := range strings.FieldsSeq(list) {
		if have == item {
			return true
		}
	}
	return false
}
