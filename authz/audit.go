package authz

import (
	"context"
	"encoding/json"

	"github.com/burnkey/burnkey/store"
)

// Audit lists what happened in a workspace, the latest first. Errors: InputError,
// ErrNotFound, and ErrTooSlow where it is selected by what no index has.
func (s *Service) Audit(ctx context.Context, workspace string, f store.AuditFilter) ([]store.Entry, error) {
	if _, err := s.store.Workspace(ctx, workspace); err != nil {
		return nil, err
	}
	if f.Action == "" && f.ActorID == "" && f.Result == "" {
		return s.store.Audit(ctx, workspace, f)
	}
	return search(ctx, s.searches, func(ctx context.Context) ([]store.Entry, error) { return s.store.Audit(ctx, workspace, f) })
}

// Refused notes that somebody who is known was refused something in a workspace, by the
// name of the call: ten times a minute at most for each caller, call and server. What
// nobody has a name for is not noted: anybody could fill the disk.
func (s *Service) Refused(ctx context.Context, workspace, call string) error {
	if !s.calls.take(store.ActorOf(ctx).ID+" "+call, s.Now()) {
		return nil
	}
	ctx, cancel := settle(ctx)
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
