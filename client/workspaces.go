package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Workspace is a tenant. Policy and Portal are nil in lists, and if the management key lacks the scope
// workspaces:read.
type Workspace struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Audiences are all audiences that its keys can have. Without workspaces:read, the answer to a change omits
	// Audiences, Name and AllowNeverExpires.
	Audiences         []string `json:"audiences"`
	AllowNeverExpires bool     `json:"allow_never_expires"`
	// TokenPrefix is before the JWT in each token. Until BareTokensUntil, tokens without it are accepted, too.
	TokenPrefix     string     `json:"token_prefix,omitempty"`
	BareTokensUntil *time.Time `json:"bare_tokens_until,omitempty"`
	Policy          *Policy    `json:"policy,omitempty"`
	Portal          *Portal    `json:"portal,omitempty"`
	Environment     string     `json:"environment"`              // the name of the environment that it is, such as live
	EnvironmentOf   string     `json:"environment_of,omitempty"` // the workspace that it is an environment of
	// Inherits has the parts of an environment that are those of that workspace: policy (with AllowNeverExpires) and portal.
	Inherits []string `json:"inherits,omitempty"`
	// Environments are those of the workspace. They are not in lists.
	Environments []EnvironmentRef `json:"environments,omitempty"`
	Issuer       string           `json:"issuer"` // iss of its tokens
	JWKSURI      string           `json:"jwks_uri"`
	Version      uint64           `json:"version"` // of the published set
	CreatedAt    time.Time        `json:"created_at"`
	UpdatedAt    time.Time        `json:"updated_at"`

	// The use of keys is known completely from UsageSince to UsageUntil. Both are nil if no gateway reports
	// usage.
	UsageSince      *time.Time `json:"usage_since"`
	UsageUntil      *time.Time `json:"usage_until"`
	UsageReportedAt *time.Time `json:"usage_reported_at"`

	Answer
}

// EnvironmentRef names an environment of a workspace: the id of the workspace that it is, and its name.
type EnvironmentRef struct {
	ID          string `json:"id"`
	Environment string `json:"environment"`
}

// Policy limits the keys of a workspace. All times are in seconds.
type Policy struct {
	Scopes             []OfferedScope `json:"scopes,omitempty"`
	MaxExpiresIn       int64          `json:"max_expires_in,omitempty"`
	DefaultExpiresIn   int64          `json:"default_expires_in,omitempty"`
	KeysPerOwner       int            `json:"keys_per_owner,omitempty"`
	PortalNeverExpires bool           `json:"portal_never_expires,omitempty"`
	DefaultAudience    []string       `json:"default_audience,omitempty"`
	Webhook            string         `json:"webhook,omitempty"`
	Expiry             string         `json:"expiry,omitempty"`     // claim (default) or publication
	TokenType          string         `json:"token_type,omitempty"` // JWT (default) or at+jwt
	Exchange           Exchange       `json:"exchange,omitzero"`
}

// Exchange says whether and how keys can be exchanged for access tokens. For 0, the server uses its own default.
type Exchange struct {
	Enabled      bool  `json:"enabled,omitempty"`
	MaxExpiresIn int64 `json:"max_expires_in,omitempty"` // of an access token
	MaxCacheAge  int64 `json:"max_cache_age,omitempty"`  // of the published set in clients
	PerMinute    int   `json:"per_minute,omitempty"`     // access tokens for one key
}

// OfferedScope is a scope that keys may have, with its description for customers.
type OfferedScope struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

// Portal configures the appearance of a workspace's page for its customers, and how they log in.
type Portal struct {
	DisplayName    string   `json:"display_name,omitempty"`
	BaseURL        string   `json:"base_url,omitempty"`
	Accent         string   `json:"accent,omitempty"`
	Logo           []byte   `json:"logo,omitempty"` // PNG
	FrameAncestors []string `json:"frame_ancestors,omitempty"`
	OIDC           *OIDC    `json:"oidc,omitempty"`
}

// OIDC is the OpenID provider for logins.
type OIDC struct {
	Issuer        string `json:"issuer"`
	ClientID      string `json:"client_id"`
	OwnerClaim    string `json:"owner_claim,omitempty"`
	OperatorClaim string `json:"operator_claim,omitempty"`
	OperatorValue string `json:"operator_value,omitempty"`
}

// NewWorkspace describes a workspace to create. Only ID is required.
type NewWorkspace struct {
	ID        string   `json:"id"`
	Name      string   `json:"name,omitempty"`
	Audiences []string `json:"audiences,omitempty"`
	// AllowNeverExpires must be nil for an environment, which inherits it. Otherwise, nil is true.
	AllowNeverExpires *bool  `json:"allow_never_expires,omitempty"`
	Environment       string `json:"environment,omitempty"`    // its name, such as test; required with EnvironmentOf
	EnvironmentOf     string `json:"environment_of,omitempty"` // makes it an environment of this workspace
	TokenPrefix       string `json:"token_prefix,omitempty"`
}

// Patch is a JSON Merge Patch (RFC 7396). It contains the members to change, by their JSON names. Nil resets a
// member to its default, a nested Patch changes members of a member, and a list replaces the whole list.
type Patch map[string]any

func (w *Workspace) complete() bool { return w.ID != "" && w.Issuer != "" }

// CreateWorkspace creates a workspace.
func (c *Client) CreateWorkspace(ctx context.Context, w NewWorkspace) (*Workspace, error) {
	return call[Workspace](ctx, c, request{method: http.MethodPost, body: w})
}

// Workspaces lists the workspaces that the management key can access.
func (c *Client) Workspaces() List[Workspace] {
	return List[Workspace]{c: c, member: "workspaces"}
}

// Environments lists the environments of a workspace.
func (c *Client) Environments(of string) List[Workspace] {
	return List[Workspace]{c: c, member: "workspaces", query: url.Values{"environment_of": {of}}}
}

// Workspace returns a workspace.
func (c *Client) Workspace(ctx context.Context, id string) (*Workspace, error) {
	return call[Workspace](ctx, c, request{method: http.MethodGet, path: []string{id}, repeatable: true})
}

// UpdateWorkspace changes the name, audiences, allow_never_expires, environment, policy and portal of a workspace, and
// gives it a token_prefix together with bare_tokens_until. Existing keys do not change. A policy or portal of nil is
// inherited, if the workspace is an environment.
func (c *Client) UpdateWorkspace(ctx context.Context, id string, p Patch) (*Workspace, error) {
	return call[Workspace](ctx, c, request{method: http.MethodPatch, path: []string{id}, body: p, repeatable: true})
}
