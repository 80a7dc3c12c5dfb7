package authz

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// adopt completes a draft with what the key gets from its parent, and refuses more than the parent has. The store checks
// it again.
func (s *Service) adopt(ctx context.Context, d *unmade) error {
	k := &d.key
	if k.Parent == uuid.Nil {
		return nil
	}
	parent, err := s.store.Key(ctx, k.Workspace, k.Parent)
	if errors.Is(err, ErrNotFound) || err == nil && !parent.CanHaveChildren(k.Owner, s.Now()) {
		return Invalid("parent", RuleNoParent)
	}
	if err != nil {
		return err
	}
	var bad InputError
	if d.ends = parent.ExpiresAt; k.Plan != "" && k.Plan != parent.Plan {
		bad.Add("plan", RuleBeyondParent)
	}
	k.Plan = parent.Plan
	if len(k.Limits) == 0 {
		k.Limits = slices.Clone(parent.Limits)
	}
	if d.anyAudience {
		k.Audience = slices.Clone(parent.Audience)
	}
	if len(k.AllowedIPs) == 0 {
		k.AllowedIPs = slices.Clone(parent.AllowedIPs)
	}
	most := parent.Most()
	if !most.AllowsScopes(k.Scopes...) {
		bad.Add("scopes", RuleBeyondParent)
	}
	if slices.ContainsFunc(k.Audience, func(audience string) bool { return !slices.Contains(parent.Audience, audience) }) {
		bad.Add("audience", RuleBeyondParent)
	}
	if !most.AllowsIPs(k.AllowedIPs) {
		bad.Add("allowed_ips", RuleBeyondParent)
	}
	return bad.err()
}

// notUnderParent returns an error of the store for a key that has a parent, which changed while the key was made.
func notUnderParent(err error) error {
	switch {
	case errors.Is(err, store.ErrNoParent), errors.Is(err, store.ErrBeyondParent):
		return Invalid("parent", RuleNoParent)
	case errors.Is(err, store.ErrManyChildren):
		return Invalid("parent", RuleManyChildren, "max", store.MaxChildren)
	}
	return err
}

// beyondParent returns the error for a change that the key's parent does not allow.
func (c *keyChange) beyondParent() error {
	var bad InputError
	for _, name := range c.attributes() {
		if slices.Contains([]string{"expires_at", "never_expires", "scopes", "allowed_ips", "plan"}, name) {
			bad.Add(name, RuleBeyondParent)
		}
	}
	return bad.err()
}

// ofParent reports whether a key can't be changed because of its parent.
func ofParent(err error) bool {
	var bad InputError
	others := func(f FieldError) bool { return f.Rule != RuleBeyondParent && f.Rule != RuleSuspendedByParent }
	return errors.As(err, &bad) && !slices.ContainsFunc(bad, others)
}
