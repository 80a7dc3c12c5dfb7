// Package turns shares a scarce resource fairly: tenants take turns, and so do the callers of each tenant,
// however many requests one of them sends.
package turns

import (
	"container/list"
	"context"
	"errors"
	"sync"
)

// Asker identifies the sender of a request, for turns and for places in the queue.
type Asker struct {
	Workspace string
	Owner     string // within the workspace; empty for none
	Caller    string // the management key or session that asks; empty for none
}

// Limits of a Queue.
type Limits struct {
	AtOnce    int // turns in progress
	Waiting   int // waiters in total
	PerOwner  int // waiters of one owner
	PerCaller int // waiters of one caller
}

// Queue runs AtOnce turns at a time. Other requests wait, those of each owner in a lane of its own. Workspaces
// take turns, and so do the owners of each workspace. In a full queue, a new waiter in a shorter lane replaces
// the newest waiter in the longest lane of the longest workspace. An owner and a caller are limited to a share
// of the queue, so they can't crowd others out. A Queue is safe for concurrent use.
type Queue struct {
	mu      sync.Mutex
	free    int
	limits  Limits
	callers map[string]int // waiters of each
	line    line           // of workspaces
}

// FullError means that a request can't wait, for the given Reason.
type FullError struct {
	Asker
	Reason string // owner, caller or queue
	Ahead  int    // turns up to and including the asker's
}

func (e *FullError) Error() string { return ErrFull.Error() + ": " + e.Reason }

// Is lets errors.Is match ErrFull.
func (e *FullError) Is(target error) bool { return target == ErrFull }

// ErrFull means that the queue has no place for the request.
var ErrFull = errors.New("too many wait for a turn")

// line is a list of branches that take turns. The queue has a line of workspaces; each workspace has a line of
// owners, and each owner a lane of waiters.
type line struct {
	waiting int
	turns   list.List // of *branch, none empty; the first one has the next turn
	byName  map[string]*list.Element
}

// branch is a workspace, with its owners, or an owner, with its waiters.
type branch struct {
	name    string
	owners  line
	waiters list.List // of *waiter, the oldest first
}

func (b *branch) len() int { return b.owners.waiting + b.waiters.Len() }

// waiter receives one verdict: nil for a turn, or an error if it was evicted or left.
type waiter struct {
	asker   Asker
	place   *list.Element // in its lane; nil once the verdict is given
	verdict chan error
}

// New returns a Queue.
func New(l Limits) *Queue {
	return &Queue{free: l.AtOnce, limits: l, callers: make(map[string]int)}
}

// Acquire waits for a turn. The caller must end the turn by Release. Errors: *FullError, the context's cause.
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

// join returns a new waiter, or nil if it took a free turn instead.
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

// Values of FullError.Reason.
const (
	OwnerFull  = "owner"  // the owner has as many waiters as allowed
	CallerFull = "caller" // the caller has as many waiters as allowed
	QueueFull  = "queue"  // the queue is full, and makeRoom evicts nobody for the asker
)

// full returns the reason why the asker can't wait, or "".
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

// lane returns the number of waiters in the lane of the asker's owner.
func (q *Queue) lane(asker Asker) int {
	if b := q.line.find(asker.Workspace); b != nil {
		if o := b.owners.find(asker.Owner); o != nil {
			return o.len()
		}
	}
	return 0
}

// makeRoom evicts the newest waiter in the longest lane of the longest workspace, but only if that workspace
// has at least two more waiters than the asker's or, within the asker's own workspace, that lane has at least
// two more than the asker's lane. It reports whether it evicted a waiter.
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

// drop removes a waiter from its lane and gives it the verdict that the function verdict returns.
func (q *Queue) drop(w *waiter, verdict func(*waiter) error) {
	workspace := q.line.find(w.asker.Workspace)
	workspace.owners.find(w.asker.Owner).waiters.Remove(w.place)
	w.place = nil
	q.count(w.asker, -1)
	workspace.owners.tidy(w.asker.Owner)
	q.line.tidy(w.asker.Workspace)
	w.verdict <- verdict(w)
}

// count adds n to the number of the asker's waiters.
func (q *Queue) count(asker Asker, n int) {
	q.line.waiting += n
	q.line.find(asker.Workspace).owners.waiting += n
	if q.callers[asker.Caller] += n; q.callers[asker.Caller] == 0 {
		delete(q.callers, asker.Caller)
	}
}

// leave cancels a wait. If the waiter got a turn meanwhile, the turn goes to the next waiter.
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

// Release ends a turn and gives it to the next waiter.
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

// Waiting returns the number of waiters.
func (q *Queue) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.line.waiting
}

func (q *Queue) turnAway(asker Asker, reason string) error {
	return &FullError{Asker: asker, Reason: reason, Ahead: q.ahead(asker)}
}

// ahead returns how many turns are given up to that of a new waiter, which is included. The caller holds mu.
func (q *Queue) ahead(asker Asker) int {
	mine := q.lane(asker) + 1
	own := q.line.find(asker.Workspace)
	if own != nil {
		mine = own.owners.before(asker.Owner, mine)
	}
	return q.line.before(asker.Workspace, mine)
}

// before returns how many turns all branches get until the named branch has had the given number of turns.
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

// branch returns the branch with a name. It creates a missing branch, to which the caller must add waiters.
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

// tidy removes a branch from the line if it has no waiters left.
func (l *line) tidy(name string) {
	if e := l.byName[name]; e.Value.(*branch).len() == 0 {
		l.turns.Remove(e)
		delete(l.byName, name)
	}
}
