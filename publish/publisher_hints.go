package publish

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/burnkey/burnkey/internal/loop"
)

// rewatch and rewatchMax are the first and the longest wait before a Watch that ended is called
// again. Meanwhile Follow polls.
const (
	rewatch    = time.Second
	rewatchMax = 5 * time.Second
)

// wakes collects the hints that are not followed yet.
type wakes struct {
	mu         sync.Mutex
	workspaces map[string]struct{}
	all        bool
	signal     chan struct{}
}

func (w *wakes) add(workspace string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if workspace == "" {
		w.all = true
	} else {
		if w.workspaces == nil {
			w.workspaces = make(map[string]struct{})
		}
		w.workspaces[workspace] = struct{}{}
	}
	select {
	case w.signal <- struct{}{}:
	default: // it was given and not yet taken
	}
}

func (w *wakes) take() (workspaces map[string]struct{}, all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	workspaces, all = w.workspaces, w.all
	w.workspaces, w.all = nil, false
	return workspaces, all
}

// watch has the store call for a look, again whenever it stops doing so.
func (p *Publisher) watch(ctx context.Context, w *wakes, log *slog.Logger) {
	loop.Loop{
		Every: rewatch, Backoff: loop.Backoff{First: rewatch, Max: rewatchMax},
		Failure: "the store's hints are lost for a moment; its versions are polled", Level: slog.LevelWarn, Log: log,
	}.Run(ctx, func(ctx context.Context) error { return p.store.Watch(ctx, w.add) })
}
