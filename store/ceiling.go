package store

import (
	"net/netip"
	"slices"
	"time"
)

// Ceiling has the attributes of a key that the producer set. The key's owner can choose no more than that.
type Ceiling struct {
	ExpiresAt  time.Time      `json:"expires_at,omitzero"`   // zero: not set
	Scopes     []string       `json:"scopes,omitzero"`       // nil: not set; empty: no scopes
	AllowedIPs []netip.Prefix `json:"allowed_ips,omitempty"` // empty: not set
}

// IsZero reports whether the producer set nothing.
func (c *Ceiling) IsZero() bool {
	return c.ExpiresAt.IsZero() && c.Scopes == nil && len(c.AllowedIPs) == 0
}

// Equal reports whether both ceilings are the same.
func (c *Ceiling) Equal(other *Ceiling) bool {
	return c.ExpiresAt.Equal(other.ExpiresAt) && (c.Scopes == nil) == (other.Scopes == nil) &&
		slices.Equal(c.Scopes, other.Scopes) && slices.Equal(c.AllowedIPs, other.AllowedIPs)
}

// AllowsExpiry reports whether a key can expire at a time; zero: never.
func (c *Ceiling) AllowsExpiry(at time.Time) bool {
	return c.ExpiresAt.IsZero() || !at.IsZero() && !at.After(c.ExpiresAt)
}

// AllowsScopes reports whether a key can have scopes.
func (c *Ceiling) AllowsScopes(scopes ...string) bool {
	return c.Scopes == nil || !slices.ContainsFunc(scopes, func(scope string) bool { return !slices.Contains(c.Scopes, scope) })
}

// AllowsIPs reports whether each network is within one of the ceiling's.
func (c *Ceiling) AllowsIPs(networks []netip.Prefix) bool {
	beyond := func(network netip.Prefix) bool {
		return !slices.ContainsFunc(c.AllowedIPs, func(most netip.Prefix) bool {
			return most.Bits() <= network.Bits() && most.Contains(network.Addr())
		})
	}
	return len(c.AllowedIPs) == 0 || len(networks) > 0 && !slices.ContainsFunc(networks, beyond)
}
