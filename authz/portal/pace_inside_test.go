package portal

import (
	"testing"
	"time"
)

// An owner's burst is answered at once, further requests at the pace. Refused requests do not
// count, and other owners are not delayed.
func TestPace(t *testing.T) {
	var p paces
	now := time.Unix(1_000_000, 0)
	waits := func(name string) (n int, last time.Duration) {
		for {
			wait, tooLong := p.take(name, now)
			if tooLong {
				return n, last
			}
			n, last = n+1, wait
		}
	}
	most := paceBurst + int(paceMost/paceEvery)
	if n, last := waits("one"); n != most || last != paceMost {
		t.Errorf("%d were let wait, the last for %s; want %d and %s", n, last, most, paceMost)
	}
	if wait, _ := p.take("two", now); wait != 0 {
		t.Errorf("another waits for %s", wait)
	}
	now = now.Add(time.Second)
	if n, _ := waits("one"); n != int(time.Second/paceEvery) {
		t.Errorf("a second later, %d more", n)
	}
	for i := range paced {
		p.take(string(rune(i+1000)), now)
	}
	now = now.Add(time.Hour)
	p.take("three", now)
	if len(p.next) > 1 {
		t.Errorf("%d are kept", len(p.next))
	}
}
