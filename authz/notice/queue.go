package notice

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/internal/loop"
)

// lane is the queue of one workspace. Its own goroutine sends its notices one after the other, so that a dead
// or slow receiver does not delay other workspaces. The notifier's mu guards the lane.
type lane struct {
	waiting []notice
	has     map[noticeKey]struct{} // waiting or being sent
}

type noticeKey struct {
	id    uuid.UUID
	days  int
	event string
}

func (w *notice) key() noticeKey { return noticeKey{w.id, w.days, w.event} }

// queue adds a notice to its workspace's lane. If the lane is full, a later search finds the notice again.
func (n *notifier) queue(ctx context.Context, workspace string, w notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.lanes[workspace]
	if l == nil {
		l = &lane{has: make(map[noticeKey]struct{})}
		n.lanes[workspace] = l
		n.running.Go(func() { n.drive(ctx, workspace, l) })
	}
	if _, is := l.has[w.key()]; is {
		return
	}
	if len(l.has) >= noticesWaiting {
		if w.event != "" {
			return // each search finds all requests
		}
		if from, is := n.overflowed[workspace]; !is || w.at.Before(from) {
			n.overflowed[workspace] = w.at
		}
		return
	}
	l.waiting, l.has[w.key()] = append(l.waiting, w), struct{}{}
}

// wait makes a later search look at a workspace again, from the time `from` on.
func (n *notifier) wait(workspace string, from time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.overflowed[workspace] = from
}

// ready removes and returns the overflowed workspaces whose lane is empty again.
func (n *notifier) ready() map[string]time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	ready := make(map[string]time.Time)
	for workspace, from := range n.overflowed {
		if n.lanes[workspace] == nil {
			ready[workspace] = from
			delete(n.overflowed, workspace)
		}
	}
	return ready
}

// next removes and returns the first waiting notice. If there is none, it removes the lane.
func (n *notifier) next(workspace string, l *lane) (notice, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(l.waiting) > 0 {
		w := l.waiting[0]
		l.waiting = l.waiting[1:]
		return w, true
	}
	delete(n.lanes, workspace)
	if _, overflowed := n.overflowed[workspace]; overflowed {
		select {
		case n.room <- struct{}{}:
		default:
		}
	}
	return notice{}, false
}

// settled removes a notice or, to try it again, puts it at the end of the lane, so that a notice that is always
// refused does not block the others.
func (n *notifier) settled(l *lane, w notice, again bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if again {
		l.waiting = append(l.waiting, w)
	} else {
		delete(l.has, w.key())
	}
}

const failure = "cannot deliver a notice; trying again"

// about returns the notice's data for the log.
func (w *notice) about() []any {
	if w.event != "" {
		return []any{"request", w.id, "event", w.event}
	}
	return []any{"key", w.id, "days", w.days}
}

// drive sends the notices of a lane until it is empty.
func (n *notifier) drive(ctx context.Context, workspace string, l *lane) {
	pauses := loop.Backoff{First: n.o.Pause, Max: noticePauseMax}
	for ctx.Err() == nil {
		w, ok := n.next(workspace, l)
		if !ok {
			return
		}
		result, err := n.deliver(ctx, workspace, &w)
		n.settled(l, w, err != nil)
		if err == nil {
			if result == noticeSent {
				n.failing.Note(n.o.Log.With("workspace", workspace), workspace, failure, nil)
				pauses.Reset()
			}
			n.count(workspace, &w, result)
			continue
		}
		if ctx.Err() != nil {
			return
		}
		n.results.WithLabelValues(string(noticeFailed)).Inc()
		n.failing.Note(n.o.Log.With("workspace", workspace).With(w.about()...), workspace, failure, err)
		_ = loop.Sleep(ctx, pauses.Next()) // the loop ends with the context
	}
}

func (n *notifier) count(workspace string, w *notice, result noticeResult) {
	if result == noticeKnown {
		return
	}
	n.results.WithLabelValues(string(result)).Inc()
	if result == noticeGivenUp {
		n.o.Log.Warn("gave up delivering a notice after two days", append([]any{"workspace", workspace}, w.about()...)...)
	}
}
