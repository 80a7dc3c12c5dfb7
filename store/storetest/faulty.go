package storetest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// ErrBroken is the error of a Faulty method that fails.
var ErrBroken = errors.New("the database is broken")

// Faulty is a Store whose methods can be made to fail. Its hooks are by name of the method, and each method that
// tests need a hook for is overridden here. It is safe for concurrent use.
type Faulty struct {
	store.Store
	mu     sync.Mutex
	before map[string]func(context.Context) error
	after  map[string]func() error // the work is done by then
	alter  func([]jwks.Change) []jwks.Change
	lags   *lagging // what Published and Changes still show
	calls  map[string]int
}

// Fail makes a method return ErrBroken.
func (f *Faulty) Fail(method string) {
	f.Hook(method, func(context.Context) error { return ErrBroken })
}

// Hook calls before at the start of a method. An error of before is returned, and the method does nothing.
func (f *Faulty) Hook(method string, before func(context.Context) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.before == nil {
		f.before = make(map[string]func(context.Context) error)
	}
	f.before[method] = before
}

// HookAfter calls after at the end of a method, instead of all earlier functions of this kind.
func (f *Faulty) HookAfter(method string, after func() error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.after = map[string]func() error{method: after}
}

// Heal removes all hooks.
func (f *Faulty) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after, f.alter, f.lags = nil, nil, nil, nil
}

// Alter changes what Changes returns.
func (f *Faulty) Alter(alter func([]jwks.Change) []jwks.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.alter = alter
}

// lagging is what a replica shows that lags.
type lagging struct {
	version uint64
	keys    []jwks.Key
}

// Lag makes the store answer like a replica that has no later version than the given set, whose keys have no
// attributes.
func (f *Faulty) Lag(version uint64, keys []jwks.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lags = &lagging{version, keys}
	f.alter = func([]jwks.Change) []jwks.Change { return nil }
}

// Called returns how often a method was called.
func (f *Faulty) Called(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

// Enter counts a call of a method and runs its hook. Types that embed Faulty call it in methods of their own.
func (f *Faulty) Enter(ctx context.Context, method string) error {
	f.mu.Lock()
	if f.calls == nil {
		f.calls = make(map[string]int)
	}
	f.calls[method]++
	hook := f.before[method]
	f.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(ctx)
}

func (f *Faulty) leave(method string, err error) error {
	f.mu.Lock()
	hook := f.after[method]
	f.mu.Unlock()
	if hook == nil || err != nil {
		return err
	}
	return hook()
}

// through makes one call with its hooks.
func through[T any](ctx context.Context, f *Faulty, method string, call func() (T, error)) (T, error) {
	var none T
	if err := f.Enter(ctx, method); err != nil {
		return none, err
	}
	value, err := call()
	if err := f.leave(method, err); err != nil {
		return none, err
	}
	return value, nil
}

func (f *Faulty) CreateWorkspace(ctx context.Context, w store.Workspace, tombstone jwks.Key) (store.Workspace, error) {
	return through(ctx, f, "CreateWorkspace", func() (store.Workspace, error) { return f.Store.CreateWorkspace(ctx, w, tombstone) })
}

func (f *Faulty) Workspace(ctx context.Context, id string) (store.Workspace, error) {
	return through(ctx, f, "Workspace", func() (store.Workspace, error) { return f.Store.Workspace(ctx, id) })
}

func (f *Faulty) Issue(ctx context.Context, k store.Key, pub jwks.Key, terms store.Terms) (store.Key, error) {
	return through(ctx, f, "Issue", func() (store.Key, error) { return f.Store.Issue(ctx, k, pub, terms) })
}

func (f *Faulty) PublishSigner(ctx context.Context, s store.Signer, pub jwks.Key) (uint64, error) {
	return through(ctx, f, "PublishSigner", func() (uint64, error) { return f.Store.PublishSigner(ctx, s, pub) })
}

func (f *Faulty) SignersDue(ctx context.Context, now time.Time, limit int) ([]string, error) {
	return through(ctx, f, "SignersDue", func() ([]string, error) { return f.Store.SignersDue(ctx, now, limit) })
}

func (f *Faulty) Revoke(ctx context.Context, workspace string, id uuid.UUID, at time.Time) (store.Key, error) {
	return through(ctx, f, "Revoke", func() (store.Key, error) { return f.Store.Revoke(ctx, workspace, id, at) })
}

func (f *Faulty) UpdateKey(ctx context.Context, workspace string, id uuid.UUID, change func(*store.Workspace, *store.Key) error) (
	store.Key, error,
) {
	return through(ctx, f, "UpdateKey", func() (store.Key, error) { return f.Store.UpdateKey(ctx, workspace, id, change) })
}

func (f *Faulty) EndGrace(ctx context.Context, workspace string, id, to uuid.UUID, at time.Time) (store.Key, error) {
	return through(ctx, f, "EndGrace", func() (store.Key, error) { return f.Store.EndGrace(ctx, workspace, id, to, at) })
}

func (f *Faulty) Retire(ctx context.Context, workspace string, ids []uuid.UUID, at time.Time) ([]store.Key, error) {
	return through(ctx, f, "Retire", func() ([]store.Key, error) { return f.Store.Retire(ctx, workspace, ids, at) })
}

func (f *Faulty) NextDue(ctx context.Context) (time.Time, error) {
	return through(ctx, f, "NextDue", func() (time.Time, error) { return f.Store.NextDue(ctx) })
}

func (f *Faulty) PruneSessions(ctx context.Context, before time.Time) error {
	_, err := through(ctx, f, "PruneSessions", func() (struct{}, error) { return struct{}{}, f.Store.PruneSessions(ctx, before) })
	return err
}

func (f *Faulty) RecordUsage(ctx context.Context, workspace string, uses []store.Use, r store.Report) (int, error) {
	return through(ctx, f, "RecordUsage", func() (int, error) { return f.Store.RecordUsage(ctx, workspace, uses, r) })
}

func (f *Faulty) KeyByKID(ctx context.Context, workspace string, kid jwks.KID) (store.Key, error) {
	return through(ctx, f, "KeyByKID", func() (store.Key, error) { return f.Store.KeyByKID(ctx, workspace, kid) })
}

func (f *Faulty) KeyByDigest(ctx context.Context, d jwks.Digest) (store.Key, error) {
	return through(ctx, f, "KeyByDigest", func() (store.Key, error) { return f.Store.KeyByDigest(ctx, d) })
}

func (f *Faulty) KeyByIdempotencyKey(ctx context.Context, workspace, key string) (store.Key, error) {
	return through(ctx, f, "KeyByIdempotencyKey", func() (store.Key, error) { return f.Store.KeyByIdempotencyKey(ctx, workspace, key) })
}

func (f *Faulty) Keys(ctx context.Context, workspace string, filter store.Filter) (list []store.Key, next uuid.UUID, err error) {
	list, err = through(ctx, f, "Keys", func() (list []store.Key, err error) {
		list, next, err = f.Store.Keys(ctx, workspace, filter)
		return list, err
	})
	return list, next, err
}

func (f *Faulty) Published(ctx context.Context, workspace string, yield func(jwks.Key, jwks.Attributes) error) (
	version uint64, unsigned jwks.Unsigned, err error,
) {
	version, err = through(ctx, f, "Published", func() (version uint64, err error) {
		f.mu.Lock()
		old := f.lags
		f.mu.Unlock()
		if old == nil {
			version, unsigned, err = f.Store.Published(ctx, workspace, yield)
			return version, err
		}
		for _, key := range old.keys {
			if err := yield(key, jwks.Attributes{}); err != nil {
				return 0, err
			}
		}
		return old.version, nil
	})
	return version, unsigned, err
}

func (f *Faulty) Changes(ctx context.Context, workspace string, after uint64, limit int) ([]jwks.Change, error) {
	changes, err := through(ctx, f, "Changes", func() ([]jwks.Change, error) { return f.Store.Changes(ctx, workspace, after, limit) })
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.alter != nil && err == nil {
		changes = f.alter(changes)
	}
	return changes, err
}

func (f *Faulty) Versions(ctx context.Context, yield func(string, uint64, jwks.Fingerprint) error) error {
	_, err := through(ctx, f, "Versions", func() (struct{}, error) { return struct{}{}, f.Store.Versions(ctx, yield) })
	return err
}
