package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// The heap of a server holds little but keys, which stay, and that of a gateway next
// to nothing. Left alone, the collector lets garbage grow to as much again as what
// lives: too much of the one, and so little of the other that it never rests. Keys
// hold no pointers, so that to look for garbage costs next to nothing.
const (
	serverGarbage  = 64 << 20 // bytes beside what lives
	gatewayGarbage = 24 << 20
	percentMin     = 5
	percentMax     = 400
)

// boundGarbage has the collector keep to so many bytes of garbage, from now on,
// unless GOGC says what it should do.
func boundGarbage(most int) {
	if os.Getenv("GOGC") != "" {
		return
	}
	percent := 100
	afterEachGC(func() {
		if want := garbagePercent(most, heapLive()); want != percent {
			percent = want
			debug.SetGCPercent(percent)
		}
	})
}

func garbagePercent(most int, live uint64) int {
	return min(percentMax, max(percentMin, int(100*uint64(most)/max(live, 1))))
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
