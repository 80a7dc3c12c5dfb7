//go:build unix

package slots

import (
	"syscall"
	"unsafe"
)

// mappedFrom is the length from which a chunk is stored outside of Go's heap. Inside the heap, the garbage
// collector would let an equal amount of garbage accumulate.
const mappedFrom = 1 << 12

func newChunk(count int) (chunk []Slot, release func()) {
	if count < mappedFrom {
		return make([]Slot, count), func() {}
	}
	size := count * int(unsafe.Sizeof(Slot{}))
	memory, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil { // for example, a sandbox forbids it
		return make([]Slot, count), func() {}
	}
	// A Slot consists of bytes, so any address is aligned.
	chunk = unsafe.Slice((*Slot)(unsafe.Pointer(unsafe.SliceData(memory))), count)
	return chunk, func() { _ = syscall.Munmap(memory) } // cannot fail for mapped memory
}
