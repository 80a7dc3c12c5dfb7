package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// Key is all data of a key except its token.
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
	Status    string          `json:"status"` // active, deprecated (rotated, in its grace), suspended, revoked or expired
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at,omitzero"`
	ExpiresAt *time.Time      `json:"expires_at"` // nil: never
	RevokedAt *time.Time      `json:"revoked_at,omitempty"`

	RotatedFrom string     `json:"rotated_from,omitempty"` // id of the key whose successor it is
	RotatedTo   string     `json:"rotated_to,omitempty"`   // id of its successor
	GraceEndsAt *time.Time `json:"grace_ends_at,omitempty"`

	LastUsedAt *time.Time `json:"last_used_at"` // as far as gateways have reported it
	Version    uint64     `json:"version,omitzero"`

	Enabled         bool              `json:"enabled"` // false: suspended
	SuspendedAt     *time.Time        `json:"suspended_at,omitempty"`
	SuspendedReason string            `json:"suspended_reason,omitempty"`
	SuspendedBy     string            `json:"suspended_by,omitempty"` // owner, producer or parent
	AllowedIPs      []string          `json:"allowed_ips"`            // networks; empty: any
	Ceiling         *Ceiling          `json:"ceiling,omitempty"`      // nil: the producer set nothing
	Parent          string            `json:"parent,omitempty"`       // id of the key under which it was issued
	Plan            string            `json:"plan,omitempty"`
	Limits          []jwks.Limit      `json:"limits"`             // its own, besides those of its plan
	EnforcedBy      map[string]string `json:"enforced_by"`        // by member: all, or gateway if only gateways with the feed hold it
	Imported        bool              `json:"imported,omitempty"` // another system issued it, and it has no JWK

	Answer
}

// Ceiling has the attributes of a key that the producer set: the most that its owner can choose in the portal.
type Ceiling struct {
	ExpiresAt  *time.Time `json:"expires_at,omitempty"`
	Scopes     []string   `json:"scopes,omitzero"` // nil: not set; empty: no scopes
	AllowedIPs []string   `json:"allowed_ips,omitempty"`
}

// Partial reports whether only ID, status, times and version are set. This is the case if the management key
// that changed the key lacks the scope keys:read.
func (k *Key) Partial() bool { return k.KID == "" }

func (k *Key) complete() bool { return k.ID != "" && k.Status != "" }

// IssuedKey is a new key. No later answer contains its token.
type IssuedKey struct {
	Token jwks.Token `json:"token"`
	Key
}

func (k *IssuedKey) complete() bool { return k.Key.complete() && k.Token != "" }

// NewKey describes a key to issue. Only Owner is required; the workspace has defaults for the other members.
type NewKey struct {
	Owner        string          `json:"owner"`
	Name         string          `json:"name,omitempty"`
	Scopes       []string        `json:"scopes,omitempty"`
	Audience     []string        `json:"audience,omitempty"`
	ExpiresIn    *int64          `json:"expires_in,omitempty"` // seconds
	NeverExpires bool            `json:"never_expires,omitempty"`
	Claims       json.RawMessage `json:"claims,omitempty"`   // signed
	Metadata     json.RawMessage `json:"metadata,omitempty"` // not signed
	AllowedIPs   []string        `json:"allowed_ips,omitempty"`
	Plan         string          `json:"plan,omitempty"`
	Limits       []jwks.Limit    `json:"limits,omitempty"`
	Parent       string          `json:"parent,omitempty"` // id of an active key of the owner
}

// IssueKey issues a key. If the idempotency key is not empty and was used before, no key is issued, and the error is a
// *Problem with the KeyID of the earlier key.
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
	Plan   string
	Parent string // the id of their parent
	Query  string // part of the name or the owner, or the whole id or kid
}

// Keys lists the keys of a workspace, the newest first.
func (c *Client) Keys(workspace string, f KeyFilter) List[Key] {
	return List[Key]{
		c: c, path: []string{workspace, "keys"}, member: "keys",
		query: filter(map[string]string{"owner": f.Owner, "status": f.Status, "plan": f.Plan, "parent": f.Parent, "q": f.Query}),
	}
}

// Key returns a key.
func (c *Client) Key(ctx context.Context, workspace, id string) (*Key, error) {
	return call[Key](ctx, c, request{method: http.MethodGet, path: []string{workspace, "keys", id}, repeatable: true})
}

// FindKey returns the key with an id or kid, of any workspace whose keys the management key may read.
func (c *Client) FindKey(ctx context.Context, idOrKID string) (*Key, error) {
	return call[Key](ctx, c, request{method: http.MethodGet, anywhere: true, path: []string{idOrKID}, repeatable: true})
}

// UpdateKey changes a key. The members of the patch are name, metadata, enabled, suspended_reason, expires_at,
// never_expires, scopes, allowed_ips, plan and limits. When it returns, the server has published the change.
func (c *Client) UpdateKey(ctx context.Context, workspace, id string, p Patch) (*Key, error) {
	return call[Key](ctx, c, request{method: http.MethodPatch, path: []string{workspace, "keys", id}, body: p, repeatable: true})
}

// RevokedKey is the answer to a revocation. Version is the version of the first published set without the key.
type RevokedKey struct {
	ID        string    `json:"id"`
	Status    string    `json:"status"`
	RevokedAt time.Time `json:"revoked_at"`
	Version   uint64    `json:"version"`

	Answer
}

func (k *RevokedKey) complete() bool { return k.ID != "" && k.Status == "revoked" }

// RevokeKey revokes a key. When it returns, the key's JWK is no longer published. A repeated call returns the
// same answer.
func (c *Client) RevokeKey(ctx context.Context, workspace, id string) (*RevokedKey, error) {
	return call[RevokedKey](ctx, c, request{method: http.MethodDelete, path: []string{workspace, "keys", id}, repeatable: true})
}

// Selection selects active, deprecated and suspended keys that match every member that is set.
type Selection struct {
	IDs           []string  `json:"ids,omitempty"`
	Owner         string    `json:"owner,omitempty"`
	Scope         string    `json:"scope,omitempty"`
	Plan          string    `json:"plan,omitempty"`
	CreatedBefore time.Time `json:"created_before,omitzero"`
	UnusedFor     string    `json:"unused_for,omitempty"` // such as 2160h
	DryRun        bool      `json:"dry_run,omitempty"`    // only list the keys
}

// RevokedKeys lists the keys that a call revoked or, with DryRun, would have revoked.
type RevokedKeys struct {
	DryRun bool  `json:"dry_run"`
	Count  int   `json:"count"`
	More   bool  `json:"more"` // whether to call again for the next keys
	Keys   []Key `json:"keys"`

	Answer
}

func (k *RevokedKeys) complete() (ok bool) {
	k.Keys, ok = items[Key](k.members()["keys"])
	return ok && k.Count == len(k.Keys)
}

// RevokeKeys revokes up to 1,000 keys. In the workspace burnkey it does not revoke the management key that
// makes the call.
func (c *Client) RevokeKeys(ctx context.Context, workspace string, s Selection) (*RevokedKeys, error) {
	// The call is not repeatable: if the first answer is lost, a second answer does not list the keys already
	// revoked.
	return call[RevokedKeys](ctx, c, request{
		method: http.MethodPost, path: []string{workspace, "revocations"}, body: s, repeatable: s.DryRun,
	})
}

// KeyUpdate is a change of many keys.
type KeyUpdate struct {
	Selection
	Change Patch  `json:"change"`           // as of UpdateKey
	Cursor string `json:"cursor,omitempty"` // NextCursor of the previous call
}

// UpdatedKeys lists the keys that a call changed or, with DryRun, would have changed.
type UpdatedKeys struct {
	DryRun     bool    `json:"dry_run"`
	Count      int     `json:"count"`
	NextCursor *string `json:"next_cursor"` // not nil: call again with it for the next keys
	Keys       []Key   `json:"keys"`

	Answer
}

func (k *UpdatedKeys) complete() (ok bool) {
	k.Keys, ok = items[Key](k.members()["keys"])
	return ok && k.Count == len(k.Keys)
}

// UpdateKeys changes up to 1,000 keys. Keys that have the change already are not in the answer. In the workspace
// burnkey it does not change the management key that makes the call.
func (c *Client) UpdateKeys(ctx context.Context, workspace string, u KeyUpdate) (*UpdatedKeys, error) {
	// Like RevokeKeys, the call is not repeatable.
	return call[UpdatedKeys](ctx, c, request{
		method: http.MethodPost, path: []string{workspace, "updates"}, body: u, repeatable: u.DryRun,
	})
}

// Rotation has the options of a rotation.
type Rotation struct {
	// Grace is how long the old key remains valid: 0 to 2160h, such as 90m or 30d. Default: 24h.
	Grace string `json:"grace,omitempty"`
}

// RotateKey issues the successor of a key. The idempotency key is optional, as for IssueKey.
func (c *Client) RotateKey(ctx context.Context, workspace, id string, r Rotation, idempotencyKey string) (*IssuedKey, error) {
	return call[IssuedKey](ctx, c, request{
		method: http.MethodPost, path: []string{workspace, "keys", id, "rotate"}, body: r,
		idempotencyKey: idempotencyKey, repeatable: idempotencyKey != "",
	})
}

// EndGrace revokes the old key of a rotation and returns it. The ID can be the old key's or its successor's.
func (c *Client) EndGrace(ctx context.Context, workspace, id string) (*Key, error) {
	return call[Key](ctx, c, request{method: http.MethodPost, path: []string{workspace, "keys", id, "rotation", "end"}})
}

// UndoRotation revokes the successor of a key during the grace period and returns the old key. The ID can be of
// either key.
func (c *Client) UndoRotation(ctx context.Context, workspace, id string) (*Key, error) {
	return call[Key](ctx, c, request{method: http.MethodPost, path: []string{workspace, "keys", id, "rotation", "undo"}})
}

// UsageReport says when keys were last used. A report without keys means that no key was used.
type UsageReport struct {
	Keys     []KeyUse  `json:"keys"`
	Complete bool      `json:"complete"`           // false: earlier uses may be missing
	Reporter string    `json:"reporter,omitempty"` // default: the id of the management key
	SentAt   time.Time `json:"sent_at,omitzero"`
	Until    time.Time `json:"until,omitzero"` // the reporter has reported all earlier uses; default: SentAt
}

// KeyUse is the last use of a key.
type KeyUse struct {
	KID        string      `json:"kid"`
	LastUsedAt time.Time   `json:"last_used_at"`
	Limits     []LeftLimit `json:"limits,omitempty"` // at most 24, and 2,000 in a report
}

// LeftLimit is a limit of a key, its plan or its owner, and what it still allows.
type LeftLimit struct {
	On string `json:"on"` // key, jwks.OnPlan or jwks.OnOwner
	jwks.Limit
	Remaining uint32    `json:"remaining"`
	ResetAt   time.Time `json:"reset_at"`
}

// RecordedUsage counts the keys of a report: keys whose use was recorded, and keys that the workspace never
// had.
type RecordedUsage struct {
	Recorded int `json:"recorded"`
	Unknown  int `json:"unknown"`

	Answer
}

func (u *RecordedUsage) complete() bool {
	return u.members()["recorded"] != nil && u.members()["unknown"] != nil
}

// ReportUsage reports up to 500 keys. The error is nil only if the server has taken all of them into account.
func (c *Client) ReportUsage(ctx context.Context, workspace string, r UsageReport) (*RecordedUsage, error) {
	r.Keys = append([]KeyUse{}, r.Keys...) // not null
	taken, err := call[RecordedUsage](ctx, c, request{
		method: http.MethodPost, path: []string{workspace, "usage"}, body: r, repeatable: true,
	})
	if err == nil && taken.Recorded+taken.Unknown != len(r.Keys) {
		return nil, fmt.Errorf("%w: it does not account for all keys", errAnswer)
	}
	return taken, err
}
