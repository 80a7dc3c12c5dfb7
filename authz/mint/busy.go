package mint

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/burnkey/burnkey/authz/turns"
)

// Asker is for whom a key is made: whose turn it is, and to whom a place in the queue is
// counted.
type Asker = turns.Asker

// BusyError says who was turned away, for the places that they take up or since the queue is
// full. It matches ErrBusy.
type BusyError struct {
	Asker
	Reason string // owner, caller or queue
	// RetryAfter estimates when the asker's turn would have come, a second or more.
	RetryAfter time.Duration
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("%v: try again in %v", ErrBusy, e.RetryAfter)
}

// Is makes errors.Is(err, ErrBusy) hold.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

const (
	// warnEvery is how often those of one workspace who are turned away are logged.
	warnEvery = time.Minute
	// warned bounds how many workspaces are remembered for that.
	warned = 1000
)

// warnings logs who is turned away, each workspace now and then.
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
