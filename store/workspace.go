package store

import "time"

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
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Policy is what a workspace's keys may be, and who is told that one expires. The
// zero Policy restricts nothing and tells nobody: a store keeps it and holds nobody
// to it.
type Policy struct {
	Scopes           []OfferedScope `json:"scopes,omitempty"`             // empty: any
	MaxExpiresIn     int64          `json:"max_expires_in,omitempty"`     // seconds; 0: the server's own
	DefaultExpiresIn int64          `json:"default_expires_in,omitempty"` // seconds; 0: the server's own
	KeysPerOwner     int            `json:"keys_per_owner,omitempty"`     // 0: no limit
	DefaultAudience  []string       `json:"default_audience,omitempty"`   // empty: the workspace's audiences
	Webhook          string         `json:"webhook,omitempty"`            // a URL that is told of keys that expire soon; empty: none
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
	Logo           []byte   `json:"logo,omitempty"`            // a PNG
	FrameAncestors []string `json:"frame_ancestors,omitempty"` // origins that may frame the page
	OIDC           *OIDC    `json:"oidc,omitempty"`            // nil: no login by OpenID Connect
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
	p.Logo = append([]byte{}, p.Logo...)
	p.FrameAncestors = append([]string{}, p.FrameAncestors...)
	if p.OIDC != nil {
		oidc := *p.OIDC
		p.OIDC = &oidc
	}
	return p
}
