package jwks

import (
	"crypto/subtle"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/burnkey/burnkey/jwks/internal/slots"
)

// Table is a set of published keys for verifying tokens, with their attributes. It uses about 340 bytes per
// key, most of them outside of Go's heap, and for attributes as many as they have.
// It changes in place. For each key it also stores the hash of the only token that the key
// signed, once that token was verified, so verifying the token again needs no RSA. The zero Table is empty and
// has no version. It is safe for concurrent use, except that only one goroutine can change it at a time.
type Table struct {
	mu      sync.RWMutex
	slots   *slots.Slots[slots.Slot]
	texts   *slots.Texts // attributes in their compact form; nil: no key has any
	pages   pages
	current setState // replaced in one step, when all keys are in slots
	// print and count describe the keys in slots. While a set is read or installed, these have no version.
	print   Fingerprint
	count   int
	reading []*snapshot
	// unsigned is the part of the feed's fingerprint that is not of keys.
	unsigned Fingerprint
	shared   shares
	settings atomic.Pointer[Settings] // nil: unknown, since the set is not from a feed
	imports  imports
	recent   recent

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
	feed    Fingerprint // also of attributes and of shared limits
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
	t.current = setState{has: true, version: version, print: t.print, feed: t.print, keys: t.count}
	t.current.feed.Toggle((*KID)(&t.unsigned))
}

// Lookup returns the published key with this kid. Its cost does not depend on the number of keys.
func (t *Table) Lookup(kid KID) (key Key, ok bool) {
	_, _, ok = t.recall(&kid, nil, &key)
	return key, ok
}

// Attributes returns the attributes of a published or imported key: the zero value if it has none.
func (t *Table) Attributes(kid KID) (a Attributes, published bool) {
	var key Key
	text, _, ok := t.recall(&kid, nil, &key)
	if !ok && kid.IsImported() {
		imported, ok := t.Imported(kid)
		return imported.Attributes, ok
	}
	a.readBinary(text)
	return a, ok
}

func (t *Table) keyTable() *Table { return t }

// recall looks up a published key and returns its attributes of the same version, in their compact form. If d is
// the hash of the token that the key signed, recall returns signed = true. Otherwise it copies the key to *key.
func (t *Table) recall(kid *KID, d *digest, key *Key) (attributes string, signed, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if !t.current.has {
		return "", false, false
	}
	number, _, ok := t.pages.find(kid)
	if !ok {
		return "", false, false
	}
	s := t.slots.At(number)
	if s.Text != 0 {
		attributes = string(t.texts.At(s.Text))
	}
	if d != nil && s.Mark != (digest{}) && subtle.ConstantTimeCompare(s.Mark[:], d[:]) == 1 {
		return attributes, true, true
	}
	key.kid, key.n = s.KID, s.N
	return attributes, false, true
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

// Apply applies the next change: removals, additions, attributes, and then shared limits, settings and imported keys. After
// an error (ErrVersionGap, ErrNotPublished, ErrPublished or ErrAttributes) the Table is unchanged.
func (t *Table) Apply(c Change) error {
	texts, err := compactAll(c.Unsigned.Set)
	if err != nil {
		return fmt.Errorf("version %d: %w", c.Version, err)
	}
	put, err := compactImported(c.Unsigned.Imported)
	if err != nil {
		return fmt.Errorf("version %d: %w", c.Version, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if before := t.current.version; before == 0 || c.Version != before+1 {
		return fmt.Errorf("%w: version %d after %d", ErrVersionGap, c.Version, before)
	}
	if err := t.imports.canDrop(c.Unsigned.Dropped); err != nil {
		return fmt.Errorf("version %d: %w", c.Version, err)
	}
	unsigned := t.unsigned
	undo, err := t.change(&c, texts)
	if err != nil {
		for _, f := range slices.Backward(undo) {
			f()
		}
		t.unsigned = unsigned
		return fmt.Errorf("version %d: %w", c.Version, err)
	}
	for _, set := range c.Unsigned.Limits {
		t.shared.replace(set, &t.unsigned)
	}
	if next := c.Unsigned.Settings; next != nil {
		t.settle(next, &t.unsigned)
	}
	t.imports.change(c.Unsigned.Dropped, put, &t.unsigned)
	t.show(c.Version)
	return nil
}

// change removes and adds keys and sets attributes until the first error. It returns functions that undo its
// steps, except on t.unsigned.
func (t *Table) change(c *Change, texts []compactAttributes) (undo []func(), err error) {
	for i := range c.Remove {
		was, ok := t.remove(&c.Remove[i])
		if !ok {
			return undo, ErrNotPublished
		}
		t.togglePrint(&was.key.kid, was.attributes)
		undo = append(undo, func() { t.put(&was) })
	}
	for i := range c.Add {
		if !t.add(&c.Add[i]) {
			return undo, ErrPublished
		}
		undo = append(undo, func() { t.remove(&c.Add[i].kid) })
	}
	for i := range texts {
		number, _, ok := t.pages.find(&c.Unsigned.Set[i].KID)
		if !ok {
			return undo, fmt.Errorf("attributes: %w", ErrNotPublished)
		}
		before := string(t.textOf(number))
		t.togglePrint(&c.Unsigned.Set[i].KID, before)
		t.unsigned.Toggle((*KID)(&texts[i].print))
		t.setText(number, t.store(texts[i].text))
		undo = append(undo, func() { t.setText(number, t.store([]byte(before))) })
	}
	return undo, nil
}

// The callers of add, remove and put must hold the lock, unless no other goroutine has the Table yet.

func (t *Table) add(key *Key) bool {
	_, ok := t.take(key)
	return ok
}

func (t *Table) take(key *Key) (number uint32, ok bool) {
	if t.slots == nil {
		t.begin()
	}
	if _, _, found := t.pages.find(&key.kid); found {
		return 0, false
	}
	number = t.slots.Take()
	*t.slots.At(number) = slots.Slot{KID: key.kid, N: key.n}
	t.pages.insert(&key.kid, number)
	t.print.Toggle(&key.kid)
	t.count++
	for _, s := range t.reading {
		s.added(number)
	}
	return number, true
}

// entry is a key and its attributes in their compact form.
type entry struct {
	key        Key
	attributes string
}

func (t *Table) put(e *entry) {
	if number, ok := t.take(&e.key); ok {
		t.setText(number, t.store([]byte(e.attributes)))
	}
}

func (t *Table) remove(kid *KID) (was entry, ok bool) {
	number, where, ok := t.pages.find(kid)
	if !ok {
		return entry{}, false
	}
	was = t.entry(number)
	for _, reading := range t.reading {
		reading.removed(number)
	}
	t.pages.remove(where)
	t.dropText(t.slots.At(number).Text)
	t.slots.Drop(number)
	t.print.Toggle(kid)
	t.count--
	return was, true
}

// entry returns a copy of what is in a slot.
func (t *Table) entry(number uint32) entry {
	s := t.slots.At(number)
	return entry{Key{kid: s.KID, n: s.N}, string(t.textOf(number))}
}

// begin allocates the slots. They are freed when the Table is garbage collected.
func (t *Table) begin() {
	t.slots = new(slots.Slots[slots.Slot])
	t.pages = pages{slots: t.slots}
	runtime.AddCleanup(t, (*slots.Slots[slots.Slot]).Close, t.slots)
}

// clear empties a Table that has never shown a set.
func (t *Table) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slots != nil {
		t.slots.Close()
	}
	if t.texts != nil {
		t.texts.Close()
	}
	t.pages = pages{slots: t.slots}
	t.current, t.print, t.count, t.unsigned = setState{}, Fingerprint{}, 0, Fingerprint{}
	t.shared.clear()
	t.imports.clear()
	t.settings.Store(nil)
}
