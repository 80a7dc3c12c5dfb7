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

// Table is a set of published keys for verifying tokens. It uses about 335 bytes per key, most of them outside
// of Go's heap, and changes in place. For each key it also stores the hash of the only token that the key
// signed, once that token was verified, so verifying the token again needs no RSA. The zero Table is empty and
// has no version. It is safe for concurrent use, except that only one goroutine can change it at a time.
type Table struct {
	mu      sync.RWMutex
	slots   *slots.Slots
	pages   pages
	current setState // replaced in one step, when all keys are in slots
	// print and count describe the keys in slots. While a set is read or installed, these have no version.
	print   Fingerprint
	count   int
	reading []*snapshot

	installing sync.Mutex // locked while the keys belong to no version
}

// NewTable returns a Table of these keys, or ErrPublished if two keys have the same kid.
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

// setState identifies the set that a Table shows.
type setState struct {
	has     bool   // it shows a set
	version uint64 // 0: unknown
	print   Fingerprint
	keys    int
}

// mayBe reports whether print is a prefix of the set's fingerprint. An empty print matches any set.
func (s setState) mayBe(print string) bool { return strings.HasPrefix(s.print.String(), print) }

// Version returns the version of the set. It is 0 before the first set.
func (t *Table) Version() uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.current.version
}

// Len returns the number of keys in the set. It is 0 before the first set.
func (t *Table) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.current.keys
}

// state identifies the set that the Table shows.
func (t *Table) state() setState {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.current
}

// show makes the current keys the published set with this version (0 if unknown). The caller holds the lock.
func (t *Table) show(version uint64) {
	t.current = setState{has: true, version: version, print: t.print, keys: t.count}
}

// Lookup returns the published key with this kid. Its cost does not depend on the number of keys.
func (t *Table) Lookup(kid KID) (key Key, ok bool) {
	_, ok = t.recall(&kid, nil, &key)
	return key, ok
}

func (t *Table) keyTable() *Table { return t }

// recall looks up a published key. If d is the hash of the token that the key signed, recall returns signed
// = true. Otherwise it copies the key to *key.
func (t *Table) recall(kid *KID, d *digest, key *Key) (signed, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if !t.current.has {
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

// remember stores the hash of a token that the key with this kid has verified, if the key is still
// published. It does not replace an earlier hash, since a key signs only one token.
func (t *Table) remember(kid *KID, d *digest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if number, _, ok := t.pages.find(kid); ok {
		if s := t.slots.At(number); s.Mark == (digest{}) {
			s.Mark = *d
		}
	}
}

// Apply applies the next change. After an error (ErrVersionGap, ErrNotPublished or ErrPublished) the Table
// is unchanged.
func (t *Table) Apply(c Change) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if before := t.current.version; before == 0 || c.Version != before+1 {
		return fmt.Errorf("%w: version %d after %d", ErrVersionGap, c.Version, before)
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

// change removes and adds keys until the first error. It returns functions that undo its steps.
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

// The callers of add and remove must hold the lock, unless no other goroutine has the Table yet.

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

// begin allocates the slots. They are freed when the Table is garbage collected.
func (t *Table) begin() {
	t.slots = new(slots.Slots)
	t.pages = pages{slots: t.slots}
	runtime.AddCleanup(t, (*slots.Slots).Close, t.slots)
}

// clear empties a Table that has never shown a set.
func (t *Table) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slots != nil {
		t.slots.Close()
	}
	t.pages = pages{slots: t.slots}
	t.current, t.print, t.count = setState{}, Fingerprint{}, 0
}
