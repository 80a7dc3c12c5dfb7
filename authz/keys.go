package authz

import (
	"context"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// KeyPatch changes the fields that are not nil. Signed fields can't be changed.
type KeyPatch struct {
	Name *string
	// Metadata is a JSON Merge Patch (RFC 7396) of the key's metadata; null empties it.
	Metadata []byte
}

// Key returns a key's record. Errors: ErrNotFound.
func (s *Service) Key(ctx context.Context, workspace string, id uuid.UUID) (store.Key, error) {
	return s.store.Key(ctx, workspace, id)
}

// Keys lists the keys of a workspace, the newest first, up to the limit and PageBytes, and
// returns the id after which to continue: uuid.Nil at the end. A search may stop early, with a
// short page. Errors: InputError, ErrNotFound, *CrowdedError, and ErrTooSlow for a search that
// has found nothing.
func (s *Service) Keys(ctx context.Context, workspace string, f store.Filter) ([]store.Key, uuid.UUID, error) {
	switch f.Status {
	case "", store.Active, store.Deprecated, store.Revoked, store.Expired:
	default:
		return nil, uuid.Nil, Invalid("status", RuleNotOneOf, "values", "active, deprecated, revoked, expired")
	}
	if _, err := s.store.Workspace(ctx, workspace); err != nil {
		return nil, uuid.Nil, err
	}
	f.Now = s.Now()
	return s.keysIn(ctx, s.reads, workspace, f)
}
