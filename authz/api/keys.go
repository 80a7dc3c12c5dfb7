package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// Key as the API shows it: everything except its token.
type Key struct {
	ID        string     `json:"id" format:"uuid"`
	KID       string     `json:"kid" doc:"RFC 7638 SHA-256 thumbprint of its JWK"`
	Workspace string     `json:"workspace"`
	Owner     string     `json:"owner"`
	Name      string     `json:"name"`
	Scopes    []string   `json:"scopes" nullable:"false"`
	Audience  []string   `json:"audience" nullable:"false"`
	Claims    object     `json:"claims"`
	Metadata  object     `json:"metadata"`
	Status    string     `json:"status" enum:"active,deprecated,revoked,expired" doc:"deprecated: rotated, and still in its grace"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
	ExpiresAt *time.Time `json:"expires_at" doc:"null: never"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
	// RotatedFrom and RotatedTo are ids.
	RotatedFrom string     `json:"rotated_from,omitempty" format:"uuid" doc:"The key that it replaces"`
	RotatedTo   string     `json:"rotated_to,omitempty" format:"uuid" doc:"The key that replaces it"`
	GraceEndsAt *time.Time `json:"grace_ends_at,omitempty" doc:"When it stops working because another key replaces it"`
	LastUsedAt  *time.Time `json:"last_used_at" doc:"As far as gateways have reported it; null: no use is known"`
	Version     uint64     `json:"version" doc:"The version of the published set after the last change of this key"`
}

// IssuedKey is a Key with its token, which only this answer contains.
type IssuedKey struct {
	Token string `json:"token" doc:"Send it as Authorization: Bearer …; the server does not store it"`
	Key
}

// NewKey is the body that issues a key.
type NewKey struct {
	Owner        string   `json:"owner" is:"owner" doc:"Your own id of who holds the key; the sub of its token"`
	Name         string   `json:"name,omitempty" is:"name"`
	Scopes       []string `json:"scopes,omitempty" nullable:"false" is:"scopes" doc:"Scope tokens of RFC 6749 section 3.3"`
	Audience     []string `json:"audience,omitempty" nullable:"false" is:"audiences"`
	ExpiresIn    *seconds `json:"expires_in,omitempty" minimum:"1" is:"lifetime" doc:"Seconds; default: the workspace's, or 90 days"`
	NeverExpires bool     `json:"never_expires,omitempty" doc:"Instead of expires_in"`
	Claims       object   `json:"claims,omitempty" doc:"More claims to sign, at most 4 KiB and 32 levels deep; not the registered ones"`
	Metadata     object   `json:"metadata,omitempty" doc:"Stored, not signed; at most 16 KiB and 32 levels deep"`
}

// KeyPatch is a JSON Merge Patch (RFC 7396) of a key's changeable members.
type KeyPatch struct {
	Name     *string `json:"name,omitempty" nullable:"true" is:"name"`
	Metadata *object `json:"metadata,omitempty" nullable:"true" doc:"Stored, not signed; at most 16 KiB and 32 levels deep"`
}

// KeyList is one page, the newest keys first.
type KeyList struct {
	Keys       []Key   `json:"keys" nullable:"false"`
	NextCursor *string `json:"next_cursor" doc:"For the next page, even if this one is short or empty; null on the last page"`
}

// RevokedKey is the answer to a revocation.
type RevokedKey struct {
	ID        string    `json:"id" format:"uuid"`
	Status    string    `json:"status" enum:"revoked"`
	RevokedAt time.Time `json:"revoked_at"`
	Version   uint64    `json:"version" doc:"The version of the published set after the last change of this key"`
}

type (
	KeyPath struct {
		WSPath
		ID string `path:"id" doc:"The key's id"`
	}
	keyAnswer    struct{ Body Key }
	issuedAnswer struct {
		Location string `header:"Location"`
		Body     IssuedKey
	}
	issueInput struct {
		WSPath
		IdempotencyKey string `header:"Idempotency-Key" doc:"A repeat issues nothing: 409 with the same body, 422 with another"`
		Body           NewKey
	}
	listInput struct {
		WSPath
		Page
		Owner  string `query:"owner" doc:"Your own id of who holds the key; the sub of its token"`
		Status string `query:"status" enum:"active,deprecated,revoked,expired"`
		Query  string `query:"q" doc:"Text in the name or owner, or an id or kid"`
	}
)

func (a *api) keys(h huma.API) {
	const list, one = "/v1/workspaces/{ws}/keys", "/v1/workspaces/{ws}/keys/{id}"
	read, write := anyOf(authz.ScopeKeysRead), anyOf(authz.ScopeKeysWrite)
	huma.Register(h, huma.Operation{
		OperationID: "issue-key", Method: http.MethodPost, Path: list, Summary: "Issue a key",
		BodyReadTimeout: bodyWasRead,
		Description:     "503 with Retry-After: too many keys are being made; this one was not.",
		DefaultStatus:   http.StatusCreated, Security: write, Errors: []int{400, 401, 403, 404, 408, 409, 413, 415, 503},
	}, a.issueKey)
	huma.Register(h, huma.Operation{
		OperationID: "list-keys", Method: http.MethodGet, Path: list, Summary: "List keys, the newest first",
		Security: read, Errors: []int{401, 403, 404, 503},
	}, a.listKeys)
	huma.Register(h, huma.Operation{
		OperationID: "get-key", Method: http.MethodGet, Path: one, Summary: "Show a key",
		Security: read, Errors: []int{401, 403, 404, 503},
	}, a.getKey)
	huma.Register(h, huma.Operation{
		OperationID: "update-key", Method: http.MethodPatch, Path: one,
		Summary: "Change the unsigned parts of a key", BodyReadTimeout: bodyWasRead,
		Description: "A JSON Merge Patch (RFC 7396), also of metadata. " + shownInPart,
		Security:    write, Errors: []int{400, 401, 403, 404, 408, 413, 415, 429, 503},
	}, a.updateKey)
	takesMergePatch(h.OpenAPI().Paths[one].Patch)
	huma.Register(h, huma.Operation{
		OperationID: "revoke-key", Method: http.MethodDelete, Path: one, Summary: "Revoke a key",
		Description: "Before the answer, its JWK is removed from the published set. A repeat gets the same answer.",
		Security:    write, Errors: []int{401, 403, 404, 503},
	}, a.revokeKey)
}

func (a *api) issueKey(ctx context.Context, in *issueInput) (*issuedAnswer, error) {
	issued, err := a.service.Issue(ctx, in.WS, authz.IssueRequest{
		Owner: in.Body.Owner, Name: in.Body.Name, Scopes: in.Body.Scopes, Audience: in.Body.Audience,
		ExpiresIn: (*int64)(in.Body.ExpiresIn), NeverExpires: in.Body.NeverExpires,
		Claims: in.Body.Claims, Metadata: in.Body.Metadata, IdempotencyKey: in.IdempotencyKey,
	})
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return a.showIssued(issued), nil
}

func (a *api) listKeys(ctx context.Context, in *listInput) (*struct{ Body KeyList }, error) {
	after, err := in.afterKey()
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	found, next, err := a.service.Keys(ctx, in.WS, store.Filter{
		Owner: in.Owner, Status: store.Status(in.Status), Query: in.Query, After: after, Limit: in.Limit,
	})
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	list := KeyList{Keys: []Key{}}
	list.NextCursor = cursorAt(next)
	for _, k := range found {
		list.Keys = append(list.Keys, a.showKey(k))
	}
	return &struct{ Body KeyList }{list}, nil
}

func (a *api) getKey(ctx context.Context, in *KeyPath) (*keyAnswer, error) {
	key, err := a.withKey(ctx, in, a.service.Key)
	if err != nil {
		return nil, err
	}
	return &keyAnswer{a.showKey(key)}, nil
}

func (a *api) updateKey(ctx context.Context, in *struct {
	KeyPath
	Body    KeyPatch
	RawBody []byte `contentType:"application/merge-patch+json"`
},
) (*changedKey, error) {
	patch, err := keyPatchOf(in.RawBody)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return a.changeKey(ctx, &in.KeyPath, func(ctx context.Context, ws string, id uuid.UUID) (store.Key, error) {
		return a.service.UpdateKey(ctx, ws, id, patch)
	})
}

func (a *api) revokeKey(ctx context.Context, in *KeyPath) (*struct{ Body RevokedKey }, error) {
	k, err := a.withKey(ctx, in, a.service.Revoke)
	if err != nil {
		return nil, err
	}
	key := a.showKey(k)
	return &struct{ Body RevokedKey }{RevokedKey{ID: key.ID, Status: key.Status, RevokedAt: *key.RevokedAt, Version: key.Version}}, nil
}

// changeKey applies call to the path's key and answers with the result, as the caller may see
// it.
func (a *api) changeKey(ctx context.Context, in *KeyPath, call keyCall) (*changedKey, error) {
	key, err := a.withKey(ctx, in, call)
	if err != nil {
		return nil, err
	}
	return &changedKey{a.forCaller(ctx, key)}, nil
}

type keyCall func(context.Context, string, uuid.UUID) (store.Key, error)

// withKey returns the result of call for the path's key. An invalid id is ErrNotFound.
func (a *api) withKey(ctx context.Context, in *KeyPath, call keyCall) (store.Key, error) {
	id, ok := store.ParseID(in.ID)
	if !ok {
		return store.Key{}, a.problem(ctx, authz.ErrNotFound)
	}
	key, err := call(ctx, in.WS, id)
	if err != nil {
		return store.Key{}, a.problem(ctx, err)
	}
	return key, nil
}

func (a *api) showKey(k store.Key) Key {
	return Key{
		ID: k.ID.String(), KID: k.KID.String(), Workspace: k.Workspace, Owner: k.Owner, Name: k.Name,
		Scopes: k.Scopes, Audience: k.Audience, Claims: object(k.Claims), Metadata: object(k.Metadata),
		Status: string(k.Status(a.service.Now())), CreatedAt: k.CreatedAt, UpdatedAt: k.UpdatedAt,
		ExpiresAt: optionalTime(k.ExpiresAt), RevokedAt: optionalTime(k.RevokedAt),
		RotatedFrom: optionalID(k.RotatedFrom), RotatedTo: optionalID(k.RotatedTo), GraceEndsAt: optionalTime(k.GraceEndsAt),
		LastUsedAt: optionalTime(k.LastUsedAt), Version: max(k.Version, k.Removed()),
	}
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
