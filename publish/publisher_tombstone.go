package publish

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// tombstone caches a workspace's tombstone. It is safe for concurrent use.
type tombstone struct {
	key   atomic.Pointer[jwks.Key] // nil until read
	mu    sync.Mutex               // held while reading
	again time.Time                // when to read it again after a failure; guarded by mu
}

// Readers wait at most tombstoneTimeout for the database. After a failure it is not asked again
// for tombstoneAgain.
const (
	tombstoneTimeout = 2 * time.Second
	tombstoneAgain   = time.Second
)

// Tombstone returns the published key for which no token was ever signed; false if it is not
// known and can't be read from the database.
func (p *Publisher) Tombstone(ctx context.Context, workspace string, set *Set) (jwks.Key, bool) {
	t := &p.entry(workspace).tombstone
	if key, ok := t.in(set); ok {
		return key, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if key, ok := t.in(set); ok {
		return key, true
	}
	if time.Now().Before(t.again) {
		return jwks.Key{}, false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tombstoneTimeout)
	defer cancel()
	key, err := p.store.Tombstone(ctx, workspace)
	if err != nil {
		t.again = time.Now().Add(tombstoneAgain)
		return jwks.Key{}, false
	}
	t.key.Store(&key)
	return t.in(set)
}

// in returns the tombstone if it is known and in the set: after a restore the set may have another.
func (t *tombstone) in(set *Set) (jwks.Key, bool) {
	key := t.key.Load()
	if key == nil {
		return jwks.Key{}, false
	}
	_, ok := set.Lookup(key.KID())
	return *key, ok
}

// learnTombstones reads all tombstones in advance, so that they are known during an outage of the database.
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
