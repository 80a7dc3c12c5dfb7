package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// By default, Go lets garbage grow to the size of the live heap, which in a server consists mostly of published
// keys. With 1.1 million keys, the default took 1,054 bytes of memory per key; the limit here takes 731.
const (
	maxGarbage = 64 << 20 // bytes
	percentMin = 5
	percentMax = 400
)

// boundGarbage limits garbage to maxGarbage, unless GOGC is set.
func boundGarbage() {
	if os.Getenv("GOGC") != "" {
		return
	}
	percent := 100
	afterEachGC(func() {
		if want := garbagePercent(heapLive()); want != percent {
			percent = want
			debug.SetGCPercent(percent)
		}
	})
}

func garbagePercent(live uint64) int {
	return min(percentMax, max(percentMin, int(100*uint64(maxGarbage)/max(live, 1))))
}

func heapLive() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// afterEachGC calls f after each collection, when the size of the live heap is known again.
func afterEachGC(f func()) {
	type sentinel struct{ _ *byte }
	runtime.SetFinalizer(&sentinel{new(byte)}, func(*sentinel) {
		f()
		afterEachGC(f)
	})
}
