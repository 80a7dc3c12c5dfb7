package publish

import (
	"sync"
	"time"
)

// feedQueue has the workspaces that a reader of the feed must look at, in the order in which they changed. It is
// safe for concurrent use.
type feedQueue struct {
	mu      sync.Mutex
	order   []string
	entries map[string]*feedEntry
	most    int           // the largest number of entries so far
	owed    int           // entries that a heartbeat waits for
	wake    chan struct{} // an element if there may be something in order
}

// feedEntry is a workspace that is in order, or was taken and is not done.
type feedEntry struct {
	queued  bool // it is in order
	reading bool // its log is being read, and it comes back afterwards
	owed    bool
	since   time.Time // when it was marked; everything known before that was sent
}

// keptEntries is the number of entries for which an empty queue keeps memory.
const keptEntries = 256

func newFeedQueue() *feedQueue {
	return &feedQueue{entries: make(map[string]*feedEntry), wake: make(chan struct{}, 1)}
}

// mark adds a workspace at the end, unless it is already in order or comes back anyway.
func (q *feedQueue) mark(workspace string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.entries[workspace]
	if e == nil {
		e = &feedEntry{since: time.Now()}
		q.entries[workspace] = e
		q.most = max(q.most, len(q.entries))
	}
	if e.queued || e.reading {
		return
	}
	e.queued = true
	q.order = append(q.order, workspace)
	signal(q.wake)
}

// take removes the first workspace from the order. The caller must call done, mark or read for it.
func (q *feedQueue) take() (workspace string, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.order) == 0 {
		return "", false
	}
	workspace = q.order[0]
	if q.order = q.order[1:]; len(q.order) == 0 {
		q.order = nil // frees the array
	}
	q.entries[workspace].queued = false
	return workspace, true
}

// done records that everything was sent that was known of a workspace when it was taken.
func (q *feedQueue) done(workspace string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.entries[workspace]
	if e.owed {
		e.owed = false
		q.owed--
	}
	if e.queued {
		return
	}
	if delete(q.entries, workspace); len(q.entries) == 0 && q.most > keptEntries {
		q.entries, q.most = make(map[string]*feedEntry), 0
	}
}

// read keeps a workspace out of the order until the returned function is called.
func (q *feedQueue) read(workspace string) (finished func()) {
	q.setReading(workspace, true)
	return func() {
		q.setReading(workspace, false)
		q.mark(workspace)
	}
}

func (q *feedQueue) setReading(workspace string, is bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.entries[workspace].reading = is
}

// owe makes a heartbeat wait for everything that is not done now.
func (q *feedQueue) owe() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.entries {
		e.owed = true
	}
	q.owed = len(q.entries)
}

// owedSince returns the workspaces for which the heartbeat waits, and since when they have something to send.
func (q *feedQueue) owedSince() map[string]time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	owed := make(map[string]time.Time, q.owed)
	for workspace, e := range q.entries {
		if e.owed {
			owed[workspace] = e.since
		}
	}
	return owed
}

// owes reports whether the heartbeat must still wait.
func (q *feedQueue) owes() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.owed > 0
}
