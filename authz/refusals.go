package authz

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/burnkey/burnkey/internal/pace"
	"github.com/burnkey/burnkey/store"
)

// Refused records in the audit that an authenticated caller was refused a call in a workspace, at most ten
// times a minute for each caller, call and server. Refusals of unknown callers could fill the disk and are not
// recorded.
func (s *Service) Refused(ctx context.Context, workspace, call string) error {
	if !s.mayRecord("call\n" + store.ActorOf(ctx).ID + "\n" + call) {
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

// LoginRefused records that a login by a workspace's OpenID provider was refused, and a word for the reason.
// Unknown callers can cause such refusals, so their number is limited for each workspace: see refusedBy.
// Errors: ErrNotFound.
func (s *Service) LoginRefused(ctx context.Context, workspace, reason string) error {
	ctx, cancel := settle(ctx)
	defer cancel()
	if _, err := s.store.Workspace(ctx, workspace); err != nil {
		return err
	}
	return s.noteLogin(ctx, workspace, "", reason)
}

// noteExpired records the refusal of an expired link like that of a login. A used link is no longer stored, so
// its refusal is not recorded.
func (s *Service) noteExpired(ctx context.Context, link [sha256.Size]byte) error {
	asked, err := s.store.StoredSession(ctx, link)
	switch {
	case errors.Is(err, ErrNotFound) || err == nil && asked.Kind != store.KindLink:
		return nil
	case err != nil:
		return err
	}
	return s.noteLogin(ctx, asked.Workspace, asked.Owner, "expired-link")
}

// noteLogin records the refusal of a login, and the owner if known.
func (s *Service) noteLogin(ctx context.Context, workspace, owner, reason string) error {
	if !s.mayRecord("login\n" + refusedBy(ctx, workspace, owner)) {
		return nil
	}
	detail, err := json.Marshal(map[string]string{"reason": reason})
	if err != nil {
		return err
	}
	return s.store.Record(ctx, store.Entry{
		Workspace: workspace, At: s.Now(), Action: store.ActionLoginRefuse, Owner: owner, Result: store.ResultRefused, Detail: detail,
	})
}

// refusedBy returns the name under which a refusal is counted. Each person identified by a link or by the
// provider has a separate name. Unknown callers share one, so they can't keep others' refusals out of the
// audit.
func refusedBy(ctx context.Context, workspace, owner string) string {
	return workspace + "\n" + owner + "\n" + store.ActorOf(ctx).ID
}

// refusalRate limits the recorded refusals for one name on each server: a call of one caller, an identified
// person, or the unknown callers of a workspace. For each name, that is about 5 MB a day.
var refusalRate = pace.Rate{Burst: 10, Refill: 6 * time.Second}

func (s *Service) mayRecord(name string) bool {
	_, ok := s.refusals.Take(name, refusalRate, 1, 0, s.Now())
	return ok
}
