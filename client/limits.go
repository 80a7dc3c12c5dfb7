package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// Plan is a list of limits that keys can have by its name. Each key is counted by itself.
type Plan struct {
	Name string `json:"name"`
	// Description, Limits and Signed are absent if the management key that changed the plan may not read it.
	Description string       `json:"description"`
	Limits      []jwks.Limit `json:"limits"`
	Signed      string       `json:"signed,omitempty"`    // the limit that new tokens contain
	Inherited   bool         `json:"inherited,omitempty"` // it is the plan of the environment's first workspace
	CreatedAt   time.Time    `json:"created_at"`
	UpdatedAt   time.Time    `json:"updated_at"`

	Answer
}

// NewPlan describes a plan to create. Only Name is required.
type NewPlan struct {
	Name        string       `json:"name"`
	Description string       `json:"description,omitempty"`
	Limits      []jwks.Limit `json:"limits,omitempty"`
	Signed      string       `json:"signed,omitempty"`
}

// SharedLimits are limits that the keys of an owner, the requests to a route or from an address, or all share.
type SharedLimits struct {
	On          string       `json:"on"`             // jwks.OnOwner, OnRoute, OnAddress or OnTotal
	Name        string       `json:"name,omitempty"` // the owner, jwks.AnyName for each owner without limits of its own, or the route
	Description string       `json:"description"`
	Limits      []jwks.Limit `json:"limits"`
	CreatedAt   time.Time    `json:"created_at"`
	UpdatedAt   time.Time    `json:"updated_at"`

	Answer
}

// NewSharedLimits are limits to set.
type NewSharedLimits struct {
	Description string       `json:"description,omitempty"`
	Limits      []jwks.Limit `json:"limits"`
}

func (p *Plan) complete() bool         { return p.Name != "" && !p.CreatedAt.IsZero() }
func (l *SharedLimits) complete() bool { return !l.CreatedAt.IsZero() }

// CreatePlan creates a plan.
func (c *Client) CreatePlan(ctx context.Context, workspace string, p NewPlan) (*Plan, error) {
	return call[Plan](ctx, c, request{method: http.MethodPost, path: []string{workspace, "plans"}, body: p})
}

// Plans lists the plans of a workspace by name.
func (c *Client) Plans(workspace string) List[Plan] {
	return List[Plan]{c: c, path: []string{workspace, "plans"}, member: "plans"}
}

// Plan returns a plan.
func (c *Client) Plan(ctx context.Context, workspace, name string) (*Plan, error) {
	return call[Plan](ctx, c, request{method: http.MethodGet, path: []string{workspace, "plans", name}, repeatable: true})
}

// UpdatePlan changes a plan for all its keys. The members of the patch are description, limits and signed. When it
// returns, the server has published the change.
func (c *Client) UpdatePlan(ctx context.Context, workspace, name string, p Patch) (*Plan, error) {
	return call[Plan](ctx, c, request{method: http.MethodPatch, path: []string{workspace, "plans", name}, body: p, repeatable: true})
}

// DeletePlan deletes a plan that no key has, except revoked and expired ones.
func (c *Client) DeletePlan(ctx context.Context, workspace, name string) error {
	_, err := c.send(ctx, request{method: http.MethodDelete, path: []string{workspace, "plans", name}})
	return err
}

// SharedLimits lists the limits of a workspace that keys share otherwise than by plans.
func (c *Client) SharedLimits(workspace string) List[SharedLimits] {
	return List[SharedLimits]{c: c, path: []string{workspace, "limits"}, member: "limits"}
}

// LimitsOn returns the limits on a subject. On addresses and in total, the name is empty.
func (c *Client) LimitsOn(ctx context.Context, workspace, on, name string) (*SharedLimits, error) {
	r := limitsRequest(http.MethodGet, workspace, on, name)
	r.repeatable = true
	return call[SharedLimits](ctx, c, r)
}

// SetLimits sets the limits on a subject, in place of earlier ones. When it returns, the server has published them.
func (c *Client) SetLimits(ctx context.Context, workspace, on, name string, l NewSharedLimits) (*SharedLimits, error) {
	r := limitsRequest(http.MethodPut, workspace, on, name)
	r.body, r.repeatable = l, true
	return call[SharedLimits](ctx, c, r)
}

// DeleteLimits deletes the limits on a subject.
func (c *Client) DeleteLimits(ctx context.Context, workspace, on, name string) error {
	_, err := c.send(ctx, limitsRequest(http.MethodDelete, workspace, on, name))
	return err
}

func limitsRequest(method, workspace, on, name string) request {
	r := request{method: method, path: []string{workspace, "limits", on}}
	if name != "" {
		r.query = url.Values{"name": {name}}
	}
	return r
}
