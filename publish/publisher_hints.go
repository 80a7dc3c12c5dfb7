package publish

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/burnkey/burnkey/internal/loop"
)

// rewatch and rewatchMax are the first and the longest wait before a lost Watch is started again. Follow
// polls the versions in any case.
const (
	rewatch    = time.Second
	rewatchMax = 5 * time.Second
)

// hints collects the store's hints until they are followed.
type hints struct {
	mu         sync.Mutex
	workspaces map[string]struct{}
	some       chan struct{} // workspaces is not empty
	all        chan struct{} // any workspace may have changed
}

func newHints() *hints {
	return &hints{workspaces: make(map[string]struct{}), some: make(chan struct{}, 1), all: make(chan struct{}, 1)}
}

func (h *hints) add(workspace string) {
	if workspace == "" {
		signal(h.all)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.workspaces[workspace] = struct{}{}
	signal(h.some)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // not yet received
	}
}

func (h *hints) take() map[string]struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	taken := h.workspaces
	h.workspaces = make(map[string]struct{})
	return taken
}

// watch receives the store's hints until the context ends.
func (p *Publisher) watch(ctx context.Context, h *hints, log *slog.Logger) {
	loop.Loop{
		Every: rewatch, Backoff: loop.Backoff{First: rewatch, Max: rewatchMax},
		Failure: "lost the store's hints; polling its versions", Level: slog.LevelWarn, Log: log,
	}.Run(ctx, func(ctx context.Context) error { return p.store.Watch(ctx, h.add) })
}
