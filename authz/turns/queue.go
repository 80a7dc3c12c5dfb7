// Package turns shares out what few can have at once: tenants take turns, and within each its
// callers do, however many of them one sends.
package turns

import (
	"container/list"
	"context"
	"errors"
	"sync"
)

// Asker is who waits: whose turn it is, and to whom a place in the queue is counted.
type Asker struct {
	Workspace string
	Owner     string // within the workspace; empty for none
	Caller    string // the management key or session that asks; empty for none
}

// Limits of a Queue.
type Limits struct {
	AtOnce    int // turns that are under way
	Waiting   int // at most
	PerOwner  int // waiting of one owner
	PerCaller int // waiting of one caller
}

// Queue lets so many run at once and the others wait, each owner in a lane of its own.
// Workspaces take turns, and within each its owners do. When it is full, the newest of the
// longest lane of the longest workspace gives way to a shorter one. An owner and a caller
// have a part of it at most: nobody can crowd the others out. It is safe for concurrent use.
type Queue struct {
	mu      sync.Mutex
	free    int
	limits  Limits
	callers map[string]int // how many of each wait
	line    line           // of workspaces
}

// FullError says who was turned away, and why.
type FullError struct {
	Asker
	Reason string // owner, caller or queue
	Ahead  int    // turns that there are before the asker's would be over
}

func (e *FullError) Error() string { return ErrFull.Error() + ": " + e.Reason }

// Is makes errors.Is(err, ErrFull) hold.
func (e *FullError) Is(target error) bool { return target == ErrFull }

// ErrFull: there is no place to wait in.
var ErrFull = errors.New("too many wait for a turn")

// line is what takes turns: workspaces, each a line of owners, whose waiters are in lanes.
type line struct {
	waiting int
	turns   list.List // of *branch, the next turn's first; none is empty
	byName  map[string]*list.Element
}

// branch is a workspace, with owners, or an owner, with waiters.
type branch struct {
	name    string
	owners  line
	waiters list.List // of *waiter, the oldest first
}

func (b *branch) len() int { return b.owners.waiting + b.waiters.Len() }

// waiter is told once: nil to run, a *FullError to go away.
type waiter struct {
	asker   Asker
	place   *list.Element // in its lane; nil once it was told
	verdict chan error
}

// New makes a Queue.
func New(l Limits) *Queue {
	return &Queue{free: l.AtOnce, limits: l, callers: make(map[string]int)}
}

// Acquire waits for a turn, which Release must end. Errors: *FullError, and the context's
// cause.
func (q *Queue) Acquire(ctx context.Context, asker Asker) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	w, err := q.join(asker)
	if w == nil {
		return err
	}
	select {
	case err := <-w.verdict:
		return err
	case <-ctx.Done():
		q.leave(w)
		return context.Cause(ctx)
	}
}

// join returns a waiter, or none where there is nothing to wait for.
func (q *Queue) join(asker Asker) (*waiter, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.free > 0 {
		q.free--
		return nil, nil
	}
	if why := q.full(asker); why != "" {
		return nil, q.turnAway(asker, why)
	}
	w := &waiter{asker: asker, verdict: make(chan error, 1)}
	w.place = q.line.branch(asker.Workspace).owners.branch(asker.Owner).waiters.PushBack(w)
	q.count(asker, 1)
	return w, nil
}

// Reasons for which somebody is turned away.
const (
	OwnerFull  = "owner"  // has as many waiting as one owner may
	CallerFull = "caller" // has as many waiting as one caller may
	QueueFull  = "queue"  // and nobody has more waiting
)

// full says why one more can't wait, or nothing.
func (q *Queue) full(asker Asker) string {
	switch {
	case q.lane(asker) >= q.limits.PerOwner:
		return OwnerFull
	case asker.Caller != "" && q.callers[asker.Caller] >= q.limits.PerCaller:
		return CallerFull
	case q.line.waiting >= q.limits.Waiting && !q.makeRoom(asker):
		return QueueFull
	}
	return ""
}

// lane returns how many of an owner's wait.
func (q *Queue) lane(asker Asker) int {
	if b := q.line.find(asker.Workspace); b != nil {
		if o := b.owners.find(asker.Owner); o != nil {
			return o.len()
		}
	}
	return 0
}

// makeRoom sends the newest of the longest lane of the longest workspace away, if that
// leaves the workspace, or within the same workspace the lane, no shorter than what asks.
func (q *Queue) makeRoom(asker Asker) bool {
	workspace, mine := q.line.longest(), 0
	if b := q.line.find(asker.Workspace); b != nil {
		mine = b.len()
	}
	if workspace == nil || workspace.name != asker.Workspace && workspace.len() <= mine+1 {
		return false
	}
	owner := workspace.owners.longest()
	if workspace.name == asker.Workspace && owner.len() <= q.lane(asker)+1 {
		return false
	}
	q.drop(owner.waiters.Back().Value.(*waiter), func(w *waiter) error { return q.turnAway(w.asker, QueueFull) })
	return true
}

// drop takes a waiter out of its lane, and tells it what verdict returns.
func (q *Queue) drop(w *waiter, verdict func(*waiter) error) {
	workspace := q.line.find(w.asker.Workspace)
	workspace.owners.find(w.asker.Owner).waiters.Remove(w.place)
	w.place = nil
	q.count(w.asker, -1)
	workspace.owners.tidy(w.asker.Owner)
	q.line.tidy(w.asker.Workspace)
	w.verdict <- verdict(w)
}

// count adds to what waits of an asker's.
func (q *Queue) count(asker Asker, n int) {
	q.line.waiting += n
	q.line.find(asker.Workspace).owners.waiting += n
	if q.callers[asker.Caller] += n; q.callers[asker.Caller] == 0 {
		delete(q.callers, asker.Caller)
	}
}

// leave takes back a wait. A turn that was given meanwhile goes to the next.
func (q *Queue) leave(w *waiter) {
	q.mu.Lock()
	if w.place != nil {
		q.drop(w, func(*waiter) error { return context.Canceled })
	}
	q.mu.Unlock()
	if err := <-w.verdict; err == nil {
		q.Release()
	}
}

// Release ends a turn and gives it to the first of the next lane.
func (q *Queue) Release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.line.waiting == 0 {
		q.free++
		return
	}
	owner := q.line.next().owners.next()
	q.drop(owner.waiters.Front().Value.(*waiter), func(*waiter) error { return nil })
}

// Waiting returns how many wait.
func (q *Queue) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.line.waiting
}

func (q *Queue) turnAway(asker Asker, reason string) error {
	return &FullError{Asker: asker, Reason: reason, Ahead: q.ahead(asker)}
}

// ahead returns how many turns there are before one more of an asker's had its own. Its
// caller holds mu.
func (q *Queue) ahead(asker Asker) int {
	mine := q.lane(asker) + 1
	own := q.line.find(asker.Workspace)
	if own != nil {
		mine = own.owners.before(asker.Owner, mine)
	}
	return q.line.before(asker.Workspace, mine)
}

// before returns how many turns all have until one of them has had so many.
func (l *line) before(name string, turns int) int {
	all := turns
	for e := l.turns.Front(); e != nil; e = e.Next() {
		if b := e.Value.(*branch); b.name != name {
			all += min(b.len(), turns)
		}
	}
	return all
}

func (l *line) find(name string) *branch {
	if e := l.byName[name]; e != nil {
		return e.Value.(*branch)
	}
	return nil
}

// branch returns the one of a name, which is to have waiters.
func (l *line) branch(name string) *branch {
	if b := l.find(name); b != nil {
		return b
	}
	if l.byName == nil {
		l.byName = make(map[string]*list.Element)
	}
	b := &branch{name: name}
	l.byName[name] = l.turns.PushBack(b)
	return b
}

// next takes the next turn.
func (l *line) next() *branch {
	e := l.turns.Front()
	l.turns.MoveToBack(e)
	return e.Value.(*branch)
}

func (l *line) longest() (longest *branch) {
	for e := l.turns.Front(); e != nil; e = e.Next() {
		if b := e.Value.(*branch); longest == nil || b.len() > longest.len() {
			longest = b
		}
	}
	return longest
}

// tidy takes a branch out of the turns that has no waiters left.
func (l *line) tidy(name string) {
	if e := l.byName[name]; e.Value.(*branch).len() == 0 {
		l.turns.Remove(e)
		delete(l.byName, name)
	}
}
