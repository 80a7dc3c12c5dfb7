package jwks

import (
	"encoding/binary"

	"github.com/burnkey/burnkey/jwks/internal/slots"
)

// pages maps kids, which are hashes already, to slots by extendible hashing. A full page is split in two,
// so an insertion moves at most the entries of one page; occasionally it also doubles the directory, which
// has one pointer for about 20 keys.
type pages struct {
	slots *slots.Slots[slots.Slot]
	depth uint8 // the directory has a pointer for each value of a kid's first bits
	dir   []*page
}

const (
	pageLen  = 62 // entries; a page then has 384 bytes
	maxDepth = 24 // of a page. Kids that share more bits are not hashes; their pages are chained
)

type page struct {
	next  *page
	depth uint8 // number of bits that all its kids share
	count uint8
	tags  [pageLen]uint16 // further bits of each kid, so that few slots are compared needlessly
	slots [pageLen]uint32
}

// place is the position of an entry.
type place struct {
	page *page
	at   uint8
}

func prefix(kid *KID) uint64 { return binary.BigEndian.Uint64(kid[:]) }
func tag(kid *KID) uint16    { return binary.BigEndian.Uint16(kid[8:]) }

func (x *pages) page(kid *KID) *page {
	if x.dir == nil {
		x.dir = []*page{{}}
	}
	return x.dir[prefix(kid)>>(64-x.depth)]
}

// find returns the slot of a kid and the position of its entry.
func (x *pages) find(kid *KID) (number uint32, where place, ok bool) {
	if x.dir == nil {
		return 0, place{}, false
	}
	want := tag(kid)
	for p := x.page(kid); p != nil; p = p.next {
		for i, have := range p.tags[:p.count] {
			if have == want && x.slots.At(p.slots[i]).KID == *kid {
				return p.slots[i], place{p, uint8(i)}, true
			}
		}
	}
	return 0, place{}, false
}

// insert adds an entry for a kid that has no entry yet.
func (x *pages) insert(kid *KID, number uint32) {
	p := x.page(kid)
	for p.count == pageLen && p.depth < maxDepth {
		x.split(kid, p)
		p = x.page(kid)
	}
	for p.count == pageLen {
		if p.next == nil {
			p.next = &page{depth: p.depth}
		}
		p = p.next
	}
	p.put(tag(kid), number)
}

func (p *page) put(tag uint16, number uint32) {
	p.tags[p.count], p.slots[p.count] = tag, number
	p.count++
}

func (x *pages) remove(w place) {
	w.page.count--
	w.page.tags[w.at], w.page.slots[w.at] = w.page.tags[w.page.count], w.page.slots[w.page.count]
}

// split splits the full page p of a kid in two, by the next bit of the kids.
func (x *pages) split(kid *KID, p *page) {
	if p.depth == x.depth {
		x.grow()
	}
	low := &page{depth: p.depth + 1}
	high := &page{depth: p.depth + 1}
	for i, number := range p.slots {
		half := low
		if prefix((*KID)(&x.slots.At(number).KID))>>(63-p.depth)&1 == 1 {
			half = high
		}
		half.put(p.tags[i], number)
	}
	// Replace all pointers to the old page: the first half by low, the second half by high.
	span := 1 << (x.depth - p.depth)
	first := int(prefix(kid)>>(64-p.depth)) * span
	for i := range span {
		if i < span/2 {
			x.dir[first+i] = low
		} else {
			x.dir[first+i] = high
		}
	}
}

func (x *pages) grow() {
	dir := make([]*page, 0, 2*len(x.dir))
	for _, p := range x.dir {
		dir = append(dir, p, p)
	}
	x.dir, x.depth = dir, x.depth+1
}
