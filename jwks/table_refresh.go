package jwks

import (
	"bytes"
	"slices"
)

// refresh receives a whole set, key by key. The Table shows the new set only when the set is complete. If
// the Table already shows a set, refresh stores only the difference.
type refresh struct {
	t     *Table
	first bool
	seen  []uint64 // a bit for each slot whose key is also in the new set
	extra []Key    // keys that are not in the Table
	print Fingerprint
}

// refresh starts a refresh. Until install or abort, only the caller of refresh can change the Table.
func (t *Table) refresh() *refresh {
	r := &refresh{t: t, first: !t.state().has}
	if t.slots != nil {
		r.seen = make([]uint64, (t.slots.High()+63)/64)
	}
	return r
}

// Add adds the next key. It returns ErrPublished for some duplicates; install finds the rest.
func (r *refresh) Add(key Key) error {
	r.print.Toggle(&key.kid)
	if r.first { // Lookup finds nothing yet
		r.t.mu.Lock()
		defer r.t.mu.Unlock()
		if !r.t.add(&key) {
			return ErrPublished
		}
		return nil
	}
	number, _, found := r.t.pages.find(&key.kid)
	if !found {
		r.extra = append(r.extra, key)
		return nil
	}
	word, bit := &r.seen[number/64], uint64(1)<<(number%64)
	if *word&bit != 0 {
		return ErrPublished
	}
	*word |= bit
	return nil
}

// differs reports whether the new set differs from the keys in the Table.
func (r *refresh) differs() bool {
	if len(r.extra) > 0 {
		return true
	}
	for number := range r.seenEnd() {
		if r.gone(number) {
			return true
		}
	}
	return false
}

func (r *refresh) seenEnd() uint32 {
	if r.seen == nil { // a set without keys has no slots either
		return 0
	}
	return uint32(min(len(r.seen)*64, int(r.t.slots.High())))
}

func (r *refresh) gone(number uint32) bool {
	return r.seen[number/64]&(1<<(number%64)) == 0 && r.t.slots.At(number).Used()
}

// installPiece is the number of slots that install handles at a time while readers wait.
const installPiece = 512

// install makes the Table show the new set, removals first, with a version (0 if unknown). It passes the last
// step to moment, so that the caller can update its own state in the same step; if moment is nil, install runs
// the step itself. If a key was added twice, install returns ErrPublished and leaves the Table unchanged.
func (r *refresh) install(version uint64, moment func(show func())) error {
	byKID := func(a, b Key) int { return bytes.Compare(a.kid[:], b.kid[:]) }
	slices.SortFunc(r.extra, byKID)
	for i := 1; i < len(r.extra); i++ {
		if r.extra[i].kid == r.extra[i-1].kid {
			return ErrPublished
		}
	}
	r.t.installing.Lock()
	defer r.t.installing.Unlock()
	if !r.first {
		end := r.seenEnd()
		for from := uint32(0); from < end; from += installPiece {
			r.removeGone(from, min(end, from+installPiece))
		}
	}
	for piece := range slices.Chunk(r.extra, installPiece) {
		r.t.mu.Lock()
		for i := range piece {
			r.t.add(&piece[i])
		}
		r.t.mu.Unlock()
	}
	show := func() {
		r.t.mu.Lock()
		defer r.t.mu.Unlock()
		r.t.show(version)
	}
	if moment == nil {
		show()
	} else {
		moment(show)
	}
	return nil
}

func (r *refresh) removeGone(from, end uint32) {
	r.t.mu.Lock()
	defer r.t.mu.Unlock()
	for number := from; number < end; number++ {
		if r.gone(number) {
			kid := KID(r.t.slots.At(number).KID)
			r.t.remove(&kid)
		}
	}
}

// abort discards the new set. The Table is unchanged.
func (r *refresh) abort() {
	if r.first {
		r.t.clear()
	}
}
