package client

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// Key is everything about a key except its token.
type Key struct {
	ID        string          `json:"id"`
	KID       string          `json:"kid"`
	Workspace string          `json:"workspace"`
	Owner     string          `json:"owner"`
	Name      string          `json:"name"`
	Scopes    []string        `json:"scopes"`
	Audience  []string        `json:"audience"`
	Claims    json.RawMessage `json:"claims,omitempty"`
	Metadata  json.RawMessage `json:"metadata,omitempty"`
	Status    string          `json:"status"` // active, deprecated (rotated, in its grace), revoked or expired
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at,omitzero"`
	ExpiresAt *time.Time      `json:"expires_at"` // nil: never
	RevokedAt *time.Time      `json:"revoked_at,omitempty"`

	RotatedFrom string     `json:"rotated_from,omitempty"` // id of the key whose successor it is
	RotatedTo   string     `json:"rotated_to,omitempty"`   // id of its successor
	GraceEndsAt *time.Time `json:"grace_ends_at,omitempty"`

	LastUsedAt *time.Time `json:"last_used_at"` // as far as gateways have reported it
	Version    uint64     `json:"version,omitzero"`

	Answer
}

// Partial reports whether only id, status, times and version are set: the answer to a change by a management key
// without the scope keys:read.
func (k *Key) Partial() bool { return k.KID == "" }

func (k *Key) complete() bool { return k.ID != "" && k.Status != "" }

// IssuedKey is a new key. Its token is in this answer only.
type IssuedKey struct {
	Token jwks.Token `json:"token"`
	Key
}

func (k *IssuedKey) complete() bool { return k.Key.complete() && k.Token != "" }

// NewKey is a key to issue. Only Owner is required; the workspace has defaults for the other members.
type NewKey struct {
	Owner        string          `json:"owner"`
	Name         string          `json:"name,omitempty"`
	Scopes       []string        `json:"scopes,omitempty"`
	Audience     []string        `json:"audience,omitempty"`
	ExpiresIn    *int64          `json:"expires_in,omitempty"` // seconds
	NeverExpires bool            `json:"never_expires,omitempty"`
	Claims       json.RawMessage `json:"claims,omitempty"`   // signed
	Metadata     json.RawMessage `json:"metadata,omitempty"` // not signed
}

// IssueKey issues a key. With an idempotency key, a repeat issues nothing and fails; without, it can be empty.
func (c *Client) IssueKey(ctx context.Context, workspace string, k NewKey, idempotencyKey string) (*IssuedKey, error) {
	return call[IssuedKey](ctx, c, request{
		method: http.MethodPost, path: []string{workspace, "keys"}, body: k,
		idempotencyKey: idempotencyKey, repeatable: idempotencyKey != "",
	})
}

// KeyFilter selects keys; its zero value selects all.
type KeyFilter struct {
	Owner  string
	Status string
	Query  string // part of the name or the owner, or the whole id or kid
}

// Keys lists the keys of a workspace, the newest first.
func (c *Client) Keys(workspace string, f KeyFilter) List[Key] {
	return List[Key]{
		c: c, path: []string{workspace, "keys"}, member: "keys",
		query: filter(map[string]string{"owner": f.Owner, "status": f.Status, "q": f.Query}),
	}
}

// Key returns a key.
func (c *Client) Key(ctx context.Context, workspace, id string) (*Key, error) {
	return call[Key](ctx, c, request{method: http.MethodGet, path: []string{workspace, "keys", id}, repeatable: true})
}

// UpdateKey changes name and metadata of a key.
func (c *Client) UpdateKey(ctx context.Context, workspace, id string, p Patch) (*Key, error) {
	return call[Key](ctx, c, request{method: http.MethodPatch, path: []string{workspace, "keys", id}, body: p, repeatable: true})
}
