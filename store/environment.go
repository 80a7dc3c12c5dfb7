package store

import (
	"errors"
	"slices"

	"github.com/burnkey/burnkey/jwks"
)

const (
	// MaxEnvironments is how many environments a workspace can have, since each of its changes also writes to those
	// that inherit.
	MaxEnvironments = 8
	// DefaultEnvironment is the environment of a workspace that has no name for it.
	DefaultEnvironment = jwks.DefaultEnvironment
)

// Parts that an environment can inherit, besides plans.
const (
	// PartPolicy is the policy except for the default audience, and AllowNeverExpires.
	PartPolicy = "policy"
	// PartPortal is the portal except for the base URL of the API.
	PartPortal = "portal"
)

// Errors about environments.
var (
	// ErrNoFirst: the first workspace of an environment is missing, or is an environment itself.
	ErrNoFirst = errors.New("the first workspace is missing or is an environment")
	// ErrSameEnvironment: the first workspace or another of its environments has the name.
	ErrSameEnvironment = errors.New("the environment exists")
	// ErrInherited: an inherited plan can't be deleted.
	ErrInherited = errors.New("the plan is inherited")
)

// EnvironmentName returns the name of the environment that a workspace is.
func (w Workspace) EnvironmentName() string {
	if w.Environment == "" {
		return DefaultEnvironment
	}
	return w.Environment
}

// InheritsPart reports whether a part is that of the first workspace.
func (w Workspace) InheritsPart(part string) bool { return slices.Contains(w.Inherits, part) }

// Inherit returns an environment with the parts of its first workspace that it inherits. The audiences and the
// address of the API are always its own. For backends.
func (w Workspace) Inherit(first *Workspace) Workspace {
	if w.InheritsPart(PartPolicy) {
		audience := w.Policy.DefaultAudience
		w.Policy, w.AllowNeverExpires = first.Policy.Clone(), first.AllowNeverExpires
		w.Policy.DefaultAudience = audience
	}
	if w.InheritsPart(PartPortal) {
		api := w.Portal.BaseURL
		w.Portal = first.Portal.Clone()
		w.Portal.BaseURL = api
	}
	return w
}
