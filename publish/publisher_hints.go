package publish

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// rewatchMax is the longest pause before a lost Watch is begun again; Follow looks
// by itself meanwhile.
const rewatchMax = 5 * time.Second

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
	pause := backoff.NewExponentialBackOff()
	pause.MaxInterval = rewatchMax
	for ctx.Err() == nil {
		began := time.Now()
		err := p.store.Watch(ctx, w.add)
		if ctx.Err() != nil {
			return
		}
		const failure = "the store's hints are lost for a moment; its versions are polled"
		if time.Since(began) > rewatchMax {
			pause.Reset()
			p.tell(complaint{failure: failure}, false)
		}
		if p.tell(complaint{failure: failure}, true) {
			log.Warn(failure, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause.NextBackOff()):
		}
	}
}
