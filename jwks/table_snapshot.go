package jwks

import "slices"

// snapshot yields the keys and attributes that a Table had when the snapshot was taken, even if the Table
// changes later. It is not safe for concurrent use.
type snapshot struct {
	t       *Table
	version uint64
	feed    Fingerprint
	count   int
	rest    unsignedWire      // without attributes and imported keys; the limits are in any order
	imports []*imported       // in any order
	end     uint32            // number of slots when it was taken
	cursor  uint32            // lower slots have been read
	fresh   []uint64          // a bit for each slot that was filled later
	gone    []entry           // keys that were removed before they were read
	before  map[uint32]string // attributes that were replaced before they were read
}

// snapshot takes a snapshot, which the caller must close. It waits while a new set is being installed.
func (t *Table) snapshot() *snapshot {
	t.installing.Lock()
	defer t.installing.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &snapshot{
		t: t, version: t.current.version, feed: t.current.feed, count: t.current.keys,
		rest: unsignedWire{Limits: t.shared.all(), Settings: t.settings.Load()}, imports: t.imports.all(), before: map[uint32]string{},
	}
	if t.slots != nil {
		s.end = t.slots.High()
		s.fresh = make([]uint64, (s.end+63)/64)
	}
	t.reading = append(t.reading, s)
	return s
}

func (s *snapshot) close() {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	s.t.reading = slices.DeleteFunc(s.t.reading, func(other *snapshot) bool { return other == s })
}

func (s *snapshot) isFresh(number uint32) bool {
	return number >= s.end || s.fresh[number/64]&(1<<(number%64)) != 0
}

// isUnread reports whether a slot still has to be read.
func (s *snapshot) isUnread(number uint32) bool { return number >= s.cursor && !s.isFresh(number) }

// The Table calls added after it has filled a slot, and removed and changed before it clears a slot or replaces
// the attributes in it.

func (s *snapshot) added(number uint32) {
	if number < s.end {
		s.fresh[number/64] |= 1 << (number % 64)
	}
}

func (s *snapshot) removed(number uint32) {
	if s.isUnread(number) {
		s.gone = append(s.gone, s.entry(number))
	}
}

func (s *snapshot) changed(number uint32) {
	if _, known := s.before[number]; !known && s.isUnread(number) {
		s.before[number] = string(s.t.textOf(number))
	}
}

// entry returns what was in an unread slot when the snapshot was taken.
func (s *snapshot) entry(number uint32) entry {
	e := s.t.entry(number)
	if attributes, changed := s.before[number]; changed {
		e.attributes = attributes
		delete(s.before, number)
	}
	return e
}

// snapshotPiece is the number of slots that are read at a time while changes wait.
const snapshotPiece = 64

// each passes the keys with their attributes, nil if a key has none, to yield, in any order, until yield
// returns an error.
func (s *snapshot) each(yield func(*Key, *Attributes) error) error {
	piece := make([]entry, 0, snapshotPiece)
	for s.cursor < s.end {
		piece = s.read(piece[:0])
		if err := yieldAll(piece, yield); err != nil {
			return err
		}
	}
	return yieldAll(s.gone, yield) // complete, since all slots have been read
}

func yieldAll(entries []entry, yield func(*Key, *Attributes) error) error {
	for i := range entries {
		var attributes *Attributes
		if text := entries[i].attributes; text != "" {
			attributes = new(Attributes)
			attributes.readBinary(text)
		}
		if err := yield(&entries[i].key, attributes); err != nil {
			return err
		}
	}
	return nil
}

func (s *snapshot) read(piece []entry) []entry {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	for range snapshotPiece {
		if s.cursor == s.end {
			break
		}
		if s.t.slots.At(s.cursor).Used() && !s.isFresh(s.cursor) {
			piece = append(piece, s.entry(s.cursor))
		}
		s.cursor++
	}
	return piece
}
