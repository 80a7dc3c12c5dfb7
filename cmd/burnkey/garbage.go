package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// The heap of a server holds little but keys, which stay. Left alone, the collector
// lets garbage grow to as much again; keys hold no pointers, so that to look for
// garbage more often costs next to nothing.
const (
	garbageMax = 64 << 20 // bytes beside what lives, once that is more
	percentMin = 5
)

// boundGarbage has the collector keep to garbageMax, from now on, unless GOGC says
// what it should do.
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
	if live <= garbageMax {
		return 100
	}
	return max(percentMin, int(100*garbageMax/live))
}

func heapLive() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// afterEachGC calls f behind each collection: there is garbage again to tell of it.
func afterEachGC(f func()) {
	type sentinel struct{ _ *byte }
	runtime.SetFinalizer(&sentinel{new(byte)}, func(*sentinel) {
		f()
		afterEachGC(f)
	})
}
