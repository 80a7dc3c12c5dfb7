package redis

import (
	"sync/atomic"
	"time"
)

// maxClockAge is the age from which on a reading of Redis' clock is replaced by any later one. So a clock that was set
// back is soon believed.
const maxClockAge = time.Second

// A clock converts times of the gateway to times of Redis that are not too late, by the answer with the shortest way
// back. A rate that the gateway hands back therefore is never later than Redis said: repeated conversions cannot add up.
type clock struct {
	began time.Time // of the gateway; only the time since then counts, which nobody sets
	last  atomic.Pointer[reading]
}

// A reading says how many µs Redis' clock is ahead of the time since began, or a little less.
type reading struct {
	ahead int64
	at    time.Time
}

// saw notes an answer that Redis gave at a time in µs and that was received at a time of the gateway.
func (c *clock) saw(redis int64, received time.Time) {
	r := reading{redis - received.Sub(c.began).Microseconds() - 1, received}
	last := c.last.Load()
	if last == nil || r.ahead > last.ahead || received.Sub(last.at) > maxClockAge {
		c.last.CompareAndSwap(last, &r) // another reading is as good
	}
}

// redis returns a lower bound of Redis' time in µs at a time of the gateway, or 0 before the first answer.
func (c *clock) redis(now time.Time) int64 {
	last := c.last.Load()
	if last == nil {
		return 0
	}
	return last.ahead + now.Sub(c.began).Microseconds()
}
