package limits

import (
	"math"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// A Mark is the count of a rule, in the form in which a Local and another Counter exchange it. It refers to the whole
// rule, even if the Local allows only a share of it.
type Mark struct {
	Full  time.Duration // of a rate: the time until it allows all of its requests again
	Used  uint32        // of a quota
	First int64         // of a quota: the first day of its period, in days since 1970
}

// Period returns the first day of a calendar's period, in days since 1970, and the period's end.
func Period(calendar string, at time.Time) (first int64, end time.Time) {
	p := periodOf(kindOf(calendar), uint64(max(0, at.Unix()))/secondsPerDay)
	return int64(p.first), time.Unix(int64(p.end)*secondsPerDay, 0)
}

// Marks sets marks[i] to the count of rules[i], rounded down. So Raise with a Local's own Marks changes nothing, and a
// count that came from another Counter is not higher when it goes back.
func (l *Local) Marks(now time.Time, rules []Rule, marks []Mark) {
	at := l.instant(now)
	for i := range rules {
		id := l.key.id(&rules[i])
		s := &l.shards[shardOf(id)]
		s.mu.Lock()
		w, _ := s.find(id)
		s.mu.Unlock()
		marks[i] = l.mark(w, &rules[i].Limit, &at)
	}
}

// Raise raises the count of rules[i] to marks[i], if it is lower.
func (l *Local) Raise(now time.Time, rules []Rule, marks []Mark) {
	at := l.instant(now)
	for i := range rules {
		c := claim{id: l.key.id(&rules[i])}
		s := &l.shards[shardOf(c.id)]
		s.mu.Lock()
		c.have, c.at = s.find(c.id)
		c.next = l.raised(c.have, marks[i], &rules[i].Limit, &at)
		if c.next != 0 && c.next.worth() != c.have.worth() {
			l.put(&c, &at)
		}
		s.mu.Unlock()
	}
}

func (l *Local) mark(w word, limit *jwks.Limit, at *instant) Mark {
	if limit.Calendar == "" {
		full := max(uint64(w), at.nanos) - at.nanos
		if full > longest(limit) { // of a clock that was set back since
			full = 0
		}
		return Mark{Full: time.Duration(full)}
	}
	if !w.isQuota() || w.used() == 0 {
		return Mark{}
	}
	used := (w.used()-1)*uint64(limit.Requests)/l.most(limit) + 1
	return Mark{Used: uint32(min(used, math.MaxUint32)), First: int64(w.first())}
}

func (l *Local) raised(have word, m Mark, limit *jwks.Limit, at *instant) word {
	if limit.Calendar == "" {
		full := word(at.nanos + min(uint64(max(0, m.Full)), longest(limit)))
		if uint64(have) > at.nanos+longest(limit) || full > have && m.Full > 0 {
			return full
		}
		return have
	}
	requests := uint64(limit.Requests)
	used := (uint64(m.Used)*l.most(limit) + requests - 1) / requests
	if have.isQuota() && (have.first() > uint64(m.First) || have.first() == uint64(m.First) && have.used() >= used) {
		return have
	}
	return quotaWord(kindOf(limit.Calendar), uint64(m.First), used)
}

// longest returns the time in nanoseconds after which a rate allows all of its requests again.
func longest(limit *jwks.Limit) uint64 { return uint64(limit.Seconds) * uint64(time.Second) }
