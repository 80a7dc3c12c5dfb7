package mint

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/burnkey/burnkey/authz/turns"
)

// Asker says for whom a key is made; turns and queue places are counted by it.
type Asker = turns.Asker

// BusyError means that a request was turned away, because the asker has too many in the queue
// or the queue is full. It matches ErrBusy.
type BusyError struct {
	Asker
	Reason string // owner, caller or queue
	// RetryAfter estimates the time until the asker's turn, a second or more.
	RetryAfter time.Duration
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("%v: try again in %v", ErrBusy, e.RetryAfter)
}

// Is lets errors.Is match ErrBusy.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

const (
	// warnEvery is the shortest interval between two warnings for one workspace.
	warnEvery = time.Minute
	// warned bounds the number of workspaces remembered for that.
	warned = 1000
)

// warnings logs the requests that are turned away, for each workspace at most once in
// warnEvery.
type warnings struct {
	log  *slog.Logger
	mu   sync.Mutex
	last map[string]time.Time
}

func (w *warnings) turnedAway(e *BusyError, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if last, is := w.last[e.Workspace]; is && now.Sub(last) < warnEvery {
		return
	}
	if w.last == nil || len(w.last) >= warned {
		w.last = make(map[string]time.Time)
	}
	w.last[e.Workspace] = now
	w.log.Warn("requests for keys are turned away: too many wait for a minting process",
		"workspace", e.Workspace, "reason", e.Reason, "retry_after", e.RetryAfter)
}
