package authz

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"regexp"
	"slices"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// EnvironmentPattern is the pattern of the name of an environment.
const EnvironmentPattern = jwks.EnvironmentPattern

var environmentName = regexp.MustCompile(EnvironmentPattern)

// Rules of environments.
var (
	RuleEnvironmentName     = rule("environment_name", "must be 1 to 31 characters of a-z, 0-9 and -, beginning with a letter")
	RuleNotFirst            = rule("not_first", "must be a workspace that is not itself an environment")
	RuleSameEnvironment     = rule("same_environment", "must differ from that of the first workspace and its other environments")
	RuleTooManyEnvironments = rule("too_many_environments", "must be a workspace with fewer than {max} environments")
	RuleNoEnvironments      = rule("no_environments", "can't be set for {workspace}, whose keys are the management keys")
	RuleNotEnvironment      = rule("not_environment", "can be set for an environment only")
	RuleInheritsOrHas       = rule("inherits_or_has", "must be either inherited or changed")
	RuleAbsentForNew        = rule("absent_for_new", "must be absent: a new environment inherits it")
	RuleNotFamily           = rule("not_family", "must be the workspace's first workspace or one of its environments")
)

// parts has what an environment can inherit, besides plans.
var parts = []string{store.PartPolicy, store.PartPortal}

// environment checks the fields of a new workspace that make it an environment.
func (e *InputError) environment(r WorkspaceRequest) {
	if r.Environment != "" || r.EnvironmentOf != "" {
		e.environmentName(r.Environment)
	}
	if r.EnvironmentOf == "" {
		return
	}
	e.workspaceID("environment_of", r.EnvironmentOf)
	if r.EnvironmentOf == Home || r.ID == Home {
		e.Add("environment_of", RuleNoEnvironments, "workspace", Home)
	}
}

func (e *InputError) environmentName(name string) {
	if !environmentName.MatchString(name) {
		e.Add("environment", RuleEnvironmentName)
	}
}

// refusedEnvironment returns the InputError for an error of the store about an environment, and other errors unchanged.
func refusedEnvironment(err error) error {
	switch {
	case errors.Is(err, store.ErrNoFirst):
		return Invalid("environment_of", RuleNotFirst)
	case errors.Is(err, store.ErrSameEnvironment):
		return Invalid("environment", RuleSameEnvironment)
	case errors.Is(err, store.ErrTooMany):
		return Invalid("environment_of", RuleTooManyEnvironments, "max", store.MaxEnvironments)
	}
	return err
}

// mayTie checks, before a key is minted, that an environment can be tied to its first workspace. The store checks it
// again.
func (s *Service) mayTie(ctx context.Context, r WorkspaceRequest) error {
	if r.EnvironmentOf == "" {
		return nil
	}
	first, err := s.store.Workspace(ctx, r.EnvironmentOf)
	if errors.Is(err, ErrNotFound) || err == nil && first.EnvironmentOf != "" {
		err = store.ErrNoFirst
	}
	if err != nil {
		return refusedEnvironment(err)
	}
	others, err := s.Environments(ctx, &first)
	if err == nil && len(others) >= store.MaxEnvironments {
		err = store.ErrTooMany
	}
	for _, w := range append(others, first) {
		if err == nil && w.EnvironmentName() == r.Environment {
			err = store.ErrSameEnvironment
		}
	}
	return refusedEnvironment(err)
}

// Environments returns the environments of a workspace by id, without Policy and Portal. An environment has none.
func (s *Service) Environments(ctx context.Context, w *store.Workspace) ([]store.Workspace, error) {
	if w.EnvironmentOf != "" || w.ID == Home {
		return nil, nil
	}
	list, _, err := s.store.Workspaces(ctx, store.WorkspaceFilter{EnvironmentOf: w.ID, Limit: store.MaxEnvironments})
	return list, err
}

// Family returns a workspace's first workspace and then its environments, without Policy and Portal. For a workspace
// without environments, it is the workspace alone.
func (s *Service) Family(ctx context.Context, w *store.Workspace) ([]store.Workspace, error) {
	first := *w
	if w.EnvironmentOf != "" {
		var err error
		if first, err = s.store.Workspace(ctx, w.EnvironmentOf); err != nil {
			return nil, err
		}
	}
	others, err := s.Environments(ctx, &first)
	return append([]store.Workspace{first}, others...), err
}

// SameFamily reports whether one of two workspaces is an environment of the other, or both are of the same one.
func SameFamily(a, b *store.Workspace) bool {
	return cmp.Or(a.EnvironmentOf, a.ID) == cmp.Or(b.EnvironmentOf, b.ID)
}

// settleEnvironment checks what a change did to a workspace's environment. A part that the change alters, and that was
// inherited before it, is then the environment's own.
func (e *InputError) settleEnvironment(old, w *store.Workspace) {
	if w.Environment != old.Environment {
		if w.ID == Home {
			e.Add("environment", RuleNoEnvironments, "workspace", Home)
		}
		e.environmentName(w.EnvironmentName())
	}
	if len(w.Inherits) > 0 && w.EnvironmentOf == "" {
		e.Add("inherits", RuleNotEnvironment)
	}
	for _, part := range parts {
		is, was := w.InheritsPart(part), old.InheritsPart(part)
		switch {
		case !is || !alters(old, w, part):
		case was:
			w.Inherits = slices.DeleteFunc(slices.Clone(w.Inherits), func(p string) bool { return p == part })
		default:
			e.Add(part, RuleInheritsOrHas)
		}
	}
}

// alters reports whether a change altered a part that can be inherited.
func alters(old, w *store.Workspace, part string) bool {
	if part == store.PartPortal {
		before, after := old.Portal.Clone(), w.Portal.Clone()
		before.BaseURL = after.BaseURL
		return !reflect.DeepEqual(before, after)
	}
	before, after := old.Policy.Clone(), w.Policy.Clone()
	before.DefaultAudience = after.DefaultAudience
	return w.AllowNeverExpires != old.AllowNeverExpires || !reflect.DeepEqual(before, after)
}
