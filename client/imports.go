package client

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// MaxImport is the maximum number of keys in one call of ImportKeys. The body can have up to 1 MiB.
const MaxImport = 1000

// ImportKey describes a key that another system issued. Digest and Owner are required; jwks.SHA256Digest and
// jwks.HMACDigest return digests of keys.
type ImportKey struct {
	Digest       string          `json:"digest"`
	Owner        string          `json:"owner"`
	Name         string          `json:"name,omitempty"`
	Scopes       []string        `json:"scopes,omitempty"`
	Audience     []string        `json:"audience,omitempty"`
	ExpiresAt    time.Time       `json:"expires_at,omitzero"`
	NeverExpires bool            `json:"never_expires,omitempty"`
	Metadata     json.RawMessage `json:"metadata,omitempty"`
	AllowedIPs   []string        `json:"allowed_ips,omitempty"`
	Plan         string          `json:"plan,omitempty"`
	Limits       []jwks.Limit    `json:"limits,omitempty"`
}

// Statuses of an ImportResult.
const (
	StatusImported = "imported"
	StatusExists   = "exists"
	StatusRefused  = "refused"
)

// ImportResult is what became of one key.
type ImportResult struct {
	Status    string  `json:"status"`
	ID        string  `json:"id,omitempty"`         // of the key, unless it was refused
	KeyStatus string  `json:"key_status,omitempty"` // if it exists
	Errors    []Fault `json:"errors,omitempty"`
}

// ImportedKeys is the answer to ImportKeys. Results are in the order of the keys.
type ImportedKeys struct {
	Imported int            `json:"imported"`
	Existing int            `json:"existing"`
	Refused  int            `json:"refused"`
	Results  []ImportResult `json:"results"`

	Answer
}

func (k *ImportedKeys) complete() bool { return len(k.Results) == k.Imported+k.Existing+k.Refused }

// ImportKeys imports up to MaxImport keys of another system. A repeated call imports nothing twice.
func (c *Client) ImportKeys(ctx context.Context, workspace string, keys []ImportKey) (*ImportedKeys, error) {
	return call[ImportedKeys](ctx, c, request{
		method: http.MethodPost, path: []string{workspace, "imports"}, body: map[string]any{"keys": keys}, repeatable: true,
	})
}
