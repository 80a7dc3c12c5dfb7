package limits

import (
	"math/bits"
	"sync"
)

// shardCount is the number of shards; an id's first bits choose one.
const shardCount = 64

func shardOf(id uint64) int { return int(id >> (64 - 6)) }

// An entry is the count of one rule and subject. id 0: free.
type entry struct {
	id   uint64
	word word
}

// A shard is a hash table with linear probing, which grows as needed and has no pointers.
type shard struct {
	mu        sync.Mutex
	bound     int     // entries at most
	entries   []entry // none, or a power of two at least a third larger than the number in use
	count     int
	addresses int // entries of addresses among them
	hand      int // where the next eviction looks

	changed  []uint64 // ids of quotas whose word has dirtyBit
	isSaving bool     // quotas that change are marked
	_        [16]byte // shards do not share a cache line
}

// setBound sets the number of entries, and a little more: they do not spread evenly over the shards.
func (s *shard) setBound(entries int) { s.bound = entries + entries/16 }

func (s *shard) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// find returns an entry's word and its place, or 0 and the place where it could be. All methods below are called
// with mu locked.
func (s *shard) find(id uint64) (word, int) {
	mask := len(s.entries) - 1
	if mask < 0 {
		return 0, 0
	}
	i := int(id) & mask
	for s.entries[i].id != id {
		if s.entries[i].id == 0 {
			return 0, i
		}
		i = (i + 1) & mask
	}
	return s.entries[i].word, i
}

// put sets an entry's word. at is the place that find returned, which may no longer be right. It reports whether
// an entry was evicted that was worth something.
func (s *shard) put(id uint64, at int, w word, now *instant) (evicted bool) {
	if at >= len(s.entries) || s.entries[at].id != id {
		evicted = s.makeRoom(id, now)
		_, at = s.find(id)
		if s.entries[at].id == 0 {
			s.counts(id, 1)
		}
	}
	e := &s.entries[at]
	if w.isQuota() && s.isSaving {
		if (e.id == 0 || e.word&dirtyBit == 0) && len(s.changed) < s.bound {
			s.changed = append(s.changed, id)
		}
		w |= dirtyBit
	}
	e.id, e.word = id, w
	return evicted
}

// counts adds n to the numbers of entries.
func (s *shard) counts(id uint64, n int) {
	s.count += n
	if isOfAddress(id) {
		s.addresses += n
	}
}

// makeRoom makes room for one more entry. It reports whether it evicted one that was worth something.
func (s *shard) makeRoom(id uint64, now *instant) bool {
	if s.count >= s.bound {
		return s.evict(s.victims(id), now)
	}
	if 4*(s.count+1) > 3*len(s.entries) {
		s.rebuild(now)
	}
	return false
}

// rebuild drops all worthless entries and fits the table's size to the others.
func (s *shard) rebuild(now *instant) {
	old, live := s.entries, 0
	for i := range old {
		if old[i].id != 0 && !old[i].word.isWorthless(now) {
			live++
		}
	}
	// At most two thirds of it are in use, so that the next time is not soon; the bound limits the table.
	size := min(3*(live+1)/2, 4*(s.bound+1)/3)
	s.entries, s.count, s.addresses, s.hand = make([]entry, 1<<bits.Len(uint(max(8, size)-1))), 0, 0, 0
	for _, e := range old {
		if e.id != 0 && !e.word.isWorthless(now) {
			_, i := s.find(e.id)
			s.entries[i] = e
			s.counts(e.id, 1)
		}
	}
}

// victims reports whether an eviction for a new entry takes one of an address, or else one of the rest. Each kind may fill
// the shard, but if it is full, only the kind that has more than half gives way: however many addresses a client has, it
// cannot push out the counts of keys.
func (s *shard) victims(id uint64) (addresses bool) {
	half := s.bound / 2
	return s.addresses > half || s.addresses == half && isOfAddress(id)
}

// evictionSample is the number of entries of which an eviction drops the one that is worth least. A larger sample
// finds a better one, but a full table must not make requests slow.
const evictionSample = 16

// evict removes one entry of an address or one of the rest, and reports whether it was worth something. There is one.
func (s *shard) evict(addresses bool, now *instant) bool {
	mask, least := len(s.entries)-1, -1
	for left := evictionSample; left > 0 || least < 0; s.hand = (s.hand + 1) & mask {
		e := &s.entries[s.hand]
		if e.id == 0 {
			continue
		}
		left--
		if e.word.isWorthless(now) {
			s.remove(s.hand)
			return false
		}
		if isOfAddress(e.id) == addresses && (least < 0 || e.word.worth() < s.entries[least].word.worth()) {
			least = s.hand
		}
	}
	s.remove(least)
	return true
}

// remove frees a place and moves up entries that were put further on because it was taken.
func (s *shard) remove(i int) {
	mask := len(s.entries) - 1
	s.counts(s.entries[i].id, -1)
	for next := (i + 1) & mask; s.entries[next].id != 0; next = (next + 1) & mask {
		home := int(s.entries[next].id) & mask
		if (next-home)&mask >= (next-i)&mask {
			s.entries[i] = s.entries[next]
			i = next
		}
	}
	s.entries[i] = entry{}
}
