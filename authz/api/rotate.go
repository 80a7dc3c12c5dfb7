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

// Rotation is the body that rotates a key; it may be absent.
type Rotation struct {
	Grace *string `json:"grace,omitempty" maxLength:"32" example:"720h"`
}

type rotateInput struct {
	KeyPath
	IdempotencyKey string `header:"Idempotency-Key" doc:"A repeat issues nothing: 409 with the same key and grace, 422 with others"`
	Body           *Rotation
}

func (a *api) rotations(h huma.API) {
	const one = "/v1/workspaces/{ws}/keys/{id}"
	write := anyOf(authz.ScopeKeysWrite)
	huma.Register(h, huma.Operation{
		OperationID: "rotate-key", Method: http.MethodPost, Path: one + "/rotate", Summary: "Issue a key's successor",
		Description: "The successor has the contents and lifetime of the old key, which works until its grace ends and is then revoked " +
			"automatically. 409: the key is not active. " + shownInPart,
		BodyReadTimeout: bodyWasRead, DefaultStatus: http.StatusCreated, Security: write,
		Errors: []int{400, 401, 403, 404, 408, 409, 413, 415, 503},
	}, a.rotateKey)
	huma.Register(h, huma.Operation{
		OperationID: "end-grace", Method: http.MethodPost, Path: one + "/rotation/end", Summary: "End a rotation's grace now",
		Description: "Revokes the old key. The id may be the old key's or its successor's. 409: no grace to end. " + shownInPart,
		Security:    write, Errors: []int{401, 403, 404, 409, 503},
	}, a.endGrace)
	huma.Register(h, huma.Operation{
		OperationID: "undo-rotation", Method: http.MethodPost, Path: one + "/rotation/undo", Summary: "Undo a rotation within its grace",
		Description: "Revokes the successor; the old key stays active and is returned. The id may be of either. 409: no rotation to undo. " +
			shownInPart,
		Security: write, Errors: []int{401, 403, 404, 409, 503},
	}, a.undoRotation)
}

func (a *api) rotateKey(ctx context.Context, in *rotateInput) (*successorAnswer, error) {
	id, ok := store.ParseID(in.ID)
	if !ok {
		return nil, a.problem(ctx, authz.ErrNotFound)
	}
	r := authz.RotateRequest{IdempotencyKey: in.IdempotencyKey}
	if in.Body != nil && in.Body.Grace != nil {
		grace, err := authz.ParseDuration(*in.Body.Grace)
		if err != nil {
			return nil, a.problem(ctx, authz.Invalid("grace", authz.RuleNotDuration))
		}
		r.Grace = &grace
	}
	issued, err := a.service.Rotate(ctx, in.WS, id, r)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return a.successorForCaller(ctx, issued), nil
}

func (a *api) endGrace(ctx context.Context, in *KeyPath) (*changedKey, error) {
	return a.changeKey(ctx, in, a.service.EndGrace)
}

func (a *api) undoRotation(ctx context.Context, in *KeyPath) (*changedKey, error) {
	return a.changeKey(ctx, in, a.service.UndoRotation)
}

// RevokeMany is the body that selects keys to revoke.
type RevokeMany struct {
	IDs           []string   `json:"ids,omitempty" nullable:"false" minItems:"1" maxItems:"1000" doc:"Keys with these ids"`
	Owner         string     `json:"owner,omitempty" minLength:"1" is:"text" doc:"Keys of this owner"`
	Scope         string     `json:"scope,omitempty" is:"scope" doc:"Keys with this scope"`
	CreatedBefore *time.Time `json:"created_before,omitempty" doc:"Keys created before this time"`
	UnusedFor     *string    `json:"unused_for,omitempty" maxLength:"32" example:"2160h"`
	DryRun        bool       `json:"dry_run,omitempty" doc:"List the keys and revoke nothing"`
}

// RevokedMany lists the keys that were revoked, or would be.
type RevokedMany struct {
	DryRun bool       `json:"dry_run"`
	Count  int        `json:"count"`
	More   bool       `json:"more" doc:"Whether more keys match: repeat the call for the next ones"`
	Keys   []shownKey `json:"keys" nullable:"false"`
}

func (a *api) revocations(h huma.API) {
	huma.Register(h, huma.Operation{
		OperationID: "revoke-keys", Method: http.MethodPost, Path: "/v1/workspaces/{ws}/revocations", Summary: "Revoke many keys",
		Description: "Revokes the active and deprecated keys that match all given members: up to 1,000 keys or about 1 MiB at a time, " +
			"the newest first. " +
			"In the workspace burnkey, the key that makes the call is left out. " +
			"409: gateways have not reported the use of keys for as long as unused_for. " + shownInPart,
		Security: anyOf(authz.ScopeKeysWrite), BodyReadTimeout: bodyWasRead, Errors: []int{400, 401, 403, 404, 408, 409, 413, 415, 503},
	}, a.revokeMany)
}

func (a *api) revokeMany(ctx context.Context, in *struct {
	WSPath
	Body RevokeMany
},
) (*struct{ Body RevokedMany }, error) {
	s := authz.Selection{Owner: in.Body.Owner, Scope: in.Body.Scope}
	if in.WS == authz.Home { // callers must not lock themselves out
		s.Except = principal(ctx).KeyID
	}
	for _, text := range in.Body.IDs {
		id, ok := store.ParseID(text)
		if !ok {
			return nil, a.problem(ctx, authz.Invalid("ids", authz.RuleNotKeyID))
		}
		s.IDs = append(s.IDs, id)
	}
	if in.Body.CreatedBefore != nil {
		if s.CreatedBefore = *in.Body.CreatedBefore; s.CreatedBefore.IsZero() { // the zero time would select every key
			return nil, a.problem(ctx, authz.Invalid("created_before", authz.RuleSelectsAll))
		}
	}
	if in.Body.UnusedFor != nil {
		unused, err := authz.ParseDuration(*in.Body.UnusedFor)
		if err != nil {
			return nil, a.problem(ctx, authz.Invalid("unused_for", authz.RuleNotDuration))
		}
		if unused == 0 {
			return nil, a.problem(ctx, authz.Invalid("unused_for", authz.RuleSelectsAll))
		}
		s.UnusedFor = unused
	}
	keys, more, err := a.service.RevokeMany(ctx, in.WS, s, in.Body.DryRun)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	body := RevokedMany{DryRun: in.Body.DryRun, Count: len(keys), More: more, Keys: []shownKey{}}
	for _, k := range keys {
		body.Keys = append(body.Keys, a.forCaller(ctx, k))
	}
	return &struct{ Body RevokedMany }{body}, nil
}

func optionalID(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

func (a *api) showIssued(issued authz.Issued) *issuedAnswer {
	return &issuedAnswer{
		Location: "/v1/workspaces/" + issued.Workspace + "/keys/" + issued.ID.String(),
		Body:     IssuedKey{Token: issued.Token.Reveal(), Key: a.showKey(issued.Key)},
	}
}
