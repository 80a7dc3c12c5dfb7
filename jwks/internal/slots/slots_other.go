//go:build !unix

package slots

func newChunk(count int) (chunk []Slot, release func()) { return make([]Slot, count), func() {} }
