package publish

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// Index holds a workspace's current Set and passes each change to the readers of a Stream. Reads never block.
type Index struct {
	workspace string // named in the events of the feed
	// mark is called before each change of the set. Otherwise, a reader of the feed could take the set for unchanged
	// although its age already includes the change. If nil, the Index has no readers of the feed.
	mark   func()
	mu     sync.Mutex
	set    atomic.Pointer[Set]
	public watched
	feed   recent
}

// NewIndex returns an Index with a set.
func NewIndex(set *Set) *Index {
	x := new(Index)
	x.set.Store(set)
	return x
}

// Set returns the current set.
func (x *Index) Set() *Set { return x.set.Load() }

// Lookup returns the published key with this kid.
func (x *Index) Lookup(kid jwks.KID) (jwks.Key, bool) { return x.Set().Lookup(kid) }

// Apply applies the next change. After an error, which comes from Set.Apply, the Index is unchanged.
func (x *Index) Apply(c jwks.Change) error {
	c = c.Split()
	x.mu.Lock()
	defer x.mu.Unlock()
	next, err := x.Set().Apply(c)
	if err != nil {
		return err
	}
	x.store(next)
	x.public.add(func() []byte { return appendChange(nil, c) })
	x.feed.add(func() []byte { return appendFeedChange(nil, x.workspace, c, next) })
	x.stir()
	return nil
}

// Replace replaces the set by a later version of the same history. It ignores an older version.
func (x *Index) Replace(set *Set) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if set.version >= x.Set().version {
		x.show(set)
	}
}

// Swap replaces the set by a set of another history, whatever its version, if the current set is still
// `old`. It reports whether it did. Readers of a Stream are then told to fetch the set again.
func (x *Index) Swap(old, set *Set) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.Set() != old {
		return false
	}
	x.public.resets++
	x.show(set)
	return true
}

// store stores a set. The caller holds the lock, for which readers of the feed wait.
func (x *Index) store(set *Set) {
	if x.mark != nil {
		x.mark()
	}
	x.set.Store(set)
}

// show replaces the set. It drops the stored events, since they do not lead to the new set.
func (x *Index) show(set *Set) {
	x.store(set)
	x.public.events, x.feed.events = nil, nil
	x.stir()
}

// keptEvents is the number of changes that an Index stores for its watchers. A watcher that lags by more
// changes reads the log.
const keptEvents = 64

// If there are more than crowd watchers, the watchers without a reserved place are woken after crowdWait,
// so that they do not compete with the others for a processor.
const (
	crowd     = 256
	crowdWait = 10 * time.Millisecond
)

// recent has the last changes of an Index, up to the current version, as they are sent. Without readers it stores
// nothing.
type recent struct {
	readers int
	events  [][]byte
}

func (r *recent) add(event func() []byte) {
	if r.readers == 0 {
		return
	}
	if len(r.events) == keptEvents {
		r.events = slices.Delete(r.events, 0, 1)
	}
	r.events = append(r.events, event())
}

// leave forgets one reader.
func (r *recent) leave() {
	if r.readers--; r.readers == 0 {
		r.events = nil
	}
}

// after returns the changes after a version, given the current version, if they are stored.
func (r *recent) after(after, version uint64) [][]byte {
	if version <= after || version-after > uint64(len(r.events)) {
		return nil
	}
	return slices.Clone(r.events[len(r.events)-int(version-after):])
}

// watched is shared by the watchers of an Index.
type watched struct {
	recent
	resets   uint64        // number of times that the history was replaced
	reserved chan struct{} // closed at the next change
	public   chan struct{} // closed with it, or soon after
	waiting  bool          // public is about to be closed
}

// stir wakes the watchers.
func (x *Index) stir() {
	f := &x.public
	if f.readers == 0 {
		return
	}
	close(f.reserved)
	f.reserved = make(chan struct{})
	switch {
	case f.waiting:
	case f.readers > crowd:
		f.waiting = true
		time.AfterFunc(crowdWait, x.stirPublic)
	default:
		f.stirPublic()
	}
}

func (x *Index) stirPublic() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.public.stirPublic()
}

func (f *watched) stirPublic() {
	f.waiting = false
	if f.readers > 0 {
		close(f.public)
		f.public = make(chan struct{})
	}
}

// watch makes the Index store changes until unwatch. It returns the present number of resets.
func (x *Index) watch() (resets uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.public.readers++; x.public.readers == 1 {
		x.public.reserved, x.public.public = make(chan struct{}), make(chan struct{})
	}
	return x.public.resets
}

func (x *Index) unwatch() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.public.leave(); x.public.readers == 0 {
		x.public.reserved, x.public.public = nil, nil
	}
}

// watchFeed makes the Index store changes for the feed until unwatchFeed.
func (x *Index) watchFeed() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.feed.readers++
}

func (x *Index) unwatchFeed() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.feed.leave()
}

// news is the difference between the current set and the version that a watcher has.
type news struct {
	state
	events [][]byte // the changes after that version, if they are stored
	resets uint64
	wake   <-chan struct{} // closed once there is more
}

// state identifies a set.
type state struct {
	version uint64
	print   jwks.Fingerprint
	keys    int
}

// since returns the news for a watcher that has the version `after`. reserved means that it has a reserved
// place.
func (x *Index) since(after uint64, reserved bool) news {
	x.mu.Lock()
	defer x.mu.Unlock()
	set := x.Set()
	n := news{state: state{version: set.version, print: set.print, keys: set.Len()}, resets: x.public.resets, wake: x.public.public}
	if reserved {
		n.wake = x.public.reserved
	}
	n.events = x.public.after(after, n.version)
	return n
}

// sinceFeed returns the current set, the number of resets, and the changes for the feed after a version, if they
// are stored.
func (x *Index) sinceFeed(after uint64) (set *Set, resets uint64, events [][]byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	set = x.Set()
	return set, x.public.resets, x.feed.after(after, set.version)
}
