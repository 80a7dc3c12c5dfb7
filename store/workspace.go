package store

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"
)

// Workspace is one tenant: one issuer, one published set.
type Workspace struct {
	ID        string
	Name      string
	Audiences []string // all that a key may name, and its default where the policy has none
	// AllowNeverExpires permits keys without exp.
	AllowNeverExpires bool
	Policy            Policy
	Portal            Portal
	// Version of the published set; 1 is the tombstone's.
	Version   uint64
	Usage     Reported
	CreatedAt time.Time
	UpdatedAt time.Time
}

// WorkspaceFilter selects workspaces. Zero fields select everything.
type WorkspaceFilter struct {
	// Query selects workspaces whose id or name contains it (compared by Fold). It may read
	// every workspace.
	Query string
	After string // list ids after this one
	Limit int    // at most so many; must be positive
	// Bytes and Rows have the same meaning as in Filter.
	Bytes, Rows int
}

// Policy is what a workspace's keys may be, and who is told that one expires. The
// zero Policy restricts nothing and tells nobody: a store keeps it and holds nobody
// to it.
type Policy struct {
	Scopes           []OfferedScope `json:"scopes,omitempty"`             // empty: any
	MaxExpiresIn     int64          `json:"max_expires_in,omitempty"`     // seconds; 0: the server's own
	DefaultExpiresIn int64          `json:"default_expires_in,omitempty"` // seconds; 0: the server's own
	KeysPerOwner     int            `json:"keys_per_owner,omitempty"`     // 0: no limit
	// PortalNeverExpires lets owners create keys without exp in the portal, if AllowNeverExpires
	// is set and MaxExpiresIn is not.
	PortalNeverExpires bool     `json:"portal_never_expires,omitempty"`
	DefaultAudience    []string `json:"default_audience,omitempty"` // empty: the workspace's audiences
	Webhook            string   `json:"webhook,omitempty"`          // URL notified before keys expire; empty: none
}

// OfferedScope is a scope that the workspace offers, and what it is for.
type OfferedScope struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

// Portal is what a workspace's page looks like and who may log in to it. It holds
// no secret.
type Portal struct {
	DisplayName    string   `json:"display_name,omitempty"`
	BaseURL        string   `json:"base_url,omitempty"`        // of the producer's API, for the page's examples
	Accent         string   `json:"accent,omitempty"`          // #rrggbb
	LogoHash       string   `json:"logo_hash,omitempty"`       // SHA-256 of its logo's bytes in hexadecimal; empty: it has none
	FrameAncestors []string `json:"frame_ancestors,omitempty"` // origins that may frame the page
	OIDC           *OIDC    `json:"oidc,omitempty"`            // nil: no login by OpenID Connect

	// Logo, a PNG, is no part of the record, which is read with each key that is issued.
	// Where it is set, CreateWorkspace and UpdateWorkspace keep it for Store.Logo.
	Logo []byte `json:"-"`
}

// OIDC is a workspace's OpenID provider and how its claims are read.
type OIDC struct {
	Issuer     string `json:"issuer"`
	ClientID   string `json:"client_id"`
	OwnerClaim string `json:"owner_claim,omitempty"`
	// OperatorClaim of the value OperatorValue, or with it among its values, makes
	// an operator.
	OperatorClaim string `json:"operator_claim,omitempty"`
	OperatorValue string `json:"operator_value,omitempty"`
}

// Clone returns a copy that shares nothing with p and has empty slices for nil.
func (p Policy) Clone() Policy {
	p.Scopes = append([]OfferedScope{}, p.Scopes...)
	p.DefaultAudience = append([]string{}, p.DefaultAudience...)
	return p
}

// Clone returns a copy that shares nothing with p and has empty slices for nil.
func (p Portal) Clone() Portal {
	p.Logo = slices.Clone(p.Logo)
	p.FrameAncestors = append([]string{}, p.FrameAncestors...)
	if p.OIDC != nil {
		oidc := *p.OIDC
		p.OIDC = &oidc
	}
	return p
}

// Kept returns p as a record that comes after before, and the logo that is kept with it.
// Where changed is true, that takes the place of before's, or is nil and before's goes.
// For backends.
func (p Portal) Kept(before Portal) (kept Portal, logo []byte, changed bool) {
	kept = p.Clone()
	kept.Logo = nil
	switch {
	case len(p.Logo) > 0:
		sum := sha256.Sum256(p.Logo)
		logo, kept.LogoHash = p.Logo, hex.EncodeToString(sum[:])
	case p.LogoHash != "":
		kept.LogoHash = before.LogoHash
	}
	return kept, logo, kept.LogoHash != before.LogoHash
}
