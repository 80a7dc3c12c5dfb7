package authz

import (
	"context"
	"sync"

	"github.com/burnkey/burnkey/authz/mint"
	"github.com/burnkey/burnkey/store"
)

// conflicts makes requests that affect one another take turns: requests of one owner that count towards a
// limit, requests with one idempotency key, and rotations of one key. A key pair is then made only for a
// request that can still succeed.
type conflicts struct {
	mu    sync.Mutex
	byKey map[conflictKey]*conflict
}

// conflictKey has a workspace, the kind of conflict, and what the requests have in common, such as the owner.
type conflictKey struct{ workspace, kind, of string }

type conflict struct {
	key  conflictKey
	turn chan struct{} // held while keys are counted or stored
	// Numbers of requests, guarded by conflicts.mu: all, those that count, and those whose key is being made.
	users, queued, minting int
}

// maxConflicting bounds the requests that wait for one another.
const maxConflicting = 64

// enter adds a request to its conflict, which can have `most` requests (0: unlimited). The caller must call
// leave. Errors: *mint.BusyError.
func (c *conflicts) enter(key conflictKey, most int) (*conflict, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey == nil {
		c.byKey = make(map[conflictKey]*conflict)
	}
	k := c.byKey[key]
	if k == nil {
		k = &conflict{key: key, turn: make(chan struct{}, 1)}
		c.byKey[key] = k
	}
	if most > 0 && k.users >= most {
		return nil, &mint.BusyError{Asker: mint.Asker{Workspace: key.workspace}, Reason: key.kind, RetryAfter: busyFor}
	}
	k.users++
	return k, nil
}

func (c *conflicts) leave(k *conflict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(c.byKey, k.key)
	}
}

// alone waits until no other request with this key is in progress.
func (c *conflicts) alone(ctx context.Context, key conflictKey) (leave func(), err error) {
	k, err := c.enter(key, maxConflicting)
	if err != nil {
		return nil, err
	}
	release, err := k.acquire(ctx)
	if err != nil {
		c.leave(k)
		return nil, err
	}
	return func() { release(); c.leave(k) }, nil
}

func (k *conflict) acquire(ctx context.Context) (release func(), err error) {
	select {
	case k.turn <- struct{}{}:
		return func() { <-k.turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// reservation counts a request towards its owner's limit until its key is stored.
type reservation struct {
	s        *Service
	conflict *conflict
	status   store.Status // of the keys that the limit counts
	most     int
	minting  bool
	left     bool
}

// reserve counts a request if the owner's keys and the earlier requests are together fewer than `most` (0:
// unlimited). Errors: *LimitError, *mint.BusyError.
func (s *Service) reserve(ctx context.Context, workspace, owner string, status store.Status, most int) (*reservation, error) {
	k, err := s.conflicts.enter(conflictKey{workspace, string(status), owner}, 0)
	if err != nil {
		return nil, err
	}
	r := &reservation{s: s, conflict: k, status: status}
	if err := r.count(ctx, most, &k.queued); err != nil {
		s.conflicts.leave(k)
		return nil, err
	}
	return r, nil
}

// begin counts again when the request is about to be minted, now only with others that are being minted.
func (r *reservation) begin(ctx context.Context, most int) error {
	err := r.count(ctx, most, &r.conflict.minting)
	r.minting = err == nil
	return err
}

// count adds the request to `others` if this number and the owner's stored keys are fewer than `most`.
func (r *reservation) count(ctx context.Context, most int, others *int) (err error) {
	if r.status == uncounted {
		most = 0
	}
	r.most = most
	release, err := r.conflict.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	keys := 0
	if most > 0 {
		if keys, err = r.s.store.CountKeys(ctx, r.conflict.key.workspace, r.conflict.key.of, r.status, r.s.Now(), most); err != nil {
			return err
		}
	}
	r.s.conflicts.mu.Lock()
	defer r.s.conflicts.mu.Unlock()
	if most > 0 && keys+*others >= most {
		return &LimitError{Most: most, InGrace: r.status == store.Deprecated}
	}
	*others++
	return nil
}

// keep stores a key, which from then on counts instead of its request. No other count may take place in
// between: it would count both or neither.
func (r *reservation) keep(ctx context.Context, keep func() error) error {
	if r.most > 0 {
		release, err := r.conflict.acquire(ctx)
		if err != nil {
			return err
		}
		defer release()
	}
	defer r.leave()
	return keep()
}

// leave ends the counting of the request. Further calls do nothing.
func (r *reservation) leave() {
	if r.left {
		return
	}
	r.left = true
	r.s.conflicts.mu.Lock()
	r.conflict.queued--
	if r.minting {
		r.conflict.minting--
	}
	r.s.conflicts.mu.Unlock()
	r.s.conflicts.leave(r.conflict)
}
