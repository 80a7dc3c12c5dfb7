package store

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// Workspace is one tenant: one issuer, one published set.
type Workspace struct {
	ID        string
	Name      string
	Audiences []string // those that a key may have; also its default, if the policy has none
	// AllowNeverExpires permits keys without exp.
	AllowNeverExpires bool
	Policy            Policy
	Portal            Portal
	Settings          jwks.Settings // published for gateways, and listed
	// Environment is the name of the environment that the workspace is, such as test. Empty: DefaultEnvironment.
	Environment string
	// EnvironmentOf is the first workspace, to which an environment is tied. Empty: the workspace is not tied.
	EnvironmentOf string
	// Inherits has the parts of an environment that are always the same as those of its first workspace.
	Inherits []string
	// Version of the published set; version 1 publishes the tombstone.
	Version   uint64
	Usage     Reported
	CreatedAt time.Time
	UpdatedAt time.Time
}

// WorkspaceFilter selects workspaces. Zero fields select everything.
type WorkspaceFilter struct {
	// Query selects workspaces whose id or name contains this string (compared by Fold). This can read all
	// workspaces.
	Query string
	// EnvironmentOf selects the environments of a workspace.
	EnvironmentOf string
	After         string // start the page after this id
	Limit         int    // the most workspaces of a page; must be positive
	// Bytes and Rows have the same meaning as in Filter.
	Bytes, Rows int
}

// Policy restricts a workspace's keys, and has the URL for notices that a key expires soon. The zero Policy
// restricts nothing and sends nothing. A store does not enforce it.
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
	// Expiry is empty if tokens have exp, or ExpiryByPublication.
	Expiry string `json:"expiry,omitempty"`
	// TokenType is empty if keys are JWTs, or the jwks.TypeAccessToken (RFC 9068).
	TokenType string `json:"token_type,omitempty"`
	// Exchange says whether keys can be exchanged for access tokens.
	Exchange Exchange `json:"exchange,omitzero"`
}

// Forms of expiry. By publication, a token has no exp, and its key's JWK leaves the set at the time.
const (
	ExpiryByClaim       = "claim" // stored as the empty string
	ExpiryByPublication = "publication"
)

// OfferedScope is a scope that the workspace offers, with its purpose.
type OfferedScope struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

// Portal is the appearance of a workspace's page and the login to it. It has no secrets.
type Portal struct {
	DisplayName    string   `json:"display_name,omitempty"`
	BaseURL        string   `json:"base_url,omitempty"`        // of the producer's API, for the page's examples
	Accent         string   `json:"accent,omitempty"`          // #rrggbb
	LogoHash       string   `json:"logo_hash,omitempty"`       // SHA-256 of its logo's bytes in hexadecimal; empty: it has none
	FrameAncestors []string `json:"frame_ancestors,omitempty"` // origins that may frame the page
	OIDC           *OIDC    `json:"oidc,omitempty"`            // nil: no login by OpenID Connect

	// Logo is a PNG for CreateWorkspace or UpdateWorkspace to store. It is not part of the stored record, which
	// is read for each key that is issued: see Store.Logo.
	Logo []byte `json:"-"`
}

// OIDC is a workspace's OpenID provider, and the claims that Burnkey uses.
type OIDC struct {
	Issuer     string `json:"issuer"`
	ClientID   string `json:"client_id"`
	OwnerClaim string `json:"owner_claim,omitempty"`
	// A user whose OperatorClaim is OperatorValue, or a list that contains OperatorValue, is an operator.
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

// Stored returns p as it is stored in place of the portal `before`. If changed is true, logo replaces the
// stored logo; a nil logo deletes it. For backends.
func (p Portal) Stored(before Portal) (stored Portal, logo []byte, changed bool) {
	stored = p.Clone()
	stored.Logo = nil
	switch {
	case len(p.Logo) > 0:
		sum := sha256.Sum256(p.Logo)
		logo, stored.LogoHash = p.Logo, hex.EncodeToString(sum[:])
	case p.LogoHash != "":
		stored.LogoHash = before.LogoHash
	}
	return stored, logo, stored.LogoHash != before.LogoHash
}
