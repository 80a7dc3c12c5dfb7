//go:build unix

package jwks

import (
	"syscall"
	"unsafe"
)

// mappedFrom is the number of slots from which a chunk has memory of its own,
// outside of Go's heap: there, it would have the collector let garbage grow to as
// much again.
const mappedFrom = 1 << 12

func newChunk(count int) (chunk []slot, release func()) {
	if count < mappedFrom {
		return make([]slot, count), func() {}
	}
	memory, err := syscall.Mmap(-1, 0, count*int(unsafe.Sizeof(slot{})), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil { // a sandbox's limit, perhaps
		return make([]slot, count), func() {}
	}
	// A slot is bytes alone, and so fits any address.
	chunk = unsafe.Slice((*slot)(unsafe.Pointer(unsafe.SliceData(memory))), count)
	return chunk, func() { _ = syscall.Munmap(memory) } // fails only for what is not mapped
}
