package api

import (
	"context"
	"time"

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

func (a *api) rotateKey(ctx context.Context, in *rotateInput) (*located[shownSuccessor], error) {
	id, ok := store.ParseID(in.ID)
	if !ok {
		return nil, authz.ErrNotFound
	}
	r := authz.RotateRequest{IdempotencyKey: in.IdempotencyKey}
	if in.Body != nil && in.Body.Grace != nil {
		grace, err := authz.ParseDuration(*in.Body.Grace)
		if err != nil {
			return nil, authz.Invalid("grace", authz.RuleNotDuration)
		}
		r.Grace = &grace
	}
	issued, err := a.service.Rotate(ctx, in.WS, id, r)
	return &located[shownSuccessor]{keyLocation(issued), a.successorForCaller(ctx, issued)}, err
}

func (a *api) endGrace(ctx context.Context, in *KeyPath) (shownKey, error) {
	return a.changeKey(ctx, in, a.service.EndGrace)
}

func (a *api) undoRotation(ctx context.Context, in *KeyPath) (shownKey, error) {
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

// RevokedMany lists the keys that were revoked or, in a dry run, would be.
type RevokedMany struct {
	DryRun bool       `json:"dry_run"`
	Count  int        `json:"count"`
	More   bool       `json:"more" doc:"Whether more keys match: repeat the call for the next ones"`
	Keys   []shownKey `json:"keys" nullable:"false"`
}

func (a *api) revokeMany(ctx context.Context, in *struct {
	WSPath
	Body RevokeMany
},
) (revoked RevokedMany, err error) {
	s := authz.Selection{Owner: in.Body.Owner, Scope: in.Body.Scope}
	if in.WS == authz.Home { // callers must not lock themselves out
		s.Except = principal(ctx).KeyID
	}
	for _, text := range in.Body.IDs {
		id, ok := store.ParseID(text)
		if !ok {
			return revoked, authz.Invalid("ids", authz.RuleNotKeyID)
		}
		s.IDs = append(s.IDs, id)
	}
	if in.Body.CreatedBefore != nil {
		if s.CreatedBefore = *in.Body.CreatedBefore; s.CreatedBefore.IsZero() { // the zero time would select every key
			return revoked, authz.Invalid("created_before", authz.RuleSelectsAll)
		}
	}
	if in.Body.UnusedFor != nil {
		unused, err := authz.ParseDuration(*in.Body.UnusedFor)
		if err != nil {
			return revoked, authz.Invalid("unused_for", authz.RuleNotDuration)
		}
		if unused == 0 {
			return revoked, authz.Invalid("unused_for", authz.RuleSelectsAll)
		}
		s.UnusedFor = unused
	}
	keys, more, err := a.service.RevokeMany(ctx, in.WS, s, in.Body.DryRun)
	revoked = RevokedMany{DryRun: in.Body.DryRun, Count: len(keys), More: more, Keys: []shownKey{}}
	for _, k := range keys {
		revoked.Keys = append(revoked.Keys, a.forCaller(ctx, k))
	}
	return revoked, err
}

func optionalID(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

func (a *api) showIssued(issued authz.Issued) IssuedKey {
	return IssuedKey{Token: issued.Token.Reveal(), Key: a.showKey(issued.Key)}
}

func keyLocation(issued authz.Issued) string {
	return "/v1/workspaces/" + issued.Workspace + "/keys/" + issued.ID.String()
}
