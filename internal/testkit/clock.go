package testkit

import (
	"sync"
	"time"
)

// Clock is a clock that a test can move. The zero value shows the real time until it is moved. It is safe
// for concurrent use.
type Clock struct {
	mu      sync.Mutex
	stopped time.Time // zero: not stopped
	ahead   time.Duration
}

// NewClock returns a stopped clock.
func NewClock(now time.Time) *Clock { return &Clock{stopped: now} }

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped.IsZero() {
		return time.Now().Add(c.ahead)
	}
	return c.stopped.Add(c.ahead)
}

// Advance moves the clock forward, or backward if d is negative.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}
