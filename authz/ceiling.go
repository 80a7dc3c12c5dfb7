package authz

import (
	"cmp"
	"net/netip"
	"strings"
	"time"

	"github.com/burnkey/burnkey/store"
)

// Instant is a time as an argument of a FieldError.
type Instant struct{ time.Time }

func (i Instant) String() string { return i.Format(time.RFC3339) }

// bound refuses an owner's change beyond the key's ceiling. A producer's change sets the ceiling.
func (c *keyChange) bound(e *InputError, k *store.Key) {
	if c.Session == nil {
		c.setCeiling(k)
		return
	}
	most := &k.Ceiling
	if (c.ExpiresAt != nil || c.NeverExpires || c.SignedExpiry) && !most.AllowsExpiry(k.ExpiresAt) {
		e.Add("expires_at", RuleProducersExpiry, "max", Instant{most.ExpiresAt})
	}
	if (c.Scopes != nil || c.SignedScopes) && !most.AllowsScopes(k.Scopes...) {
		e.Add("scopes", RuleProducersScopes, "values", cmp.Or(strings.Join(most.Scopes, ", "), "none"))
	}
	if c.AllowedIPs != nil && !most.AllowsIPs(k.AllowedIPs) {
		e.Add("allowed_ips", RuleProducersNetworks, "values", namesOf(most.AllowedIPs))
	}
}

// setCeiling makes the present values of what a producer changes the owner's ceiling. A reset ends it.
func (c *keyChange) setCeiling(k *store.Key) {
	switch {
	case c.ExpiresAt != nil || c.NeverExpires:
		k.Ceiling.ExpiresAt = k.ExpiresAt
	case c.SignedExpiry:
		k.Ceiling.ExpiresAt = time.Time{}
	}
	switch {
	case c.granted:
		k.Ceiling.Scopes = withGranted(k.Ceiling.Scopes, k.Scopes)
	case c.Scopes != nil:
		k.Ceiling.Scopes = append([]string{}, k.Scopes...) // not nil
	case c.SignedScopes:
		k.Ceiling.Scopes = nil
	}
	if c.AllowedIPs != nil {
		k.Ceiling.AllowedIPs = k.AllowedIPs
	}
}

// withGranted returns the ceiling with the key's scopes added, or nil if the key has no ceiling of scopes. Granting a scope
// must not remove others from the ceiling.
func withGranted(ceiling, scopes []string) []string {
	if ceiling == nil {
		return nil
	}
	return union(ceiling, scopes)
}

func namesOf(networks []netip.Prefix) string {
	names := make([]string, len(networks))
	for i, network := range networks {
		names[i] = network.String()
	}
	return strings.Join(names, ", ")
}
