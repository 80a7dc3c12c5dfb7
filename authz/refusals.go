package authz

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/burnkey/burnkey/store"
)

// Refused records in the audit that an authenticated caller was refused a call in a workspace, at most ten
// times a minute for each caller, call and server. Refusals of unknown callers are not recorded: they could
// fill the disk.
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

// LoginRefused records that a login by a workspace's OpenID provider was refused, with a word for the reason.
// Anyone can cause such refusals without a name, so only some of each workspace are recorded: see refusedBy.
// Errors: ErrNotFound.
func (s *Service) LoginRefused(ctx context.Context, workspace, reason string) error {
	ctx, cancel := settle(ctx)
	defer cancel()
	if _, err := s.store.Workspace(ctx, workspace); err != nil {
		return err
	}
	return s.noteLogin(ctx, workspace, "", reason)
}

// noteExpired records the refusal of an expired link like that of a login. Used links are no longer known.
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

// noteLogin records a refusal, of an owner where one is known.
func (s *Service) noteLogin(ctx context.Context, workspace, owner, reason string) error {
	now := s.Now()
	if !s.refusals.take(refusedBy(ctx, workspace, owner), now) {
		return nil
	}
	detail, err := json.Marshal(map[string]string{"reason": reason})
	if err != nil {
		return err
	}
	return s.store.Record(ctx, store.Entry{
		Workspace: workspace, At: now, Action: store.ActionLoginRefuse, Owner: owner, Result: store.ResultRefused, Detail: detail,
	})
}

// refusedBy returns the name under which a refusal is counted. Anyone identified by a link or
// by the provider counts separately: strangers share one name and so can't keep identified
// callers out of the audit.
func refusedBy(ctx context.Context, workspace, owner string) string {
	return workspace + "\n" + owner + "\n" + store.ActorOf(ctx).ID
}

const (
	// refusalsAtOnce is how many refusals are recorded in each refusalEvery for one name: the
	// strangers of a workspace, an identified person, or one caller's call. That is about 5 MB a
	// day on one server.
	refusalsAtOnce = 10
	refusalEvery   = time.Minute
	// refusersAtOnce bounds the names that are counted; refusals of further ones are not
	// recorded.
	refusersAtOnce = 10_000
)

// refusals limits the recorded refusals of each name. It is safe for concurrent use.
type refusals struct {
	mu    sync.Mutex
	since time.Time
	noted map[string]int // by name, since then
}

// take reports whether another refusal may be recorded.
func (r *refusals) take(of string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if age := now.Sub(r.since); r.noted == nil || age >= refusalEvery || age < 0 {
		r.since, r.noted = now, make(map[string]int)
	}
	if r.noted[of] == 0 && len(r.noted) >= refusersAtOnce {
		return false
	}
	r.noted[of]++
	return r.noted[of] <= refusalsAtOnce
}
