package authz

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"sync"
	"time"

	"github.com/burnkey/burnkey/store"
)

// LoginRefused notes that somebody was refused who came back from a workspace's OpenID
// provider, by a word that says why. Anybody can come back without a name, so of each
// workspace only some of these are recorded: see refusedBy. Errors: ErrNotFound.
func (s *Service) LoginRefused(ctx context.Context, workspace, reason string) error {
	ctx, cancel := settle(ctx)
	defer cancel()
	if _, err := s.store.Workspace(ctx, workspace); err != nil {
		return err
	}
	return s.noteLogin(ctx, workspace, "", reason)
}

// SpendLogin uses up an OpenID login, identified by its state, on all servers. It is remembered
// until the given time, after which the caller must refuse it as too old. Errors: ErrExists if
// it has been used up before.
func (s *Service) SpendLogin(ctx context.Context, workspace, state string, until time.Time) error {
	ctx, cancel := settle(ctx)
	defer cancel()
	return s.store.SpendLogin(ctx, workspace, sha256.Sum256([]byte(state)), until)
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

// refusals bounds what those who are refused can write. It is safe for concurrent use.
type refusals struct {
	mu    sync.Mutex
	since time.Time
	noted map[string]int // by whom or where, since then
}

// take reports whether one more may be noted.
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
