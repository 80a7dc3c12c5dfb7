// Package pace limits the rate of actions, separately for each of many names.
package pace

import (
	"sync"
	"time"
)

// Rate is the number of units that a name can take at once, and the time after which it can take one more.
type Rate struct {
	Burst  int
	Refill time.Duration
}

// prune is the number of names above which the Limiter drops names with a full burst, at most once a second.
const prune = 4096

// Limiter counts the units that each name has taken (GCRA). The zero value is ready for use. It is safe for
// concurrent use.
type Limiter struct {
	mu     sync.Mutex
	full   map[string]time.Time // when each name has its full burst again
	pruned time.Time
}

// Take takes units from a name's burst and returns how long to wait for them. If the wait is longer than
// patience, Take takes nothing and returns false. A request for more than the burst takes the whole burst.
func (l *Limiter) Take(name string, r Rate, units int, patience time.Duration, now time.Time) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.prune(now)
	full := l.full[name]
	if full.Before(now) {
		full = now
	}
	full = full.Add(time.Duration(min(units, r.Burst)) * r.Refill)
	if wait = max(0, full.Sub(now)-time.Duration(r.Burst)*r.Refill); wait > patience {
		return wait, false
	}
	l.full[name] = full
	return wait, true
}

func (l *Limiter) prune(now time.Time) {
	if l.full == nil {
		l.full = make(map[string]time.Time)
	}
	if len(l.full) < prune || now.Sub(l.pruned).Abs() < time.Second {
		return
	}
	l.pruned = now
	for name, full := range l.full {
		if !full.After(now) {
			delete(l.full, name)
		}
	}
}
