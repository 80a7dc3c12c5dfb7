package mint

import (
	"container/list"
	"context"
	"sync"
)

// queue lets so many run at once and the others wait, each workspace in a lane
// of its own; lanes take turns. When it is full, the newest of the longest lane
// gives way to a shorter one: nobody can crowd the others out.
type queue struct {
	mu      sync.Mutex
	free    int
	limit   int // waiting at most
	waiting int
	lanes   map[string]*list.Element // of turns
	turns   list.List                // of *lane, the next turn's first; none is empty
}

type lane struct {
	name    string
	waiters list.List // of *waiter, the oldest first
}

// waiter is told once: nil to run, ErrBusy to go away.
type waiter struct{ verdict chan error }

func newQueue(workers, limit int) *queue {
	return &queue{free: workers, limit: limit, lanes: make(map[string]*list.Element)}
}

// acquire waits for a turn, which release must end. ErrBusy, or the context's.
func (q *queue) acquire(ctx context.Context, name string) error {
	w, err := q.join(name)
	if w == nil {
		return err
	}
	select {
	case err := <-w.verdict:
		return err
	case <-ctx.Done():
		q.leave(name, w)
		return ctx.Err()
	}
}

// join returns a waiter, or none where there is nothing to wait for.
func (q *queue) join(name string) (*waiter, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.free > 0 {
		q.free--
		return nil, nil
	}
	if q.waiting >= q.limit && !q.makeRoom(name) {
		return nil, ErrBusy
	}
	turn, ok := q.lanes[name]
	if !ok {
		turn = q.turns.PushBack(&lane{name: name})
		q.lanes[name] = turn
	}
	w := &waiter{verdict: make(chan error, 1)}
	turn.Value.(*lane).waiters.PushBack(w)
	q.waiting++
	return w, nil
}

// makeRoom sends the newest of the longest lane away, if that leaves it no
// shorter than the lane that asks.
func (q *queue) makeRoom(name string) bool {
	var longest *list.Element
	mine := 0
	for turn := q.turns.Front(); turn != nil; turn = turn.Next() {
		l := turn.Value.(*lane)
		if l.name == name {
			mine = l.waiters.Len()
		}
		if longest == nil || l.waiters.Len() > longest.Value.(*lane).waiters.Len() {
			longest = turn
		}
	}
	if longest == nil || longest.Value.(*lane).waiters.Len() <= mine+1 {
		return false
	}
	newest := longest.Value.(*lane).waiters.Back()
	q.drop(longest, newest).verdict <- ErrBusy
	return true
}

// drop takes a waiter out of its lane, and the lane out of the turns when it
// was the last.
func (q *queue) drop(turn, element *list.Element) *waiter {
	l := turn.Value.(*lane)
	w := l.waiters.Remove(element).(*waiter)
	q.waiting--
	if l.waiters.Len() == 0 {
		q.turns.Remove(turn)
		delete(q.lanes, l.name)
	}
	return w
}

// leave takes back a wait. A turn that was given meanwhile goes to the next.
func (q *queue) leave(name string, w *waiter) {
	q.mu.Lock()
	turn, ok := q.lanes[name]
	if ok {
		for e := turn.Value.(*lane).waiters.Front(); e != nil; e = e.Next() {
			if e.Value == w {
				q.drop(turn, e)
				q.mu.Unlock()
				return
			}
		}
	}
	q.mu.Unlock()
	if err := <-w.verdict; err == nil {
		q.release()
	}
}

// release ends a turn and gives it to the first of the next lane.
func (q *queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	turn := q.turns.Front()
	if turn == nil {
		q.free++
		return
	}
	q.turns.MoveToBack(turn)
	q.drop(turn, turn.Value.(*lane).waiters.Front()).verdict <- nil
}

// length returns how many wait.
func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting
}
