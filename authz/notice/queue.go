package notice

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/internal/loop"
)

// lane is the queue of one workspace's notices, which one goroutine sends one by one: a
// receiver that is dead or slow delays nobody else's. The notifier's mu guards it.
type lane struct {
	waiting []notice
	has     map[noticeKey]struct{} // of those, and of the one under way
}

type noticeKey struct {
	id   uuid.UUID
	days int
}

func (w *notice) key() noticeKey { return noticeKey{w.id, w.days} }

// queue has a notice sent, if there is room, or looked for again.
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
		if from, is := n.behind[workspace]; !is || w.at.Before(from) {
			n.behind[workspace] = w.at
		}
		return
	}
	l.waiting, l.has[w.key()] = append(l.waiting, w), struct{}{}
}

// wait has a workspace looked at again.
func (n *notifier) wait(workspace string, from time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.behind[workspace] = from
}

// ready takes the workspaces that are behind and have sent all that waited.
func (n *notifier) ready() map[string]time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	ready := make(map[string]time.Time)
	for workspace, from := range n.behind {
		if n.lanes[workspace] == nil {
			ready[workspace] = from
			delete(n.behind, workspace)
		}
	}
	return ready
}

// next takes the first that waits. If there is none, the lane ends.
func (n *notifier) next(workspace string, l *lane) (notice, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(l.waiting) > 0 {
		w := l.waiting[0]
		l.waiting = l.waiting[1:]
		return w, true
	}
	delete(n.lanes, workspace)
	if _, behind := n.behind[workspace]; behind {
		select {
		case n.room <- struct{}{}:
		default:
		}
	}
	return notice{}, false
}

// settled forgets a notice, or has it wait behind the others: one that is always refused
// must not keep them.
func (n *notifier) settled(l *lane, w notice, again bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if again {
		l.waiting = append(l.waiting, w)
	} else {
		delete(l.has, w.key())
	}
}

// drive sends a workspace's notices until none waits.
func (n *notifier) drive(ctx context.Context, workspace string, l *lane) {
	const failure = "cannot deliver the notice of a key that expires soon; trying again"
	pauses := loop.Backoff{First: n.o.Pause, Max: noticePauseMax}
	for ctx.Err() == nil {
		w, ok := n.next(workspace, l)
		if !ok {
			return
		}
		result, err := n.tell(ctx, workspace, &w)
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
		n.failing.Note(n.o.Log.With("workspace", workspace, "key", w.id, "days", w.days), workspace, failure, err)
		_ = loop.Sleep(ctx, pauses.Next()) // the loop ends with the context
	}
}

func (n *notifier) count(workspace string, w *notice, result noticeResult) {
	if result == noticeKnown {
		return
	}
	n.results.WithLabelValues(string(result)).Inc()
	if result == noticeGivenUp {
		n.o.Log.Warn("the notice of a key that expires soon was not delivered in two days; given up",
			"workspace", workspace, "key", w.id, "days", w.days)
	}
}
