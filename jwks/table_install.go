package jwks

import (
	"bytes"
	"slices"
)

// installPiece is the number of slots that install handles at a time while readers wait.
const installPiece = 512

// install makes the Table show the new set, removals first, with a version (0 if unknown). It passes the last
// step to moment, so that the caller can update its own state in the same step; if moment is nil, install runs
// the step itself. If a key was added twice, install returns ErrPublished and leaves the Table unchanged.
//
// Before the last step, readers already see keys of the new set, each with its attributes of the new set, and
// all limits that these refer to, and the new settings.
func (r *refresh) install(version uint64, moment func(show func())) error {
	if r.extra.sort(); r.extra.hasTwice() {
		return ErrPublished
	}
	r.t.installing.Lock()
	defer r.t.installing.Unlock()
	for _, set := range r.shared {
		r.t.shared.store(set)
	}
	r.t.settings.Store(r.settings)
	if !r.first {
		end := r.seenEnd()
		for from := uint32(0); from < end; from += installPiece {
			r.removeGone(from, min(end, from+installPiece))
		}
	}
	for piece := range slices.Chunk(r.texts, installPiece) {
		r.locked(func() {
			for _, n := range piece {
				r.t.setText(n.slot, n.text)
			}
		})
	}
	for piece := range slices.Chunk(r.extra.list, installPiece) {
		r.locked(func() {
			for i := range piece {
				if number, ok := r.t.take(&piece[i].key); ok {
					r.t.setText(number, piece[i].text)
				}
			}
		})
	}
	r.installImported()
	gone := r.shareGone()
	show := func() {
		r.locked(func() {
			for _, set := range gone {
				r.t.shared.store(set)
			}
			r.t.unsigned = r.unsigned
			r.t.show(version)
		})
	}
	if moment == nil {
		show()
	} else {
		moment(show)
	}
	return nil
}

func (r *refresh) locked(f func()) {
	r.t.mu.Lock()
	defer r.t.mu.Unlock()
	f()
}

// shareGone returns, without rules, the sets of limits that the new set does not have.
func (r *refresh) shareGone() (gone []LimitSet) {
	for _, set := range r.t.shared.all() {
		if _, stays := r.shared[set.subject()]; !stays {
			gone = append(gone, LimitSet{On: set.On, Name: set.Name})
		}
	}
	return gone
}

// removeGone removes keys and attributes that the new set does not have.
func (r *refresh) removeGone(from, end uint32) {
	r.t.mu.Lock()
	defer r.t.mu.Unlock()
	for number := from; number < end; number++ {
		if r.gone(number) {
			kid := KID(r.t.slots.At(number).KID)
			r.t.remove(&kid)
		} else if r.bare(number) {
			r.t.setText(number, 0)
		}
	}
}

// extras are keys that a refresh adds to a Table.
type extras struct {
	list   []extra
	sorted bool
}

type extra struct {
	key  Key
	text uint32
}

func (x *extras) add(key *Key) { x.list, x.sorted = append(x.list, extra{key: *key}), false }

func (x *extras) sort() {
	if !x.sorted {
		slices.SortFunc(x.list, func(a, b extra) int { return a.key.Compare(&b.key.kid) })
		x.sorted = true
	}
}

func (x *extras) hasTwice() bool {
	for i := 1; i < len(x.list); i++ {
		if x.list[i].key.kid == x.list[i-1].key.kid {
			return true
		}
	}
	return false
}

// find returns a key. The attributes of a key come right after it, or after all keys.
func (x *extras) find(kid *KID) *extra {
	if last := len(x.list) - 1; last >= 0 && x.list[last].key.kid == *kid {
		return &x.list[last]
	}
	x.sort()
	at, found := slices.BinarySearchFunc(x.list, kid, func(e extra, kid *KID) int { return bytes.Compare(e.key.kid[:], kid[:]) })
	if !found {
		return nil
	}
	return &x.list[at]
}
