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

// A reader waits for the database at most tombstoneTimeout. After a failure, the database is not queried
// again for tombstoneAgain.
const (
	tombstoneTimeout = 2 * time.Second
	tombstoneAgain   = time.Second
)

// Tombstone returns the published key with which no token was ever signed. It returns false if that key is
// not cached and can't be read from the database.
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

// in returns the cached tombstone if the set contains it: after a restore the set can have another tombstone.
func (t *tombstone) in(set *Set) (jwks.Key, bool) {
	key := t.key.Load()
	if key == nil {
		return jwks.Key{}, false
	}
	_, ok := set.Lookup(key.KID())
	return *key, ok
}

// learnTombstones reads all tombstones in advance, so that they are available during an outage of the database.
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
