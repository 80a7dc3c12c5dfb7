package api

import (
	"context"

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
