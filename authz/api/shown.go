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
// the full record, for callers that may read it, or the part that all callers may see.

// shownInPart ends the description of each call that changes keys and does not need keys:read.
const shownInPart = "Without the scope keys:read, the answer shows only a key's id, status, times and version."

// KeyState is the part of a Key that is shown to a caller without the scope keys:read.
type KeyState struct {
	ID          string     `json:"id" format:"uuid"`
	Status      string     `json:"status" enum:"active,deprecated,suspended,revoked,expired"`
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

// either holds the full record and the part of it that all callers may see. It renders one of them.
type either[Full, Rest any] struct {
	isFull bool
	full   *Full
	rest   *Rest
}

type (
	shownKey       = either[Key, KeyState]
	shownSuccessor = either[IssuedKey, IssuedState]
	shownWorkspace = either[Workspace, WorkspaceState]
)

// MarshalJSON encodes with the same options as format.
func (e either[Full, Rest]) MarshalJSON() ([]byte, error) {
	shown := any(e.rest)
	if e.isFull {
		shown = e.full
	}
	var text bytes.Buffer
	err := format.Marshal(&text, shown)
	return text.Bytes(), err
}

// Schema implements huma.SchemaProvider.
func (either[Full, Rest]) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{AnyOf: []*huma.Schema{
		r.Schema(reflect.TypeFor[Full](), true, ""), r.Schema(reflect.TypeFor[Rest](), true, ""),
	}}
}

func mayRead(ctx context.Context, workspace string, scopes ...string) bool {
	return principal(ctx).May(workspace, scopes...) == nil
}

// forCaller returns the key, or the part of it that the caller may see.
func (a *api) forCaller(ctx context.Context, k store.Key) shownKey {
	full := a.showKey(k)
	rest := stateOf(&full)
	return shownKey{mayRead(ctx, k.Workspace, authz.ScopeKeysRead), &full, &rest}
}

func stateOf(k *Key) KeyState {
	return KeyState{
		ID: k.ID, Status: k.Status, CreatedAt: k.CreatedAt, UpdatedAt: k.UpdatedAt, RevokedAt: k.RevokedAt,
		RotatedFrom: k.RotatedFrom, RotatedTo: k.RotatedTo, GraceEndsAt: k.GraceEndsAt, Version: k.Version,
	}
}

// successorForCaller omits the name and metadata, which are copied from the old key, for a caller that may not
// read keys. The caller still gets the token.
func (a *api) successorForCaller(ctx context.Context, issued authz.Issued) shownSuccessor {
	full := a.showIssued(issued)
	rest := IssuedState{Token: full.Token, KeyState: stateOf(&full.Key)}
	return shownSuccessor{mayRead(ctx, issued.Workspace, authz.ScopeKeysRead), &full, &rest}
}

func (a *api) workspaceForCaller(ctx context.Context, w store.Workspace) (shownWorkspace, error) {
	full, err := a.showWithLogo(ctx, w)
	return shownWorkspace{mayRead(ctx, w.ID, authz.ScopeWorkspacesRead), &full, &WorkspaceState{
		ID: full.ID, Issuer: full.Issuer, JWKSURI: full.JWKSURI, Version: full.Version, CreatedAt: full.CreatedAt, UpdatedAt: full.UpdatedAt,
	}}, err
}
