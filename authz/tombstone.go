package authz

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// stone is what is known of a workspace's tombstone. It is safe for concurrent use.
type stone struct {
	key   atomic.Pointer[jwks.Key] // nil until it was read
	mu    sync.Mutex               // held while it is read
	again time.Time                // when that may be tried again; guarded by mu
}

// The database is asked once for each tombstone, and while it does not answer, readers
// wait no longer than this.
const (
	tombstoneTimeout = 2 * time.Second
	tombstoneAgain   = time.Second
)

// Tombstone returns the key of a set that is published for which no token was ever
// signed; false where the database, which alone knows it, can't say.
func (p *Publisher) Tombstone(ctx context.Context, workspace string, set *jwks.Set) (jwks.Key, bool) {
	s := &p.entry(workspace).stone
	if key, ok := s.in(set); ok {
		return key, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if key, ok := s.in(set); ok {
		return key, true
	}
	if time.Now().Before(s.again) {
		return jwks.Key{}, false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tombstoneTimeout)
	defer cancel()
	key, err := p.store.Tombstone(ctx, workspace)
	if err != nil {
		s.again = time.Now().Add(tombstoneAgain)
		return jwks.Key{}, false
	}
	s.key.Store(&key)
	return s.in(set)
}

// in returns the tombstone if it is known and in a set: after a restore another may be.
func (s *stone) in(set *jwks.Set) (jwks.Key, bool) {
	key := s.key.Load()
	if key == nil {
		return jwks.Key{}, false
	}
	_, ok := set.Lookup(key.KID())
	return *key, ok
}

// learnTombstones reads them all ahead, so that they are known while the database is
// away.
func (p *Publisher) learnTombstones(ctx context.Context) {
	for workspace := range p.versions() {
		if ctx.Err() != nil {
			return
		}
		if set, ok := p.Set(workspace); ok {
			p.Tombstone(ctx, workspace, set)
		}
	}
}
