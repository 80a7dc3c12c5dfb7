package authz

import (
	"slices"

	"github.com/burnkey/burnkey/store"
)

// Limits of a workspace's policy and portal.
const (
	MaxKeysPerOwner   = 100000
	MaxURL            = 2048     // bytes
	MaxLogo           = 64 << 10 // bytes of PNG
	MaxLogoSide       = 1024     // pixels
	MaxFrameAncestors = 16
)

// policy checks a policy. Local has the same meaning as in portal.
func (e *InputError) policy(w *store.Workspace, local bool) {
	p := &w.Policy
	names := make([]string, len(p.Scopes))
	for i, scope := range p.Scopes {
		names[i] = scope.Name
		e.text("policy.scopes", scope.Description, 0)
	}
	e.scopes("policy.scopes", names)
	if p.MaxExpiresIn < 0 || p.MaxExpiresIn > MaxExpiresIn {
		e.Add("policy.max_expires_in", RuleSecondsOutOfRange, "min", 0, "max", MaxExpiresIn)
	}
	if p.DefaultExpiresIn < 0 || p.DefaultExpiresIn > MaxLife(w) {
		// The detail has the default, since the request may have changed only the maximum.
		e.Add("policy.default_expires_in", RuleDefaultTooLong, "value", p.DefaultExpiresIn, "max", MaxLife(w))
	}
	if p.KeysPerOwner < 0 || p.KeysPerOwner > MaxKeysPerOwner {
		e.Add("policy.keys_per_owner", RuleOutOfRange, "min", 0, "max", MaxKeysPerOwner)
	}
	e.audiences("policy.default_audience", p.DefaultAudience)
	for _, aud := range p.DefaultAudience {
		if !slices.Contains(w.Audiences, aud) {
			e.Add("policy.default_audience", RuleUnknownAudience)
			break
		}
	}
	if p.Webhook != "" {
		e.remote("policy.webhook", p.Webhook, local)
	}
	if w.ID == Home && (len(p.Scopes) > 0 || p.MaxExpiresIn > 0 || p.KeysPerOwner > 0) {
		e.Add("policy", RuleLocksOut, "workspace", Home)
	}
}
