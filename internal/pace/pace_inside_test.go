package pace

import (
	"testing"
	"time"
)

// A name can take its burst at once and further units at the rate. Refused units do not count, other names
// are not delayed, and names with a full burst are forgotten.
func TestLimiter(t *testing.T) {
	const patience = 5 * time.Second
	rate := Rate{Burst: 100, Refill: time.Second / 20}
	var l Limiter
	now := time.Unix(1_000_000, 0)
	waits := func(name string) (n int, last time.Duration) {
		for {
			wait, ok := l.Take(name, rate, 1, patience, now)
			if !ok {
				return n, last
			}
			n, last = n+1, wait
		}
	}
	most := rate.Burst + int(patience/rate.Refill)
	if n, last := waits("one"); n != most || last != patience {
		t.Errorf("%d took a unit, the last after %s; want %d and %s", n, last, most, patience)
	}
	if wait, _ := l.Take("two", rate, 1, patience, now); wait != 0 {
		t.Errorf("another name waits for %s", wait)
	}
	now = now.Add(time.Second)
	if n, _ := waits("one"); n != int(time.Second/rate.Refill) {
		t.Errorf("a second later, %d more took a unit", n)
	}
	for i := range prune {
		l.Take(string(rune(i+1000)), rate, 1, patience, now)
	}
	now = now.Add(time.Hour)
	l.Take("three", rate, 1, patience, now)
	if len(l.full) > 1 {
		t.Errorf("%d names are remembered", len(l.full))
	}
}

// Without patience, a name can't take more than its burst, and a request larger than the burst needs a full
// burst.
func TestLimiterWithoutPatience(t *testing.T) {
	rate := Rate{Burst: 3, Refill: time.Second}
	var l Limiter
	now := time.Unix(1_000_000, 0)
	if wait, ok := l.Take("one", rate, 100, 0, now); !ok || wait != 0 {
		t.Errorf("more than the burst: wait %s, %v", wait, ok)
	}
	if wait, ok := l.Take("one", rate, 2, 0, now.Add(time.Second)); ok || wait != time.Second {
		t.Errorf("2 units where there is 1: wait %s, %v", wait, ok)
	}
	if _, ok := l.Take("one", rate, 2, 0, now.Add(2*time.Second)); !ok {
		t.Error("2 units were refused after 2 seconds")
	}
}
