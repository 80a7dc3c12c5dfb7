package publish_test

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store"
)

var errBroken = errors.New("the database is broken")

// faulty is a Store that fails on demand. Each hook has the name of its method.
type faulty struct {
	store.Store
	mu     sync.Mutex
	before map[string]func(context.Context) error
	after  map[string]func() error // the work is done by then
	alter  func([]jwks.Change) []jwks.Change
	calls  map[string]int
}

func (f *faulty) fail(method string) {
	f.hook(method, func(context.Context) error { return errBroken })
}

func (f *faulty) hook(method string, before func(context.Context) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.before == nil {
		f.before = make(map[string]func(context.Context) error)
	}
	f.before[method] = before
}

func (f *faulty) hookAfter(method string, after func() error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.after = map[string]func() error{method: after}
}

// heal removes all hooks.
func (f *faulty) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after, f.alter = nil, nil, nil
}

func (f *faulty) called(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

func (f *faulty) enter(ctx context.Context, method string) error {
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

func (f *faulty) leave(method string, err error) error {
	f.mu.Lock()
	hook := f.after[method]
	f.mu.Unlock()
	if hook == nil || err != nil {
		return err
	}
	return hook()
}

// through is one call with its hooks.
func through[T any](ctx context.Context, f *faulty, method string, call func() (T, error)) (T, error) {
	var none T
	if err := f.enter(ctx, method); err != nil {
		return none, err
	}
	value, err := call()
	if err := f.leave(method, err); err != nil {
		return none, err
	}
	return value, nil
}

func (f *faulty) Published(ctx context.Context, workspace string, yield func(jwks.Key) error) (uint64, error) {
	return through(ctx, f, "Published", func() (uint64, error) { return f.Store.Published(ctx, workspace, yield) })
}

// keysOf returns the keys of a set, read from its JSON form.
func keysOf(set *publish.Set) []jwks.Key {
	var body bytes.Buffer
	if _, err := set.WriteTo(&body); err != nil {
		panic(err)
	}
	keys, err := jwks.ParseSet(body.Bytes())
	if err != nil {
		panic(err)
	}
	return keys
}

func (f *faulty) Changes(ctx context.Context, workspace string, after uint64, limit int) ([]jwks.Change, error) {
	changes, err := through(ctx, f, "Changes", func() ([]jwks.Change, error) { return f.Store.Changes(ctx, workspace, after, limit) })
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.alter != nil && err == nil {
		changes = f.alter(changes)
	}
	return changes, err
}

func (f *faulty) Versions(ctx context.Context, yield func(string, uint64, jwks.Fingerprint) error) error {
	_, err := through(ctx, f, "Versions", func() (struct{}, error) { return struct{}{}, f.Store.Versions(ctx, yield) })
	return err
}
