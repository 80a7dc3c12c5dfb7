package jwks

import "slices"

// snapshot yields the keys that a Table had when the snapshot was taken, even if the Table changes later.
// It is not safe for concurrent use.
type snapshot struct {
	t       *Table
	version uint64
	count   int
	end     uint32   // number of slots when it was taken
	cursor  uint32   // lower slots have been read
	fresh   []uint64 // a bit for each slot that was filled later
	gone    []Key    // keys that were removed before they were read
}

// snapshot takes a snapshot, which the caller must close. It waits while a new set is being installed.
func (t *Table) snapshot() *snapshot {
	t.installing.Lock()
	defer t.installing.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &snapshot{t: t, version: t.current.version, count: t.current.keys}
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

// The Table calls added and removed when it changes.

func (s *snapshot) added(number uint32) {
	if number < s.end {
		s.fresh[number/64] |= 1 << (number % 64)
	}
}

func (s *snapshot) removed(number uint32, key *Key) {
	if number >= s.cursor && !s.isFresh(number) {
		s.gone = append(s.gone, *key)
	}
}

// snapshotPiece is the number of slots that are read at a time while changes wait.
const snapshotPiece = 64

// each passes the keys to yield, in any order, until yield returns an error.
func (s *snapshot) each(yield func(*Key) error) error {
	piece := make([]Key, 0, snapshotPiece)
	for s.cursor < s.end {
		piece = s.read(piece[:0])
		if err := yieldAll(piece, yield); err != nil {
			return err
		}
	}
	return yieldAll(s.gone, yield) // complete, since all slots have been read
}

func yieldAll(keys []Key, yield func(*Key) error) error {
	for i := range keys {
		if err := yield(&keys[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *snapshot) read(piece []Key) []Key {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	for range snapshotPiece {
		if s.cursor == s.end {
			break
		}
		if from := s.t.slots.At(s.cursor); from.Used() && !s.isFresh(s.cursor) {
			piece = append(piece, Key{kid: from.KID, n: from.N})
		}
		s.cursor++
	}
	return piece
}
