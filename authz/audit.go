package authz

import (
	"context"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// Audit lists the entries of a workspace, the latest first, in pages like those of Keys.
// Errors: ErrNotFound, *CrowdedError, and ErrTooSlow for a search that has found nothing.
func (s *Service) Audit(ctx context.Context, workspace string, f store.AuditFilter) ([]store.Entry, uuid.UUID, error) {
	if _, err := s.store.Workspace(ctx, workspace); err != nil {
		return nil, uuid.Nil, err
	}
	f.Rows = rowsATurn
	p, err := pageOf(ctx, s.reads, workspace, f.After, f.Limit, f.Narrows(), func(e *store.Entry) int { return 256 + len(e.Detail) },
		func(ctx context.Context, after uuid.UUID, limit, bytes int) ([]store.Entry, uuid.UUID, error) {
			f := f
			f.After, f.Limit, f.Bytes = after, limit, bytes
			return s.store.Audit(ctx, workspace, f)
		})
	return p.items, p.next, err
}
