package main

import (
	"runtime"
	"testing"
)

func TestGarbagePercent(t *testing.T) {
	const most = 64 << 20
	for live, want := range map[uint64]int{0: percentMax, most / 2: 200, most: 100, 2 * most: 50, 10 * most: 10, 1 << 50: percentMin} {
		if got := garbagePercent(most, live); got != want {
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
