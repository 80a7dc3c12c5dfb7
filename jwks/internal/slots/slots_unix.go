//go:build unix

package slots

import (
	"syscall"
	"unsafe"
)

// mappedFrom is the size in bytes from which a chunk is stored outside of Go's heap. Inside the heap, the
// garbage collector would let an equal amount of garbage accumulate.
const mappedFrom = 1 << 20

func newChunk[T any](count int) (chunk []T, release func()) {
	var slot T
	size := count * int(unsafe.Sizeof(slot))
	if size < mappedFrom {
		return make([]T, count), func() {}
	}
	memory, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil { // for example, a sandbox forbids it
		return make([]T, count), func() {}
	}
	// Mapped memory begins at a page, so it is aligned for every T.
	chunk = unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(memory))), count)
	return chunk, func() { _ = syscall.Munmap(memory) } // cannot fail for mapped memory
}
