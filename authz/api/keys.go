package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Key is a key as the API shows it: everything except its token.
type Key struct {
	ID          string     `json:"id" format:"uuid"`
	KID         string     `json:"kid" doc:"RFC 7638 SHA-256 thumbprint of its JWK; of an imported key, derived from its id"`
	Workspace   string     `json:"workspace"`
	Owner       string     `json:"owner"`
	Name        string     `json:"name"`
	Scopes      []string   `json:"scopes" nullable:"false"`
	Audience    []string   `json:"audience" nullable:"false"`
	Claims      object     `json:"claims"`
	Metadata    object     `json:"metadata"`
	Status      string     `json:"status" enum:"active,deprecated,suspended,revoked,expired" doc:"deprecated: rotated, and still in its grace"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
	ExpiresAt   *time.Time `json:"expires_at" doc:"null: never"`
	RevokedAt   *time.Time `json:"revoked_at,omitempty"`
	RotatedFrom string     `json:"rotated_from,omitempty" format:"uuid" doc:"The key that it replaces"`
	RotatedTo   string     `json:"rotated_to,omitempty" format:"uuid" doc:"The key that replaces it"`
	GraceEndsAt *time.Time `json:"grace_ends_at,omitempty" doc:"When it stops working because another key replaces it"`
	LastUsedAt  *time.Time `json:"last_used_at" doc:"The latest use that a gateway reported or the server saw; null: no known use"`
	Version     uint64     `json:"version"`

	Enabled         bool       `json:"enabled"`
	SuspendedAt     *time.Time `json:"suspended_at,omitempty"`
	SuspendedReason string     `json:"suspended_reason,omitempty"`
	SuspendedBy     string     `json:"suspended_by,omitempty" enum:"owner,producer,parent" doc:"parent: it is resumed with its parent"`
	AllowedIPs      []string   `json:"allowed_ips" nullable:"false" doc:"Networks from which it can be used; empty: any"`
	Ceiling         *Ceiling   `json:"ceiling,omitempty"`
	Plan            string     `json:"plan,omitempty" doc:"The plan whose limits it has"`
	Limits          []Limit    `json:"limits" nullable:"false" doc:"Its own limits, besides those of its plan"`
	EnforcedBy      enforcedBy `json:"enforced_by"`
	Parent          string     `json:"parent,omitempty" format:"uuid" doc:"The key under which it was issued"`
	Imported        bool       `json:"imported,omitempty" doc:"true: another system issued it, and only gateways with the feed accept it"`
}

// Ceiling has the attributes of a key that the producer set.
type Ceiling struct {
	ExpiresAt  *time.Time `json:"expires_at,omitempty" doc:"The latest expiry"`
	Scopes     *[]string  `json:"scopes,omitempty" nullable:"false" doc:"The scopes to choose from"`
	AllowedIPs []string   `json:"allowed_ips,omitempty" nullable:"false" doc:"Each network must be within one of these"`
}

// Limit is a rule that counts requests.
type Limit struct {
	Name     string `json:"name" is:"limit" doc:"Unique in the list"`
	Requests int64  `json:"requests" minimum:"1" maximum:"1000000000" doc:"Requests that are accepted in this time"`
	Seconds  int64  `json:"seconds,omitempty" minimum:"1" maximum:"31536000" doc:"Length of a sliding window; either this or calendar"`
	Calendar string `json:"calendar,omitempty" enum:"day,week,month" doc:"Period in UTC; a week begins on Monday"`
}

// enforcedBy is the answer of authz.EnforcedBy.
type enforcedBy map[string]string

// Schema implements huma.SchemaProvider.
func (enforcedBy) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type:                 huma.TypeObject,
		AdditionalProperties: &huma.Schema{Type: huma.TypeString, Enum: []any{authz.ByAll, authz.ByGateway}},
		Description: "Where each member that replaces or adds to the token holds. all: at every gateway and verifier. gateway: " +
			"only at burnkey gateway and at verifiers that follow the feed",
	}
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
	ExpiresIn    *int64   `json:"expires_in,omitempty" minimum:"1" is:"lifetime" doc:"Seconds; default: the workspace's, or 90 days"`
	NeverExpires bool     `json:"never_expires,omitempty" doc:"Instead of expires_in"`
	Claims       object   `json:"claims,omitempty" doc:"More claims to sign, at most 4 KiB and 32 levels deep; not the registered ones"`
	Metadata     object   `json:"metadata,omitempty" doc:"Stored, not signed; at most 16 KiB and 32 levels deep"`
	AllowedIPs   []string `json:"allowed_ips,omitempty" nullable:"false" maxItems:"32" is:"network"`
	Plan         string   `json:"plan,omitempty" is:"plan" doc:"A plan of the workspace, whose limits the key has"`
	Limits       []Limit  `json:"limits,omitempty" nullable:"false" maxItems:"8" doc:"The key's own limits, besides those of its plan"`
	Parent       string   `json:"parent,omitempty" is:"key" doc:"An active key of the owner, which the new key can't exceed or outlive"`
}

// KeyPatch is a JSON Merge Patch (RFC 7396) of a key's changeable members.
type KeyPatch struct {
	Name     *string `json:"name,omitempty" nullable:"true" is:"name"`
	Metadata *object `json:"metadata,omitempty" nullable:"true" doc:"Stored, not signed; at most 16 KiB and 32 levels deep"`

	Enabled         *bool      `json:"enabled,omitempty" nullable:"true" doc:"false suspends the key, true or null resumes it"`
	SuspendedReason *string    `json:"suspended_reason,omitempty" nullable:"true" is:"name" doc:"Requires a suspended key or enabled: false"`
	ExpiresAt       *time.Time `json:"expires_at,omitempty" nullable:"true" doc:"In the future, within max_expires_in; null: the token's"`
	NeverExpires    *bool      `json:"never_expires,omitempty" nullable:"true" doc:"true: the key does not expire; excludes expires_at"`
	Scopes          *[]string  `json:"scopes,omitempty" nullable:"true" is:"scopes" doc:"New ones must be in the policy; null: the token's"`
	AllowedIPs      *[]string  `json:"allowed_ips,omitempty" nullable:"true" maxItems:"32" is:"network"`
	Plan            *string    `json:"plan,omitempty" nullable:"true" is:"plan" doc:"A plan of the workspace; null: none"`
	Limits          *[]Limit   `json:"limits,omitempty" nullable:"true" maxItems:"8" doc:"The key's own limits, besides those of its plan"`
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
	Version   uint64    `json:"version" doc:"The first version of the published set without the key"`
}

type (
	KeyPath struct {
		WSPath
		ID string `path:"id" doc:"The key's id"`
	}
	located[T any] struct {
		Location string `header:"Location"`
		Body     T
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
		Status string `query:"status" enum:"active,deprecated,suspended,revoked,expired" doc:"Keys in this state"`
		Plan   string `query:"plan" doc:"Keys with this plan"`
		Parent string `query:"parent" doc:"Keys under the key with this id"`
		Query  string `query:"q" doc:"Text in the name or owner, or an id or kid"`
	}
)

func (a *api) keys(h huma.API) {
	const list, one = " /v1/workspaces/{ws}/keys", " /v1/workspaces/{ws}/keys/{id}"
	read, write := []string{authz.ScopeKeysRead}, []string{authz.ScopeKeysWrite}
	register(a, h, call{
		id: "issue-key", route: "POST" + list, summary: "Issue a key", scopes: write, status: http.StatusCreated, errors: []int{409},
		description: "503 with Retry-After: too many keys are being made; this one was not.",
	}, a.issueKey)
	register(a, h, call{id: "list-keys", route: "GET" + list, summary: "List keys, the newest first", scopes: read}, body(a.listKeys))
	register(a, h, call{id: "get-key", route: "GET" + one, summary: "Show a key", scopes: read}, body(a.getKey))
	register(a, h, call{
		id: "find-key", route: "GET /v1/keys/{id}", summary: "Find a key in any workspace", scopes: read, errors: []int{404},
	}, body(a.findKey))
	register(a, h, call{
		id: "update-key", route: "PATCH" + one, summary: "Change a key without a new token", scopes: write, errors: []int{409},
		description: "A JSON Merge Patch (RFC 7396), also of metadata: null resets a member, and lists are replaced. A suspended key's JWK " +
			"leaves the published set and returns when the key is resumed. Scopes and expiry replace the token's at gateways that " +
			"follow the feed; enforced_by says where each member holds. 409: of a revoked or expired key, only name and metadata can " +
			"change. " + shownInPart,
	}, body(a.updateKey))
	register(a, h, call{
		id: "revoke-key", route: "DELETE" + one, summary: "Revoke a key", scopes: write,
		description: "Before the answer, its JWK is removed from the published set. A repeat gets the same answer.",
	}, body(a.revokeKey))
	register(a, h, call{
		id: "rotate-key", route: "POST" + one + "/rotate", summary: "Issue a key's successor", scopes: write,
		status: http.StatusCreated, errors: []int{409},
		description: "The successor has the contents and lifetime of the old key, which works until its grace ends and is then revoked " +
			"automatically. 409: the key is not active. " + shownInPart,
	}, a.rotateKey)
	register(a, h, call{
		id: "end-grace", route: "POST" + one + "/rotation/end", summary: "End a rotation's grace now", scopes: write, errors: []int{409},
		description: "Revokes the old key. The id may be the old key's or its successor's. 409: no grace to end. " + shownInPart,
	}, body(a.endGrace))
	register(a, h, call{
		id: "undo-rotation", route: "POST" + one + "/rotation/undo", summary: "Undo a rotation within its grace", scopes: write,
		errors: []int{409},
		description: "Revokes the successor; the old key stays active and is returned. The id may be of either. 409: no rotation to undo. " +
			shownInPart,
	}, body(a.undoRotation))
	register(a, h, call{
		id: "update-keys", route: "POST /v1/workspaces/{ws}/updates", summary: "Change many keys", scopes: write, errors: []int{409},
		description: "Makes the same change to all active, deprecated and suspended keys that match all given members: up to 1,000 keys " +
			"or about 1 MiB at a time, the newest first. Keys that have the change already are left out. It ends at the first error, and " +
			"can be repeated. In the workspace burnkey, the key that makes the call is left out. " + shownInPart,
	}, body(a.updateMany))
	register(a, h, call{
		id: "revoke-keys", route: "POST /v1/workspaces/{ws}/revocations", summary: "Revoke many keys", scopes: write, errors: []int{409},
		description: "Revokes the active, deprecated and suspended keys that match all given members: up to 1,000 keys or about 1 MiB at a " +
			"time, the newest first. In the workspace burnkey, the key that makes the call is left out. 409: gateways have not reported " +
			"the use of keys for as long as unused_for. " + shownInPart,
	}, body(a.revokeMany))
}

func (a *api) issueKey(ctx context.Context, in *issueInput) (*located[IssuedKey], error) {
	parent, err := parentOf(in.Body.Parent)
	if err != nil {
		return nil, err
	}
	issued, err := a.service.Issue(ctx, in.WS, authz.IssueRequest{
		Parent: parent,
		Owner:  in.Body.Owner, Name: in.Body.Name, Scopes: in.Body.Scopes, Audience: in.Body.Audience,
		ExpiresIn: in.Body.ExpiresIn, NeverExpires: in.Body.NeverExpires,
		Claims: in.Body.Claims, Metadata: in.Body.Metadata, IdempotencyKey: in.IdempotencyKey,
		AllowedIPs: in.Body.AllowedIPs, Plan: in.Body.Plan, Limits: limitsOf(in.Body.Limits),
	})
	return &located[IssuedKey]{keyLocation(issued), a.showIssued(issued)}, err
}

func (a *api) listKeys(ctx context.Context, in *listInput) (list KeyList, err error) {
	after, err := in.afterKey()
	if err != nil {
		return list, err
	}
	parent, err := parentOf(in.Parent)
	if err != nil {
		return list, err
	}
	found, next, err := a.service.Keys(ctx, in.WS, store.Filter{
		Parent: parent, Owner: in.Owner, Status: store.Status(in.Status), Plan: in.Plan, Query: in.Query, After: after, Limit: in.Limit,
	})
	list = KeyList{Keys: []Key{}, NextCursor: cursorAt(next)}
	for _, k := range found {
		list.Keys = append(list.Keys, a.showKey(k))
	}
	return list, err
}

// parentOf reads the id of a parent; "" is uuid.Nil.
func parentOf(text string) (uuid.UUID, error) {
	id, ok := store.ParseID(text)
	if text != "" && (!ok || id == uuid.Nil) {
		return uuid.Nil, authz.Invalid("parent", authz.RuleNotKeyID)
	}
	return id, nil
}

func (a *api) getKey(ctx context.Context, in *KeyPath) (Key, error) {
	key, err := withKey(ctx, in, a.service.Key)
	return a.showKey(key), err
}

// findKey shows a key of any workspace whose keys the caller may read. Other keys do not exist for it.
func (a *api) findKey(ctx context.Context, in *struct {
	ID string `path:"id" doc:"The key's id or kid, or the digest of an imported key"`
},
) (Key, error) {
	find := func() (store.Key, error) {
		return a.service.FindKey(ctx, in.ID, func(workspace string) bool { return mayRead(ctx, workspace, authz.ScopeKeysRead) })
	}
	if tie := principal(ctx).Workspace; tie != "" {
		find = func() (store.Key, error) { return a.service.KeyNamed(ctx, tie, in.ID) }
	}
	key, err := find()
	if input := authz.InputError(nil); errors.As(err, &input) {
		err = authz.Invalid("id", authz.RuleNotIDOrKID)
	}
	return a.showKey(key), err
}

func (a *api) updateKey(ctx context.Context, in *struct {
	KeyPath
	Body    KeyPatch
	RawBody []byte `contentType:"application/merge-patch+json"`
},
) (shownKey, error) {
	patch, err := keyPatchOf(in.RawBody)
	if err != nil {
		return shownKey{}, err
	}
	return a.changeKey(ctx, &in.KeyPath, func(ctx context.Context, ws string, id uuid.UUID) (store.Key, error) {
		return a.service.UpdateKey(ctx, ws, id, patch)
	})
}

func (a *api) revokeKey(ctx context.Context, in *KeyPath) (RevokedKey, error) {
	k, err := withKey(ctx, in, a.service.Revoke)
	if err != nil {
		return RevokedKey{}, err
	}
	key := a.showKey(k)
	return RevokedKey{ID: key.ID, Status: key.Status, RevokedAt: *key.RevokedAt, Version: key.Version}, nil
}

// changeKey applies call to the key in the path and returns the part of the result that the caller may see.
func (a *api) changeKey(ctx context.Context, in *KeyPath, call keyCall) (shownKey, error) {
	key, err := withKey(ctx, in, call)
	return a.forCaller(ctx, key), err
}

type keyCall func(context.Context, string, uuid.UUID) (store.Key, error)

// withKey applies call to the key in the path. An invalid id is ErrNotFound.
func withKey(ctx context.Context, in *KeyPath, call keyCall) (store.Key, error) {
	id, ok := store.ParseID(in.ID)
	if !ok {
		return store.Key{}, authz.ErrNotFound
	}
	return call(ctx, in.WS, id)
}

func (a *api) showKey(k store.Key) Key {
	shown := Key{
		ID: k.ID.String(), KID: k.KID.String(), Workspace: k.Workspace, Owner: k.Owner, Name: k.Name,
		Scopes: k.Scopes, Audience: k.Audience, Claims: object(k.Claims), Metadata: object(k.Metadata),
		Status: string(k.Status(a.service.Now())), CreatedAt: k.CreatedAt, UpdatedAt: k.UpdatedAt,
		ExpiresAt: optionalTime(k.ExpiresAt), RevokedAt: optionalTime(k.RevokedAt),
		RotatedFrom: optionalID(k.RotatedFrom), RotatedTo: optionalID(k.RotatedTo), GraceEndsAt: optionalTime(k.GraceEndsAt),
		LastUsedAt: optionalTime(k.LastUsedAt), Version: max(k.Version, k.Removed()),
		Enabled: k.SuspendedAt.IsZero(), SuspendedAt: optionalTime(k.SuspendedAt), SuspendedReason: k.SuspendedReason,
		AllowedIPs: textsOf(k.AllowedIPs), Ceiling: showCeiling(&k.Ceiling), Plan: k.Plan, Limits: showLimits(k.Limits),
		EnforcedBy: authz.EnforcedBy(&k), Imported: k.Digest != nil, Parent: optionalID(k.Parent),
	}
	if !shown.Enabled {
		shown.SuspendedBy = cmp.Or(k.SuspendedBy, "producer")
	}
	return shown
}

func showCeiling(c *store.Ceiling) *Ceiling {
	if c.IsZero() {
		return nil
	}
	shown := Ceiling{ExpiresAt: optionalTime(c.ExpiresAt), AllowedIPs: textsOf(c.AllowedIPs)}
	if c.Scopes != nil {
		shown.Scopes = &c.Scopes
	}
	return &shown
}

func textsOf(networks []netip.Prefix) []string {
	texts := []string{}
	for _, network := range networks {
		texts = append(texts, network.String())
	}
	return texts
}

func showLimits(limits []jwks.Limit) []Limit {
	shown := []Limit{}
	for _, l := range limits {
		shown = append(shown, Limit{l.Name, int64(l.Requests), int64(l.Seconds), l.Calendar})
	}
	return shown
}

// limitsOf converts limits that were validated.
func limitsOf(limits []Limit) (all []jwks.Limit) {
	for _, l := range limits {
		all = append(all, jwks.Limit{Name: l.Name, Requests: uint32(l.Requests), Seconds: uint32(l.Seconds), Calendar: l.Calendar})
	}
	return all
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
