package redis

import (
	"sync/atomic"
	"time"
)

// maxClockAge is the age after which any later reading of Redis' clock replaces a reading, so that a clock that was set
// back is soon followed.
const maxClockAge = time.Second

// A clock converts times of the gateway to times of Redis, by the answer that came back fastest. The result is never too
// late, and neither is a rate that the gateway hands back: the errors of repeated conversions cannot add up.
type clock struct {
	began time.Time // of the gateway; only the time since then counts, which setting a clock does not change
	last  atomic.Pointer[reading]
}

// A reading says how many µs Redis' clock is ahead of the time since began, or a little less.
type reading struct {
	ahead int64
	at    time.Time
}

// saw notes an answer: Redis' time in µs when it answered, and the gateway's time when the answer came.
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
