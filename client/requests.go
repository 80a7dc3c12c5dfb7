package client

import (
	"context"
	"net/http"
	"time"
)

// Request is an owner's request for a plan or further scopes.
type Request struct {
	ID        string     `json:"id"`
	Workspace string     `json:"workspace,omitempty"`
	Key       string     `json:"key"`
	Owner     string     `json:"owner,omitempty"`
	Plan      string     `json:"plan,omitempty"`
	Scopes    []string   `json:"scopes,omitempty"`
	Reason    string     `json:"reason,omitempty"`
	Status    string     `json:"status"` // open, approved, declined or withdrawn
	CreatedAt time.Time  `json:"created_at"`
	DecidedAt *time.Time `json:"decided_at,omitempty"`
	DecidedBy *Actor     `json:"decided_by,omitempty"`
	Reply     string     `json:"answer,omitempty"` // of who decided

	Answer
}

// Partial reports whether only ID, Key, status and times are set. This is the case if the management key that
// made or decided the request lacks the scope keys:read.
func (r *Request) Partial() bool { return r.Owner == "" }

func (r *Request) complete() bool { return r.ID != "" && r.Status != "" }

// NewRequest requests either a plan or scopes for a key.
type NewRequest struct {
	Key    string   `json:"key"`
	Plan   string   `json:"plan,omitempty"`
	Scopes []string `json:"scopes,omitempty"`
	Reason string   `json:"reason,omitempty"`
}

// CreateRequest makes a request. A key can have one open request for a plan, and one for scopes.
func (c *Client) CreateRequest(ctx context.Context, workspace string, r NewRequest) (*Request, error) {
	return call[Request](ctx, c, request{method: http.MethodPost, path: []string{workspace, "requests"}, body: r})
}

// Request returns a request.
func (c *Client) Request(ctx context.Context, workspace, id string) (*Request, error) {
	return call[Request](ctx, c, request{method: http.MethodGet, path: []string{workspace, "requests", id}, repeatable: true})
}

// RequestFilter selects requests; its zero value selects all.
type RequestFilter struct{ Status, Owner, Key string }

// Requests lists the requests of a workspace, the newest first.
func (c *Client) Requests(workspace string, f RequestFilter) List[Request] {
	return List[Request]{
		c: c, path: []string{workspace, "requests"}, member: "requests",
		query: filter(map[string]string{"status": f.Status, "owner": f.Owner, "key": f.Key}),
	}
}

// ApproveRequest approves an open request. When it returns, the key has the plan or scopes, and the server has published
// the change. The reply is for the owner, and can be empty.
func (c *Client) ApproveRequest(ctx context.Context, workspace, id, reply string) (*Request, error) {
	return c.decide(ctx, workspace, id, "approve", reply)
}

// DeclineRequest declines an open request.
func (c *Client) DeclineRequest(ctx context.Context, workspace, id, reply string) (*Request, error) {
	return c.decide(ctx, workspace, id, "decline", reply)
}

// WithdrawRequest withdraws an open request for its owner.
func (c *Client) WithdrawRequest(ctx context.Context, workspace, id, reply string) (*Request, error) {
	return c.decide(ctx, workspace, id, "withdraw", reply)
}

// decide is not repeatable: a second answer would be that the request is already decided.
func (c *Client) decide(ctx context.Context, workspace, id, decision, reply string) (*Request, error) {
	return call[Request](ctx, c, request{
		method: http.MethodPost, path: []string{workspace, "requests", id, decision}, body: decisionBody{reply},
	})
}

type decisionBody struct {
	Answer string `json:"answer,omitempty"`
}
