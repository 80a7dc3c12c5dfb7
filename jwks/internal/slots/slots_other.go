//go:build !unix

package slots

func newChunk[T any](count int) (chunk []T, release func()) { return make([]T, count), func() {} }
