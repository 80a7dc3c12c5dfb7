package authz

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store"
)

// running records the calls in progress, each with the key or session that authorizes it. When a key is revoked
// or a session ends, the contexts of its calls are cancelled, so that they stop waiting or reading at once.
// Changes do not depend on this: their transactions check the authority.
type running struct {
	mu     sync.Mutex
	calls  map[*call]struct{}
	checks atomic.Int64 // requested checks of the keys that made sessions; 0: no check is running
}

// call is a call in progress.
type call struct {
	kid     jwks.KID // of the management key that calls, or the zero KID
	session *store.Session
	end     context.CancelCauseFunc

	mu    sync.Mutex
	after []func() // called by done, before the caller can know that its call is over
}

func (c *call) whenDone(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.after = append(c.after, f)
}

type callKey struct{}

// AsKey returns a context for a call by a management key: changes depend on the key, and the
// context ends with ErrUnauthenticated once the key is revoked. The caller must call done.
func (s *Service) AsKey(ctx context.Context, p *Principal) (under context.Context, done func()) {
	ctx, done = s.running.begin(store.Under(ctx, store.Authority{Key: p.KeyID, Now: s.Now}), &call{kid: p.KID})
	if set, ok := s.publisher.Set(Home); ok { // the key may have been revoked meanwhile
		if _, published := set.Lookup(p.KID); !published {
			s.running.endKeys(set)
		}
	}
	return ctx, done
}

// AsSession is like AsKey for a portal session: the context ends with ErrNoSession once the session is ended on
// this server, or the key that made the session's link is revoked.
func (s *Service) AsSession(ctx context.Context, session store.Session) (under context.Context, done func()) {
	return s.running.begin(store.Under(ctx, store.Authority{Session: session.Hash, Now: s.Now}), &call{session: &session})
}

// Ended returns the reason why a call lost its authority if that caused err. Otherwise it returns err.
func Ended(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	lost := errors.Is(cause, ErrUnauthenticated) || errors.Is(cause, ErrNoSession)
	if lost && errors.Is(err, context.Canceled) {
		return cause
	}
	if !errors.Is(err, store.ErrNoAuthority) {
		return err
	}
	if store.AuthorityOf(ctx).Session != [32]byte{} {
		return fmt.Errorf("%w: %w", ErrNoSession, err)
	}
	return fmt.Errorf("%w: %w", ErrUnauthenticated, err)
}

func (r *running) begin(ctx context.Context, c *call) (context.Context, func()) {
	ctx, c.end = context.WithCancelCause(context.WithValue(ctx, callKey{}, c))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calls == nil {
		r.calls = make(map[*call]struct{})
	}
	r.calls[c] = struct{}{}
	return ctx, func() {
		r.mu.Lock()
		delete(r.calls, c)
		r.mu.Unlock()
		c.end(nil)
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, f := range c.after {
			f()
		}
		c.after = nil
	}
}

// count returns how many calls the caller of ctx has in progress.
func (r *running) count(ctx context.Context) (n int) {
	own, _ := ctx.Value(callKey{}).(*call)
	if own == nil || own.session != nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.calls {
		if c.session == nil && c.kid == own.kid {
			n++
		}
	}
	return n
}

// endSessions ends the calls of sessions that are over, except the call of ctx, which caused that.
func (r *running) endSessions(ctx context.Context, over func(*store.Session) bool) {
	own, _ := ctx.Value(callKey{}).(*call)
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.calls {
		if c != own && c.session != nil && over(c.session) {
			c.end(ErrNoSession)
		}
	}
}

// endKeys ends the calls made with management keys that are not in the set.
func (r *running) endKeys(set *publish.Set) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.calls {
		if _, published := set.Lookup(c.kid); c.session == nil && !published {
			c.end(ErrUnauthenticated)
		}
	}
}

// makers returns, for each key that made sessions with calls in progress, one of these sessions.
func (r *running) makers() map[uuid.UUID]*store.Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	makers := make(map[uuid.UUID]*store.Session)
	for c := range r.calls {
		if c.session != nil && c.session.MadeBy != uuid.Nil {
			makers[c.session.MadeBy] = c.session
		}
	}
	return makers
}

// homeChanged ends the calls of management keys that are no longer published. Whether a key that made sessions
// was revoked is checked in the store, in the background: if it only expired, its sessions continue.
func (s *Service) homeChanged() {
	if set, ok := s.publisher.Set(Home); ok {
		s.running.endKeys(set)
	}
	if len(s.running.makers()) > 0 && s.running.checks.Add(1) == 1 {
		go s.endMade()
	}
}

// endMade ends the calls of sessions that were made by revoked keys, and repeats this if it is requested again.
func (s *Service) endMade() {
	ctx, cancel := settle(context.Background())
	defer cancel()
	for {
		requested := s.running.checks.Load()
		for maker, session := range s.running.makers() {
			if errors.Is(s.stillMade(ctx, session), ErrNoSession) {
				s.running.endSessions(ctx, func(of *store.Session) bool { return of.MadeBy == maker })
			}
		}
		if s.running.checks.CompareAndSwap(requested, 0) {
			return
		}
	}
}

const (
	// atEase is the number of calls in progress above which a caller's refused calls are delayed.
	atEase = 16
	// held is the delay of a refused call. It must not exceed the Retry-After of the answer.
	held = time.Second
)

// HoldTurnedAway delays the answer to a refused call if the caller has many calls in progress. Otherwise, a
// caller that repeats refused calls on many connections would use up the CPUs. It returns early if the context
// ends.
func (s *Service) HoldTurnedAway(ctx context.Context) {
	if s.running.count(ctx) <= atEase {
		return
	}
	timer := time.NewTimer(held)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
