package jwks

import (
	"bytes"
	"slices"
)

// refresh takes in a whole set, key by key, and has the Table show it once it is
// complete: until then the Table shows what it showed. Of a Table that shows a set
// it keeps only what differs.
type refresh struct {
	t     *Table
	first bool
	seen  []uint64 // a bit for each slot whose key comes again
	extra []Key    // that the Table has not
	print Fingerprint
}

// refresh begins one. The caller alone changes the Table until install or abort.
func (t *Table) refresh() *refresh {
	r := &refresh{t: t, first: !t.state().has}
	if t.slots != nil {
		r.seen = make([]uint64, (t.slots.High()+63)/64)
	}
	return r
}

// Add takes the next key; ErrPublished if it came before.
func (r *refresh) Add(key Key) error {
	r.print.Toggle(&key.kid)
	if r.first { // nobody finds anything in it yet
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

// differs reports whether the keys so far are others than the Table's.
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

// installPiece is how many slots are looked at while readers wait.
const installPiece = 512

// install shows the set, removals first, under a version (0 if unknown). It passes the last
// step, which makes the Table show the set, to moment, so that the caller can update its own
// state at the same time; nil runs it at once. If a key came twice, it returns ErrPublished and
// leaves the Table as it was.
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

// abort leaves the Table as it was before.
func (r *refresh) abort() {
	if r.first {
		r.t.clear()
	}
}
