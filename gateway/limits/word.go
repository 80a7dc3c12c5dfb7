package limits

import (
	"math"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// A word is the count of one entry. 0: all of the rule's requests are allowed. A rate's word is the time, as in
// instant, at which that will be so. A quota's word consists of:
//
//	bit 63       1
//	bits 61, 62  the calendar, as in calendars
//	bit 60       the file does not have it yet
//	bits 32–59   the first day of the period, in days since 1970
//	bits 0–31    the number of requests
type word uint64

const (
	quotaBit word = 1 << 63
	dirtyBit word = 1 << 60
	dayBits       = 28
	dayMask       = 1<<dayBits - 1
)

func quotaWord(period int, first, used uint64) word {
	return quotaBit | word(period)<<61 | word(first&dayMask)<<32 | word(used)
}

func (w word) isQuota() bool { return w&quotaBit != 0 }
func (w word) period() int   { return int(w >> 61 & 3) }
func (w word) first() uint64 { return uint64(w>>32) & dayMask }
func (w word) used() uint64  { return uint64(w & math.MaxUint32) }

// isWorthless reports whether an entry says no more than a missing one would.
func (w word) isWorthless(at *instant) bool {
	if w.isQuota() {
		return w.first() < at.calendar.periods[w.period()].first
	}
	return uint64(w) <= at.nanos
}

// worth orders entries that are not worthless: the one that is worth least comes first.
func (w word) worth() word { return w &^ dirtyBit }

// An instant is the time of one decision.
type instant struct {
	nanos    uint64 // of the monotonic clock, if there is one
	wall     time.Time
	calendar *calendar
}

// beginning is the instant at which a Local begins. A wall clock can be set back by 73 years.
const beginning = 1 << 61

func (l *Local) instant(now time.Time) instant {
	elapsed := max(now.Sub(l.began), -beginning)
	return instant{beginning + uint64(elapsed), now, l.calendar(now)}
}

// next returns the word after n requests, and the state. If the rule refuses them, the state's Retry is set.
func (l *Local) next(have word, limit *jwks.Limit, n uint64, at *instant) (word, State) {
	if limit.Calendar != "" {
		return l.nextQuota(have, limit, n, at)
	}
	return l.rate(limit).next(have, n, at.nanos)
}

// A rate allows burst requests at once, and one more after each interval in nanoseconds. interval × burst is
// less than 2^63, also for a burst of 2^32 or a time of 2^32 seconds.
type rate struct{ interval, burst uint64 }

const maxInterval = 1 << 61 // 73 years

// rate rounds in favour of the API: no more than the rule's requests pass.
func (l *Local) rate(limit *jwks.Limit) rate {
	period, requests := uint64(limit.Seconds)*uint64(time.Second), uint64(limit.Requests)
	if l.o.Share == 1 {
		return rate{(period + requests - 1) / requests, requests}
	}
	share := float64(requests) * l.o.Share
	return rate{uint64(min(maxInterval, math.Ceil(float64(period)/share))), uint64(max(1, share))}
}

func (r rate) next(have word, n, now uint64) (word, State) {
	depth := r.interval * r.burst
	// Only if the clock was set back is the word later than the rule allows.
	debt := min(max(uint64(have), now)-now, depth)
	var s State
	switch {
	case n > r.burst:
		s.Retry = Never
	case debt+n*r.interval > depth:
		s.Retry = time.Duration(debt + n*r.interval - depth)
	default:
		debt += n * r.interval
	}
	s.Remaining, s.Reset = uint32((depth-debt)/r.interval), time.Duration(debt)
	return word(now + debt), s
}

// nextQuota is next for a quota.
func (l *Local) nextQuota(have word, limit *jwks.Limit, n uint64, at *instant) (word, State) {
	most := l.most(limit)
	kind := kindOf(limit.Calendar)
	p := at.calendar.periods[kind]
	used := uint64(0)
	if have.isQuota() && have.first() >= p.first {
		used = have.used()
		if at.calendar.isEarly(have.first()) {
			p = periodOf(kind, have.first())
		}
	}
	left := most - min(used, most)
	s := State{Reset: time.Unix(int64(p.end)*secondsPerDay, 0).Sub(at.wall)}
	switch {
	case n > most:
		s.Retry = Never
	case n > left:
		s.Retry = s.Reset
	default:
		used += n
		left -= n
	}
	s.Remaining = uint32(left)
	return quotaWord(kind, p.first, used), s
}

// most returns how many requests of a quota this Local allows.
func (l *Local) most(limit *jwks.Limit) uint64 {
	if l.o.Share == 1 {
		return uint64(limit.Requests)
	}
	return uint64(max(1, float64(limit.Requests)*l.o.Share))
}
