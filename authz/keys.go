package authz

import (
	"bytes"
	"context"
	stdjson "encoding/json"
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// Key returns a key's record. Errors: ErrNotFound.
func (s *Service) Key(ctx context.Context, workspace string, id uuid.UUID) (store.Key, error) {
	return s.store.Key(ctx, workspace, id)
}

// Keys lists the keys of a workspace, the newest first, up to the limit and PageBytes. It also returns the id
// after which the next page begins: uuid.Nil at the end. A slow search may end early, with a short page.
// Errors: InputError, ErrNotFound, *CrowdedError, and ErrTooSlow for a search that has found nothing.
func (s *Service) Keys(ctx context.Context, workspace string, f store.Filter) ([]store.Key, uuid.UUID, error) {
	switch f.Status {
	case "", store.Active, store.Deprecated, store.Suspended, store.Revoked, store.Expired:
	default:
		return nil, uuid.Nil, Invalid("status", RuleNotOneOf, "values", "active, deprecated, suspended, revoked, expired")
	}
	if _, err := s.store.Workspace(ctx, workspace); err != nil {
		return nil, uuid.Nil, err
	}
	f.Now = s.Now()
	return s.keysIn(ctx, s.reads, workspace, f)
}

func isNull(v jsontext.Value) bool { return len(v) == 0 || v.Kind() == 'n' }

// mergeMetadata merges a patch into metadata and checks the size of the result.
func mergeMetadata(k *store.Key, patch jsontext.Value) error {
	switch {
	case len(patch) == 0:
		return nil
	case isNull(patch):
		k.Metadata = []byte("{}")
		return nil
	}
	merged, err := merge(jsontext.Value(k.Metadata), patch)
	if err != nil {
		return err
	}
	var bad InputError
	k.Metadata = []byte(bad.object("metadata", merged, MaxMetadata))
	return bad.err()
}

// merge applies a JSON Merge Patch (RFC 7396 section 2) to a target that may be absent.
func merge(target, patch jsontext.Value) (jsontext.Value, error) {
	if patch.Kind() != '{' {
		return patch, nil
	}
	members, changes := make(map[string]jsontext.Value), make(map[string]jsontext.Value)
	if len(target) > 0 && target.Kind() == '{' {
		if err := json.Unmarshal(target, &members); err != nil {
			return nil, err
		}
	}
	if err := json.Unmarshal(patch, &changes); err != nil {
		return nil, err
	}
	for name, change := range changes {
		if change.Kind() == 'n' {
			delete(members, name)
			continue
		}
		merged, err := merge(members[name], change)
		if err != nil {
			return nil, err
		}
		members[name] = merged
	}
	return json.Marshal(members, json.Deterministic(true))
}

// sameJSON reports whether two strings are the same JSON value, with numbers spelt in the same way.
func sameJSON(a, b []byte) bool {
	values := [2]any{}
	for i, text := range [][]byte{a, b} {
		dec := stdjson.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		if dec.Decode(&values[i]) != nil {
			return bytes.Equal(a, b)
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}
