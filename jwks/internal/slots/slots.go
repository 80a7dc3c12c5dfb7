// Package slots stores keys and texts outside of Go's heap.
package slots

import (
	"math/bits"
	"unsafe"
)

// A Slot stores one key. It has no pointers, so the garbage collector never scans it. The members that a token
// needs that was verified before come first, since they share cache lines.
type Slot struct {
	KID [32]byte
	// Mark is the SHA-256 hash of the only token that the key signed; zero until the token is verified.
	Mark [32]byte
	Text uint32    // the number of a text of Texts; 0: none
	N    [256]byte // zero in a free slot: the first bit of a modulus is 1
}

// Used reports whether the slot stores a key.
func (s *Slot) Used() bool { return s.N[0] != 0 }

// Slots are numbered from 0. Each chunk of slots is allocated twice as long as the chunk before, so that no
// slot ever moves and unused memory costs nothing. A T must not have pointers.
type Slots[T any] struct {
	chunks  [][]T
	high    uint32
	free    []uint32 // below high
	release []func()
}

const firstChunk = 2 // slots; a power of two. Most workspaces have few keys

// At returns the slot with a number below High.
func (s *Slots[T]) At(number uint32) *T {
	number += firstChunk
	top := bits.Len32(number) - 1
	return &s.chunks[top-bits.TrailingZeros32(firstChunk)][number-1<<top]
}

// High returns a number that is greater than the number of every slot in use.
func (s *Slots[T]) High() uint32 { return s.high }

// Free returns how many slots below High are free.
func (s *Slots[T]) Free() int { return len(s.free) }

// Take reserves a free slot and returns its number.
func (s *Slots[T]) Take() uint32 {
	if n := len(s.free); n > 0 {
		number := s.free[n-1]
		s.free = s.free[:n-1]
		return number
	}
	if int(s.high) == firstChunk<<len(s.chunks)-firstChunk {
		chunk, release := newChunk[T](firstChunk << len(s.chunks))
		s.chunks, s.release = append(s.chunks, chunk), append(s.release, release)
	}
	s.high++
	return s.high - 1
}

// Drop clears a slot and frees it for reuse.
func (s *Slots[T]) Drop(number uint32) {
	var empty T
	*s.At(number) = empty
	s.free = append(s.free, number)
}

// Close frees the memory. A slot must not be used afterwards.
func (s *Slots[T]) Close() {
	for _, release := range s.release {
		release()
	}
	*s = Slots[T]{}
}

// bytes returns the memory of a slot.
func (s *Slots[T]) bytes(number uint32) []byte {
	slot := s.At(number)
	return unsafe.Slice((*byte)(unsafe.Pointer(slot)), unsafe.Sizeof(*slot))
}
