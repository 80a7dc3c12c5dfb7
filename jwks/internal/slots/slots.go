// Package slots stores keys outside of Go's heap.
package slots

import "math/bits"

// A Slot stores one key. It has no pointers, so the garbage collector never scans it.
type Slot struct {
	KID [32]byte
	N   [256]byte // zero in a free slot: the first bit of a modulus is 1
	// Mark is the SHA-256 hash of the only token that the key signed; zero until the token is verified.
	Mark [32]byte
}

// Used reports whether the slot stores a key.
func (s *Slot) Used() bool { return s.N[0] != 0 }

// Slots are numbered from 0. Each chunk of slots is allocated twice as long as the chunk before, so that no
// slot ever moves and unused memory costs nothing.
type Slots struct {
	chunks  [][]Slot
	high    uint32
	free    []uint32 // below high
	release []func()
}

const firstChunk = 16 // slots; a power of two

// At returns the slot with a number below High.
func (s *Slots) At(number uint32) *Slot {
	number += firstChunk
	top := bits.Len32(number) - 1
	return &s.chunks[top-bits.TrailingZeros32(firstChunk)][number-1<<top]
}

// High returns a number that is greater than the number of every slot in use.
func (s *Slots) High() uint32 { return s.high }

// Free returns how many slots below High are free.
func (s *Slots) Free() int { return len(s.free) }

// Take reserves a free slot and returns its number.
func (s *Slots) Take() uint32 {
	if n := len(s.free); n > 0 {
		number := s.free[n-1]
		s.free = s.free[:n-1]
		return number
	}
	if int(s.high) == firstChunk<<len(s.chunks)-firstChunk {
		chunk, release := newChunk(firstChunk << len(s.chunks))
		s.chunks, s.release = append(s.chunks, chunk), append(s.release, release)
	}
	s.high++
	return s.high - 1
}

// Drop clears a slot and frees it for reuse.
func (s *Slots) Drop(number uint32) {
	*s.At(number) = Slot{}
	s.free = append(s.free, number)
}

// Close frees the memory. A Slot must not be used afterwards.
func (s *Slots) Close() {
	for _, release := range s.release {
		release()
	}
	*s = Slots{}
}
