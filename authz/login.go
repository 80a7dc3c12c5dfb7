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
// workspace only some of those are noted: see refusedBy. Errors: ErrNotFound.
func (s *Service) LoginRefused(ctx context.Context, workspace, reason string) error {
	ctx, cancel := settle(ctx)
	defer cancel()
	if _, err := s.store.Workspace(ctx, workspace); err != nil {
		return err
	}
	return s.noteLogin(ctx, workspace, "", reason)
}

// SpendLogin uses up a login by OpenID, by its state, on all servers. After until it must be
// refused for its age: it is forgotten. Errors: ErrExists where it was used up before.
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

// refusedBy is whose refusal it is to be counted as: each who has proved something, by a
// link or to the provider, for themselves, so that strangers, who share what they may
// write, can't keep them out of the audit.
func refusedBy(ctx context.Context, workspace, owner string) string {
	return workspace + "\n" + owner + "\n" + store.ActorOf(ctx).ID
}

const (
	// refusalsAtOnce are noted of a workspace's strangers, of one who has proved who they
	// are, or of one caller's call, in each refusalEvery: some 5 MB a day, on one server.
	refusalsAtOnce = 10
	refusalEvery   = time.Minute
	// refusersAtOnce are told apart; those that come later are not noted.
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
