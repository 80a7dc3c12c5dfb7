package jwks

import "math/bits"

// slot is what a Table keeps of one key. It holds no pointer, so that the garbage
// collector never looks at it.
type slot struct {
	kid KID
	n   [ModulusLen]byte // zero in a free slot: a modulus begins with a 1 bit
	// mark is the SHA-256 hash of the one token that the key has signed, once it was
	// verified; zero before.
	mark [32]byte
}

func (s *slot) used() bool { return s.n[0] != 0 }

// slots are numbered from 0. They lie in chunks, each twice as long as the one
// before: none is ever moved, and memory that was not yet used costs nothing.
type slots struct {
	chunks  [][]slot
	high    uint32   // those below are, or were, in use
	free    []uint32 // of them
	release []func()
}

const firstChunk = 16 // slots; a power of two

func (s *slots) at(number uint32) *slot {
	number += firstChunk
	top := bits.Len32(number) - 1
	return &s.chunks[top-bits.TrailingZeros32(firstChunk)][number-1<<top]
}

// take returns a free slot's number.
func (s *slots) take() uint32 {
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

// drop frees a slot and forgets what was in it.
func (s *slots) drop(number uint32) {
	*s.at(number) = slot{}
	s.free = append(s.free, number)
}

// close gives the memory back; nothing may look at a slot any more.
func (s *slots) close() {
	for _, release := range s.release {
		release()
	}
	*s = slots{}
}
