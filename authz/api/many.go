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

// KeySelection is the part of a body that selects keys.
type KeySelection struct {
	IDs           []string   `json:"ids,omitempty" nullable:"false" minItems:"1" maxItems:"1000" doc:"Keys with these ids"`
	Owner         string     `json:"owner,omitempty" minLength:"1" is:"text" doc:"Keys of this owner"`
	Scope         string     `json:"scope,omitempty" is:"scope" doc:"Keys with this scope"`
	Plan          string     `json:"plan,omitempty" is:"plan" doc:"Keys with this plan"`
	CreatedBefore *time.Time `json:"created_before,omitempty" doc:"Keys created before this time"`
	UnusedFor     *string    `json:"unused_for,omitempty" maxLength:"32" example:"2160h"`
	DryRun        bool       `json:"dry_run,omitempty" doc:"List the keys and change nothing"`
}

// RevokeMany is the body that selects keys to revoke.
type RevokeMany struct{ KeySelection }

// UpdateMany is the body that selects keys to change.
type UpdateMany struct {
	KeySelection
	Change rawPatch `json:"change"`
	Cursor string   `json:"cursor,omitempty" maxLength:"128" doc:"next_cursor of the previous answer"`
}

// rawPatch is the text of a KeyPatch, in which absent members differ from null.
type rawPatch []byte

// UnmarshalJSON copies the text.
func (p *rawPatch) UnmarshalJSON(text []byte) error {
	*p = bytes.Clone(text)
	return nil
}

// Schema implements huma.SchemaProvider.
func (rawPatch) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[KeyPatch](), true, "")
}

// RevokedMany lists the keys that were revoked or, in a dry run, would be.
type RevokedMany struct {
	DryRun bool       `json:"dry_run"`
	Count  int        `json:"count"`
	More   bool       `json:"more" doc:"Whether more keys match: repeat the call for the next ones"`
	Keys   []shownKey `json:"keys" nullable:"false"`
}

// UpdatedMany lists the keys that were changed or, in a dry run, would be.
type UpdatedMany struct {
	DryRun     bool       `json:"dry_run"`
	Count      int        `json:"count"`
	NextCursor *string    `json:"next_cursor" doc:"Repeat the call with it as cursor for the next keys; null: these are the last"`
	Keys       []shownKey `json:"keys" nullable:"false"`
}

func (a *api) revokeMany(ctx context.Context, in *struct {
	WSPath
	Body RevokeMany
},
) (revoked RevokedMany, err error) {
	s, err := in.Body.selection(ctx, in.WS)
	if err != nil {
		return revoked, err
	}
	keys, more, err := a.service.RevokeMany(ctx, in.WS, s, in.Body.DryRun)
	return RevokedMany{DryRun: in.Body.DryRun, Count: len(keys), More: more, Keys: a.allForCaller(ctx, keys)}, err
}

func (a *api) updateMany(ctx context.Context, in *struct {
	WSPath
	Body UpdateMany
},
) (updated UpdatedMany, err error) {
	patch, err := keyPatchOf(in.Body.Change)
	if err != nil {
		return updated, err
	}
	s, err := in.Body.selection(ctx, in.WS)
	if err != nil {
		return updated, err
	}
	if s.After, err = (&Page{Cursor: in.Body.Cursor}).afterKey(); err != nil {
		return updated, err
	}
	keys, next, err := a.service.UpdateMany(ctx, in.WS, s, patch, in.Body.DryRun)
	return UpdatedMany{DryRun: in.Body.DryRun, Count: len(keys), NextCursor: cursorAt(next), Keys: a.allForCaller(ctx, keys)}, err
}

func (a *api) allForCaller(ctx context.Context, keys []store.Key) []shownKey {
	shown := []shownKey{}
	for _, k := range keys {
		shown = append(shown, a.forCaller(ctx, k))
	}
	return shown
}

func (in *KeySelection) selection(ctx context.Context, ws string) (authz.Selection, error) {
	s := authz.Selection{Owner: in.Owner, Scope: in.Scope, Plan: in.Plan}
	if ws == authz.Home { // callers must not lock themselves out
		s.Except = principal(ctx).KeyID
	}
	for _, text := range in.IDs {
		id, ok := store.ParseID(text)
		if !ok {
			return s, authz.Invalid("ids", authz.RuleNotKeyID)
		}
		s.IDs = append(s.IDs, id)
	}
	if in.CreatedBefore != nil {
		if s.CreatedBefore = *in.CreatedBefore; s.CreatedBefore.IsZero() { // the zero time would select every key
			return s, authz.Invalid("created_before", authz.RuleSelectsAll)
		}
	}
	if in.UnusedFor != nil {
		unused, err := authz.ParseDuration(*in.UnusedFor)
		if err != nil {
			return s, authz.Invalid("unused_for", authz.RuleNotDuration)
		}
		if unused == 0 {
			return s, authz.Invalid("unused_for", authz.RuleSelectsAll)
		}
		s.UnusedFor = unused
	}
	return s, nil
}
