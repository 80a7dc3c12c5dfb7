package jwks

import (
	"crypto/subtle"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/burnkey/burnkey/jwks/internal/slots"
)

// Table is a set of published keys for those who verify by it: some 335 bytes a
// key, most of them outside of Go's heap, and changed in place. With a key it keeps
// the hash of the one token that the key has signed, once that was verified, so
// that the same token costs no RSA again; the hash goes with the key. The zero
// Table is empty, and of no version. It is safe for concurrent use, save that one
// alone may change it at a time.
type Table struct {
	mu    sync.RWMutex
	slots *slots.Slots
	pages pages
	shown shown // changed in one step, once all keys are there
	// print and count belong to the keys in slots. While a set is being read or installed, these
	// are not those of any version.
	print   Fingerprint
	count   int
	reading []*snapshot

	installing sync.Mutex // held while the keys are those of no version
}

// NewTable returns a Table of these keys; ErrPublished if a key comes twice.
func NewTable(version uint64, keys []Key) (*Table, error) {
	t := new(Table)
	next := t.refresh()
	for _, key := range keys {
		if err := next.Add(key); err != nil {
			return nil, err
		}
	}
	return t, next.install(version, nil)
}

// shown identifies the set that a Table shows.
type shown struct {
	has     bool   // it shows a set
	version uint64 // 0: unknown
	print   Fingerprint
	keys    int
}

// mayBe reports whether print is the set's fingerprint or the beginning of it. An empty one
// matches any set.
func (s shown) mayBe(print string) bool { return strings.HasPrefix(s.print.String(), print) }

// Version returns that of the set, 0 before there is one.
func (t *Table) Version() uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.shown.version
}

// Len returns the number of keys in the set, 0 before the first set.
func (t *Table) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.shown.keys
}

// state returns the set that the Table shows.
func (t *Table) state() shown {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.shown
}

// show makes the current keys the set of a version; 0 if it is unknown. The caller holds the
// lock.
func (t *Table) show(version uint64) {
	t.shown = shown{has: true, version: version, print: t.print, keys: t.count}
}

// Lookup returns a key that is published. What it costs does not grow with the
// set.
func (t *Table) Lookup(kid KID) (key Key, ok bool) {
	_, ok = t.recall(&kid, nil, &key)
	return key, ok
}

func (t *Table) keyTable() *Table { return t }

// recall finds a published key. It is either signed, if the digest is that of the
// token that the key is known to have signed, or copied to key.
func (t *Table) recall(kid *KID, d *digest, key *Key) (signed, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if !t.shown.has {
		return false, false
	}
	number, _, ok := t.pages.find(kid)
	if !ok {
		return false, false
	}
	s := t.slots.At(number)
	if d != nil && s.Mark != (digest{}) && subtle.ConstantTimeCompare(s.Mark[:], d[:]) == 1 {
		return true, true
	}
	key.kid, key.n = s.KID, s.N
	return false, true
}

// remember notes the digest of a token that was verified by the key with this kid,
// if that is still published. The first one stays: a key signs no other.
func (t *Table) remember(kid *KID, d *digest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if number, _, ok := t.pages.find(kid); ok {
		if s := t.slots.At(number); s.Mark == (digest{}) {
			s.Mark = *d
		}
	}
}

// Apply makes the set the one behind c. After an error, which is one of
// ErrVersionGap, ErrNotPublished and ErrPublished, it is what it was.
func (t *Table) Apply(c Change) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if before := t.shown.version; before == 0 || c.Version != before+1 {
		return fmt.Errorf("%w: version %d behind %d", ErrVersionGap, c.Version, before)
	}
	undo, err := t.change(c.Add, c.Remove)
	if err != nil {
		for _, f := range slices.Backward(undo) {
			f()
		}
		return fmt.Errorf("version %d: %w", c.Version, err)
	}
	t.show(c.Version)
	return nil
}

// change removes and adds keys up to the first error, and returns how to take
// that back.
func (t *Table) change(add []Key, remove []KID) (undo []func(), err error) {
	for i := range remove {
		key, ok := t.remove(&remove[i])
		if !ok {
			return undo, ErrNotPublished
		}
		undo = append(undo, func() { t.add(&key) })
	}
	for i := range add {
		if !t.add(&add[i]) {
			return undo, ErrPublished
		}
		undo = append(undo, func() { t.remove(&add[i].kid) })
	}
	return undo, nil
}

// add and remove are for those who hold the lock, or alone know the Table.

func (t *Table) add(key *Key) bool {
	if t.slots == nil {
		t.begin()
	}
	if _, _, found := t.pages.find(&key.kid); found {
		return false
	}
	number := t.slots.Take()
	*t.slots.At(number) = slots.Slot{KID: key.kid, N: key.n}
	t.pages.insert(&key.kid, number)
	t.print.Toggle(&key.kid)
	t.count++
	for _, s := range t.reading {
		s.added(number)
	}
	return true
}

func (t *Table) remove(kid *KID) (key Key, ok bool) {
	number, where, ok := t.pages.find(kid)
	if !ok {
		return Key{}, false
	}
	s := t.slots.At(number)
	key = Key{kid: s.KID, n: s.N}
	for _, reading := range t.reading {
		reading.removed(number, &key)
	}
	t.pages.remove(where)
	t.slots.Drop(number)
	t.print.Toggle(kid)
	t.count--
	return key, true
}

// begin gives the Table its memory, which goes when the Table does.
func (t *Table) begin() {
	t.slots = new(slots.Slots)
	t.pages = pages{slots: t.slots}
	runtime.AddCleanup(t, (*slots.Slots).Close, t.slots)
}

// clear makes a Table empty of which nobody has seen a set.
func (t *Table) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slots != nil {
		t.slots.Close()
	}
	t.pages = pages{slots: t.slots}
	t.shown, t.print, t.count = shown{}, Fingerprint{}, 0
}
