package api

import (
	"bytes"
	"context"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// An answer to a change must not show what the caller may not read. Each type here holds either
// the full record, for callers that may read it, or the part that anybody may see.

// shownInPart ends the description of each call that changes keys and works without keys:read.
const shownInPart = "Without the scope keys:read, the answer shows only a key's id, status, times and version."

// KeyState is the part of a Key that is shown to a caller without the scope keys:read.
type KeyState struct {
	ID          string     `json:"id" format:"uuid"`
	Status      string     `json:"status" enum:"active,deprecated,revoked,expired"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
	RevokedAt   *time.Time `json:"revoked_at,omitempty"`
	RotatedFrom string     `json:"rotated_from,omitempty" format:"uuid"`
	RotatedTo   string     `json:"rotated_to,omitempty" format:"uuid"`
	GraceEndsAt *time.Time `json:"grace_ends_at,omitempty"`
	Version     uint64     `json:"version"`
}

// IssuedState is a KeyState with the token of a new successor.
type IssuedState struct {
	Token string `json:"token" doc:"Send it as Authorization: Bearer …; it is kept nowhere"`
	KeyState
}

// WorkspaceState is the part of a Workspace that is shown without workspaces:read.
type WorkspaceState struct {
	ID        string    `json:"id"`
	Issuer    string    `json:"issuer"`
	JWKSURI   string    `json:"jwks_uri"`
	Version   uint64    `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// either holds the full record or the part of it that may be shown.
type either[Full, Rest any] struct {
	full *Full
	rest *Rest
}

type (
	shownKey       = either[Key, KeyState]
	shownSuccessor = either[IssuedKey, IssuedState]
	shownWorkspace = either[Workspace, WorkspaceState]
)

// MarshalJSON renders whichever is set, in the same way as format.
func (e either[Full, Rest]) MarshalJSON() ([]byte, error) {
	var text bytes.Buffer
	var err error
	if e.full != nil {
		err = format.Marshal(&text, e.full)
	} else {
		err = format.Marshal(&text, e.rest)
	}
	return text.Bytes(), err
}

// Schema implements huma.SchemaProvider.
func (either[Full, Rest]) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{AnyOf: []*huma.Schema{
		r.Schema(reflect.TypeFor[Full](), true, ""), r.Schema(reflect.TypeFor[Rest](), true, ""),
	}}
}

func mayRead(ctx context.Context, workspace, scope string) bool {
	return principal(ctx).May(workspace, scope) == nil
}

// forCaller returns the key, or the part of it that the caller may see.
func (a *api) forCaller(ctx context.Context, k store.Key) shownKey {
	full := a.showKey(k)
	if mayRead(ctx, k.Workspace, authz.ScopeKeysRead) {
		return shownKey{full: &full}
	}
	rest := stateOf(&full)
	return shownKey{rest: &rest}
}

func stateOf(k *Key) KeyState {
	return KeyState{
		ID: k.ID, Status: k.Status, CreatedAt: k.CreatedAt, UpdatedAt: k.UpdatedAt, RevokedAt: k.RevokedAt,
		RotatedFrom: k.RotatedFrom, RotatedTo: k.RotatedTo, GraceEndsAt: k.GraceEndsAt, Version: k.Version,
	}
}

// successorForCaller leaves out the name and metadata, which come from the old key, for a
// caller that may not read keys. The token itself has to be shown.
func (a *api) successorForCaller(ctx context.Context, issued authz.Issued) *successorAnswer {
	full := a.showIssued(issued)
	answer := &successorAnswer{Location: full.Location, Body: shownSuccessor{full: &full.Body}}
	if !mayRead(ctx, issued.Workspace, authz.ScopeKeysRead) {
		answer.Body = shownSuccessor{rest: &IssuedState{Token: full.Body.Token, KeyState: stateOf(&full.Body.Key)}}
	}
	return answer
}

func (a *api) workspaceForCaller(ctx context.Context, w store.Workspace, err error) (*changedWorkspace, error) {
	full, err := a.workspaceAnswer(ctx, w, err)
	if err != nil {
		return nil, err
	}
	b := &full.Body
	if mayRead(ctx, w.ID, authz.ScopeWorkspacesRead) {
		return &changedWorkspace{shownWorkspace{full: b}}, nil
	}
	return &changedWorkspace{shownWorkspace{rest: &WorkspaceState{
		ID: b.ID, Issuer: b.Issuer, JWKSURI: b.JWKSURI, Version: b.Version, CreatedAt: b.CreatedAt, UpdatedAt: b.UpdatedAt,
	}}}, nil
}

type (
	changedKey       struct{ Body shownKey }
	changedWorkspace struct{ Body shownWorkspace }
	successorAnswer  struct {
		Location string `header:"Location"`
		Body     shownSuccessor
	}
)
