package authz

import (
	"context"
	"encoding/json"

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

// Refused notes that somebody who is known was refused something in a workspace, by the
// name of the call: ten times a minute at most for each caller, call and server. What
// nobody has a name for is not noted: anybody could fill the disk.
func (s *Service) Refused(ctx context.Context, workspace, call string) error {
	if !s.calls.take(store.ActorOf(ctx).ID+" "+call, s.Now()) {
		return nil
	}
	ctx, cancel := settle(store.Under(ctx, store.Authority{})) // the server itself records it
	defer cancel()
	if _, err := s.store.Workspace(ctx, workspace); err != nil {
		workspace = Home // there is no such workspace, or none was meant
	}
	detail, err := json.Marshal(map[string]string{"call": call})
	if err != nil {
		return err
	}
	return s.store.Record(ctx, store.Entry{
		Workspace: workspace, At: s.Now(), Action: store.ActionCallRefuse, Result: store.ResultRefused, Detail: detail,
	})
}
