package authz

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store"
)

// standings tracks the calls in progress by the key or session that authorizes them. When that
// is revoked or ends, the contexts of its calls are cancelled, so that they stop waiting or
// reading at once. Changes do not depend on this: their authority is checked in their
// transaction.
type standings struct {
	mu    sync.Mutex
	calls map[*call]struct{}
	look  chan struct{} // held while the makers of sessions are checked
	again bool          // another check is needed after the current one
}

// call is a call in progress.
type call struct {
	kid     jwks.KID // of the management key that calls, or the zero KID
	session *store.Session
	end     context.CancelCauseFunc
}

type callKey struct{}

// AsKey returns a context for a call by a management key: changes depend on the key, and the
// context ends with ErrUnauthenticated once the key is revoked. The caller must call done.
func (s *Service) AsKey(ctx context.Context, p *Principal) (under context.Context, done func()) {
	ctx, done = s.standings.begin(store.Under(ctx, store.Authority{Key: p.KeyID, Now: s.Now}), &call{kid: p.KID})
	if set, ok := s.publisher.Set(Home); ok { // the key may have been revoked meanwhile
		if _, published := set.Lookup(p.KID); !published {
			s.standings.endKeys(set)
		}
	}
	return ctx, done
}

// AsSession is like AsKey for a portal session: the context ends with ErrNoSession once the
// session is ended on this server or the key that made it is revoked.
func (s *Service) AsSession(ctx context.Context, session store.Session) (under context.Context, done func()) {
	return s.standings.begin(store.Under(ctx, store.Authority{Session: session.Hash, Now: s.Now}), &call{session: &session})
}

// Ended returns the reason why a call lost its authority, if that caused err; else err.
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

func (t *standings) begin(ctx context.Context, c *call) (context.Context, func()) {
	ctx, c.end = context.WithCancelCause(context.WithValue(ctx, callKey{}, c))
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.calls == nil {
		t.calls = make(map[*call]struct{})
	}
	t.calls[c] = struct{}{}
	return ctx, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.calls, c)
		c.end(nil)
	}
}

// count returns how many calls the caller of ctx has in progress.
func (t *standings) count(ctx context.Context) (n int) {
	own, _ := ctx.Value(callKey{}).(*call)
	if own == nil || own.session != nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.calls {
		if c.session == nil && c.kid == own.kid {
			n++
		}
	}
	return n
}

// endSessions ends the calls of ended sessions, except the call of ctx, which ended them.
func (t *standings) endSessions(ctx context.Context, over func(*store.Session) bool) {
	own, _ := ctx.Value(callKey{}).(*call)
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.calls {
		if c != own && c.session != nil && over(c.session) {
			c.end(ErrNoSession)
		}
	}
}

// endKeys ends the calls of management keys that are not in the set.
func (t *standings) endKeys(set *publish.Set) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.calls {
		if _, published := set.Lookup(c.kid); c.session == nil && !published {
			c.end(ErrUnauthenticated)
		}
	}
}

// makers returns, for each key that made sessions with calls in progress, one of these
// sessions.
func (t *standings) makers() map[uuid.UUID]*store.Session {
	t.mu.Lock()
	defer t.mu.Unlock()
	makers := make(map[uuid.UUID]*store.Session)
	for c := range t.calls {
		if c.session != nil && c.session.MadeBy != uuid.Nil {
			makers[c.session.MadeBy] = c.session
		}
	}
	return makers
}

// homeChanged ends the calls of management keys that are no longer published. Keys that made
// sessions are checked in the store in the background, since an expired key does not end its
// sessions but a revoked key does.
func (s *Service) homeChanged() {
	if set, ok := s.publisher.Set(Home); ok {
		s.standings.endKeys(set)
	}
	if len(s.standings.makers()) > 0 && s.standings.mayLook() {
		go s.endMade()
	}
}

// mayLook reports whether the caller may check the makers. If a check is running, it will
// repeat.
func (t *standings) mayLook() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case t.look <- struct{}{}:
		return true
	default:
		t.again = true
		return false
	}
}

// looked ends a check, or returns false if it must repeat.
func (t *standings) looked() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.again {
		t.again = false
		return false
	}
	<-t.look
	return true
}

func (s *Service) endMade() {
	ctx, cancel := settle(context.Background())
	defer cancel()
	for {
		for maker, session := range s.standings.makers() {
			if errors.Is(s.stillMade(ctx, session), ErrNoSession) {
				s.standings.endSessions(ctx, func(of *store.Session) bool { return of.MadeBy == maker })
			}
		}
		if s.standings.looked() {
			return
		}
	}
}
