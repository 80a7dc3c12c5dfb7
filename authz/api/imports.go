package api

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/burnkey/burnkey/authz"
)

// maxImportBody is MaxBody for imports, which have up to 1,000 keys.
const maxImportBody = 1 << 20

// ImportKeys is the body that imports keys. Its members are checked for each key on its own.
type ImportKeys struct {
	Keys []ImportKey `json:"keys" nullable:"false" minItems:"1" maxItems:"1000"`
}

// ImportKey describes a key that another system issued.
type ImportKey struct {
	Digest       string     `json:"digest" maxLength:"1024" example:"sha256:ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"`
	Owner        string     `json:"owner" maxLength:"1024" doc:"Your own id of who holds the key"`
	Name         string     `json:"name,omitempty" maxLength:"1024" doc:"A name for people to read"`
	Scopes       []string   `json:"scopes,omitempty" nullable:"false" maxItems:"64" doc:"Scope tokens of RFC 6749 section 3.3"`
	Audience     []string   `json:"audience,omitempty" nullable:"false" maxItems:"16"`
	ExpiresAt    *time.Time `json:"expires_at,omitempty" doc:"In the future; default: after the workspace's lifetime, or 90 days"`
	NeverExpires bool       `json:"never_expires,omitempty" doc:"Instead of expires_at"`
	Metadata     object     `json:"metadata,omitempty" doc:"At most 16 KiB and 32 levels deep"`
	AllowedIPs   []string   `json:"allowed_ips,omitempty" nullable:"false" maxItems:"32" doc:"Networks from which it can be used; empty: any"`
	Plan         string     `json:"plan,omitempty" maxLength:"1024" doc:"A plan of the workspace, whose limits the key has"`
	Limits       []Limit    `json:"limits,omitempty" nullable:"false" maxItems:"8" doc:"The key's own limits, besides those of its plan"`
}

// ImportedKeys is the answer to an import.
type ImportedKeys struct {
	Imported int            `json:"imported" doc:"Number of keys that this call has stored"`
	Existing int            `json:"existing" doc:"Number of keys that the workspace has or had already"`
	Refused  int            `json:"refused" doc:"Number of keys that were not stored"`
	Results  []ImportResult `json:"results" nullable:"false" doc:"In the order of the keys"`
}

// ImportResult is what became of one key.
type ImportResult struct {
	Status string  `json:"status" enum:"imported,exists,refused"`
	ID     string  `json:"id,omitempty" format:"uuid" doc:"The key's id; absent if it was refused"`
	State  string  `json:"key_status,omitempty" enum:"active,deprecated,suspended,revoked,expired" doc:"Present if the key exists"`
	Errors []Field `json:"errors,omitempty" nullable:"false" doc:"Why it was refused"`
}

func (a *api) imports(h huma.API) {
	register(a, h, call{
		id: "import-keys", route: "POST /v1/workspaces/{ws}/imports", summary: "Import keys of another system",
		scopes: []string{authz.ScopeKeysWrite},
		description: "Takes up to 1,000 opaque keys, of which only digests are sent and stored. burnkey gateway accepts them like other " +
			"keys; the published set has none of them. A key that is refused does not prevent the others: the answer has a result for each. " +
			"Every 250 keys are one transaction. A repeat of the call stores nothing twice.",
	}, body(a.importKeys))
}

func (a *api) importKeys(ctx context.Context, in *struct {
	WSPath
	Body ImportKeys
},
) (ImportedKeys, error) {
	entries := make([]authz.ImportEntry, len(in.Body.Keys))
	for i, k := range in.Body.Keys {
		entries[i] = authz.ImportEntry{
			Digest: k.Digest, Owner: k.Owner, Name: k.Name, Scopes: k.Scopes, Audience: k.Audience, NeverExpires: k.NeverExpires,
			Metadata: k.Metadata, AllowedIPs: k.AllowedIPs, Plan: k.Plan, Limits: limitsOf(k.Limits),
		}
		if k.ExpiresAt != nil {
			entries[i].ExpiresAt = k.ExpiresAt.UTC()
		}
	}
	results, err := a.service.Import(ctx, in.WS, entries)
	shown := ImportedKeys{Results: make([]ImportResult, 0, len(results))}
	for _, r := range results {
		shown.add(a.showImported(r))
	}
	return shown, err
}

func (s *ImportedKeys) add(r ImportResult) {
	s.Results = append(s.Results, r)
	switch r.Status {
	case "imported":
		s.Imported++
	case "exists":
		s.Existing++
	default:
		s.Refused++
	}
}

func (a *api) showImported(r authz.Imported) ImportResult {
	switch {
	case len(r.Faults) > 0:
		shown := ImportResult{Status: "refused"}
		for _, f := range r.Faults {
			shown.Errors = append(shown.Errors, Field{Field: f.Field, Code: f.Code, Detail: f.Detail()})
		}
		return shown
	case r.Exists:
		return ImportResult{Status: "exists", ID: r.Key.ID.String(), State: string(r.Key.Status(a.service.Now()))}
	}
	return ImportResult{Status: "imported", ID: r.Key.ID.String()}
}
