package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// watchPatience is how long a test waits for Watch before it fails.
const watchPatience = 20 * time.Second

var watchTests = []test{
	{"begins by waking for everything, and ends with its context", watchBegins},
	{"ends at once for a context that is done", watchCancelled},
	{"names workspaces that changed, if any, one call at a time", watchNames},
	{"may be called several times at once and again", watchAgain},
}

// watcher is a running call of Watch, with the workspaces that Watch has reported.
type watcher struct {
	cancel  context.CancelFunc
	begun   chan struct{} // closed by the first wake
	ended   chan error
	mu      sync.Mutex
	wakes   []string
	overlap atomic.Bool
}

func (e env) watch() *watcher {
	e.Helper()
	ctx, cancel := context.WithCancel(e.ctx)
	w := &watcher{cancel: cancel, begun: make(chan struct{}), ended: make(chan error, 1)}
	var inside atomic.Int32
	go func() {
		w.ended <- e.Watch(ctx, func(workspace string) {
			if inside.Add(1) > 1 {
				w.overlap.Store(true)
			}
			defer inside.Add(-1)
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.wakes = append(w.wakes, workspace); len(w.wakes) == 1 {
				close(w.begun)
			}
		})
	}()
	select {
	case <-w.begun:
	case err := <-w.ended:
		e.Fatalf("Watch ended: %v", err)
	case <-time.After(watchPatience):
		e.Fatal("Watch does not begin")
	}
	return w
}

// end ends a watcher and returns the workspaces it has reported.
func (e env) end(w *watcher) []string {
	e.Helper()
	w.cancel()
	select {
	case err := <-w.ended:
		e.is(err, context.Canceled)
	case <-time.After(watchPatience):
		e.Fatal("Watch does not end with its context")
	}
	if w.overlap.Load() {
		e.Error("calls of wake overlap")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.wakes)
}

func watchBegins(e env) {
	w := e.watch()
	e.equal("wakes", e.end(w), []string{""})
}

func watchCancelled(e env) {
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	ended := make(chan error, 1)
	go func() { ended <- e.Watch(ctx, func(string) {}) }()
	select {
	case err := <-ended:
		e.is(err, context.Canceled)
	case <-time.After(watchPatience):
		e.Fatal("Watch does not end")
	}
}

func watchNames(e env) {
	other := e
	other.Store = e.open()
	w := e.watch()
	e.create("acme")
	other.create("beta")
	e.parallel(4, func(i int) {
		in := []env{e, other}[i%2]
		for range 5 {
			k, err := in.Issue(in.ctx, NewRecord("acme", "o"), NewKey(e), nil)
			if err == nil {
				_, err = in.Revoke(in.ctx, "acme", k.ID, now)
			}
			if err != nil {
				e.Error(err)
			}
		}
	})
	for _, name := range e.end(w) {
		if name != "" && name != "acme" && name != "beta" {
			e.Errorf("woken for %q", name)
		}
	}
	e.consistent("acme")
}

func watchAgain(e env) {
	for range 3 {
		a, b := e.watch(), e.watch()
		e.end(a)
		e.end(b)
	}
	ctx, cancel := context.WithTimeout(e.ctx, 20*time.Millisecond)
	defer cancel()
	if err := e.Watch(ctx, func(string) {}); !errors.Is(err, context.DeadlineExceeded) {
		e.Errorf("got %v, want that of the context", err)
	}
}
