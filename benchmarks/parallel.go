package main

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// parallel calls f with 0 to n-1 on all processors. After an error, which it returns, it starts no further calls.
func parallel(n int, f func(i int) error) error { return parallelBy(runtime.GOMAXPROCS(0), n, f) }

func parallelBy(workers, n int, f func(i int) error) error {
	var next atomic.Int64
	var once sync.Once
	var first error
	var all sync.WaitGroup
	for range min(workers, n) {
		all.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(i); err != nil {
					once.Do(func() { first = err })
					next.Store(int64(n))
				}
			}
		})
	}
	all.Wait()
	return first
}
