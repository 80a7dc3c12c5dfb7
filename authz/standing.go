package authz

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// standings are the calls in progress, by what gives their callers the right to them. Once
// that is gone, their contexts end: what waits, waits no longer, and what reads on stops. It
// is for haste: what a change rests on is checked in its transaction.
type standings struct {
	mu    sync.Mutex
	calls map[*call]struct{}
	look  chan struct{} // holds one while makers are looked at
	again bool          // they are to be looked at once more
}

// call is one in progress.
type call struct {
	kid     jwks.KID // of the management key that calls, or the zero KID
	session *store.Session
	end     context.CancelCauseFunc
}

type callKey struct{}

// AsKey returns a context for what the holder of a management key asks for: changes rest on
// the key, and it ends with ErrUnauthenticated once the key is revoked. The caller calls done
// at the end.
func (s *Service) AsKey(ctx context.Context, p *Principal) (under context.Context, done func()) {
	ctx, done = s.standings.begin(store.Under(ctx, store.Authority{Key: p.KeyID, Now: s.Now}), &call{kid: p.kid})
	if set, ok := s.publisher.Set(Home); ok { // it may have been revoked meanwhile
		if _, published := set.Lookup(p.kid); !published {
			s.standings.endKeys(set)
		}
	}
	return ctx, done
}

// AsSession is AsKey for whoever has a portal session: it ends with ErrNoSession once the
// session is ended here or the key that made it is revoked.
func (s *Service) AsSession(ctx context.Context, session store.Session) (under context.Context, done func()) {
	return s.standings.begin(store.Under(ctx, store.Authority{Session: session.Hash, Now: s.Now}), &call{session: &session})
}

// Ended returns why a call lost its right to go on, where that is what err comes of; else err.
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

// endSessions ends the calls of sessions that are over, but that of ctx, which ended them.
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

// endKeys ends the calls of management keys that a set has no more.
func (t *standings) endKeys(set *jwks.Set) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.calls {
		if _, published := set.Lookup(c.kid); c.session == nil && !published {
			c.end(ErrUnauthenticated)
		}
	}
}

// makers returns a session of each maker whose sessions have calls in progress.
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

// homeChanged ends what rests on management keys that are published no more. Those that made
// sessions are read from the store, which tells keys that are revoked from keys that have
// expired, and for which nobody waits.
func (s *Service) homeChanged() {
	if set, ok := s.publisher.Set(Home); ok {
		s.standings.endKeys(set)
	}
	if len(s.standings.makers()) > 0 && s.standings.mayLook() {
		go s.endMade()
	}
}

// mayLook reports whether nobody looks at makers; who does, looks once more.
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

// looked reports whether that was all.
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
