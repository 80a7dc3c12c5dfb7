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
	mu   sync.Mutex
	set  atomic.Pointer[Set]
	feed feed
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
	x.mu.Lock()
	defer x.mu.Unlock()
	next, err := x.Set().Apply(c)
	if err != nil {
		return err
	}
	x.set.Store(next)
	x.feed.add(c)
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
	x.feed.resets++
	x.show(set)
	return true
}

// show replaces the set. It drops the stored events, since they do not lead to the new set.
func (x *Index) show(set *Set) {
	x.set.Store(set)
	x.feed.events = nil
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

// feed is shared by the watchers of an Index. Without watchers it stores nothing.
type feed struct {
	watchers int
	events   [][]byte      // the last changes, up to the current version, as they are sent
	resets   uint64        // number of times that the history was replaced
	reserved chan struct{} // closed at the next change
	public   chan struct{} // closed with it, or soon after
	waiting  bool          // public is about to be closed
}

func (f *feed) add(c jwks.Change) {
	if f.watchers == 0 {
		return
	}
	if len(f.events) == keptEvents {
		f.events = slices.Delete(f.events, 0, 1)
	}
	f.events = append(f.events, appendChange(nil, c))
}

// stir wakes the watchers.
func (x *Index) stir() {
	f := &x.feed
	if f.watchers == 0 {
		return
	}
	close(f.reserved)
	f.reserved = make(chan struct{})
	switch {
	case f.waiting:
	case f.watchers > crowd:
		f.waiting = true
		time.AfterFunc(crowdWait, x.stirPublic)
	default:
		f.stirPublic()
	}
}

func (x *Index) stirPublic() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.feed.stirPublic()
}

func (f *feed) stirPublic() {
	f.waiting = false
	if f.watchers > 0 {
		close(f.public)
		f.public = make(chan struct{})
	}
}

// watch makes the Index store changes until unwatch. It returns the present number of resets.
func (x *Index) watch() (resets uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.feed.watchers++; x.feed.watchers == 1 {
		x.feed.reserved, x.feed.public = make(chan struct{}), make(chan struct{})
	}
	return x.feed.resets
}

func (x *Index) unwatch() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.feed.watchers--; x.feed.watchers == 0 {
		x.feed.events, x.feed.reserved, x.feed.public = nil, nil, nil
	}
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
	n := news{state: state{version: set.version, print: set.print, keys: set.Len()}, resets: x.feed.resets, wake: x.feed.public}
	if reserved {
		n.wake = x.feed.reserved
	}
	if n.version > after && n.version-after <= uint64(len(x.feed.events)) {
		n.events = slices.Clone(x.feed.events[len(x.feed.events)-int(n.version-after):])
	}
	return n
}
