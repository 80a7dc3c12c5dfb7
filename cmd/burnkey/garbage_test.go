package main

import (
	"runtime"
	"testing"
)

func TestGarbagePercent(t *testing.T) {
	for live, want := range map[uint64]int{
		0: percentMax, maxGarbage / 2: 200, maxGarbage: 100, 2 * maxGarbage: 50, 10 * maxGarbage: 10, 1 << 50: percentMin,
	} {
		if got := garbagePercent(live); got != want {
			t.Errorf("%d bytes live: %d %%, want %d", live, got, want)
		}
	}
}

func TestAfterEachGC(t *testing.T) {
	called := make(chan struct{}, 100)
	afterEachGC(func() { called <- struct{}{} })
	for range 3 {
		runtime.GC()
		<-called
	}
	if heapLive() == 0 {
		t.Error("nothing lives")
	}
}
