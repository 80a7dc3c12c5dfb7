package publish

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// Index is a workspace's current Set. Readers never wait; writers do for one
// another. Those who watch it through a Stream learn of every change.
type Index struct {
	mu   sync.Mutex
	set  atomic.Pointer[Set]
	feed feed
}

// NewIndex makes an Index that shows set.
func NewIndex(set *Set) *Index {
	x := new(Index)
	x.set.Store(set)
	return x
}

// Set returns what is published now.
func (x *Index) Set() *Set { return x.set.Load() }

// Lookup returns a key that is published now.
func (x *Index) Lookup(kid jwks.KID) (jwks.Key, bool) { return x.Set().Lookup(kid) }

// Apply shows the set behind c. After an error, which is one of Set.Apply's,
// the Index shows what it showed before.
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

// Replace shows another set, unless it is older than the one shown.
func (x *Index) Replace(set *Set) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if set.version >= x.Set().version {
		x.set.Store(set)
		x.feed.skip()
		x.stir()
	}
}

// Reset shows another set, whatever its version: what was shown is no part of
// its history. Whoever watches is told to begin anew.
func (x *Index) Reset(set *Set) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.reset(set)
}

// Swap is Reset if the set shown is still old, and reports whether it was.
func (x *Index) Swap(old, set *Set) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.Set() != old {
		return false
	}
	x.reset(set)
	return true
}

func (x *Index) reset(set *Set) {
	x.set.Store(set)
	x.feed.resets++
	x.feed.skip()
	x.stir()
}

// keptEvents bounds what an Index remembers for its watchers, in changes. Who is
// further behind reads the log.
const keptEvents = 64

// If there are more watchers than crowd, they are woken after those with a reserved place,
// which would otherwise compete with them for a processor.
const (
	crowd     = 256
	crowdWait = 10 * time.Millisecond
)

// feed is what the watchers of an Index share. It remembers nothing while there
// are none.
type feed struct {
	watchers int
	events   [][]byte      // of the versions up to the one shown, as they are sent
	resets   uint64        // how often the history was replaced
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

// skip forgets the events, which no longer lead to the version shown.
func (f *feed) skip() { f.events = nil }

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

// watch has the Index remember changes until unwatch, and returns how often its
// history was replaced so far.
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

// news is what an Index has for one that knows its set of some version.
type news struct {
	shown
	events [][]byte // the changes behind that version, if they are remembered
	resets uint64
	wake   <-chan struct{} // closed once there is more
}

// shown identifies the set that an Index shows.
type shown struct {
	version uint64
	print   jwks.Fingerprint
	keys    int
}

// since returns the news after a version. The caller watches, with a reserved place or without
// one.
func (x *Index) since(after uint64, reserved bool) news {
	x.mu.Lock()
	defer x.mu.Unlock()
	set := x.Set()
	n := news{shown: shown{version: set.version, print: set.print, keys: set.Len()}, resets: x.feed.resets, wake: x.feed.public}
	if reserved {
		n.wake = x.feed.reserved
	}
	if n.version > after && n.version-after <= uint64(len(x.feed.events)) {
		n.events = slices.Clone(x.feed.events[len(x.feed.events)-int(n.version-after):])
	}
	return n
}
