package portal

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/burnkey/burnkey/authz"
)

// An owner's requests are answered at a pace, so that one customer with many connections does
// not take the processors from everybody else: what is refused has its cost, too.
const (
	paceBurst = 100
	paceEvery = time.Second / 20
	// paceMost is how long a request waits for its turn, and how long one is held that had to
	// wait longer: whoever asks again and again asks no more often than that.
	paceMost = 5 * time.Second
	// paced is how many owners are kept before those who would not wait are dropped.
	paced = 4096
)

// paces are those of owners here, as GCRA counts. It is safe for concurrent use.
type paces struct {
	mu   sync.Mutex
	next map[string]time.Time // when each has all of its burst again
	told time.Time            // when it was last logged that somebody is held
}

// tell reports whether it is to be logged that somebody is held.
func (p *paces) tell(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.told) < time.Minute {
		return false
	}
	p.told = now
	return true
}

// take returns how long a request is to wait, and whether that is too long.
func (p *paces) take(name string, now time.Time) (wait time.Duration, tooLong bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == nil {
		p.next = make(map[string]time.Time)
	}
	if len(p.next) >= paced {
		for name, next := range p.next {
			if !next.After(now) {
				delete(p.next, name)
			}
		}
	}
	next := p.next[name]
	if next.Before(now) {
		next = now
	}
	next = next.Add(paceEvery)
	if wait = next.Sub(now) - paceBurst*paceEvery; wait > paceMost {
		return paceMost, true
	}
	p.next[name] = next
	return max(wait, 0), false
}

// keepPace waits until it is the request's turn among its owner's. Revocations have turns of
// their own. Errors: *authz.BudgetError, the context's cause.
func (v *visit) keepPace() error {
	name := v.workspace.ID + " " + v.session.Owner
	if strings.HasSuffix(v.r.Pattern, "/revoke") {
		name = "revoke " + name
	}
	now := time.Now()
	wait, tooLong := v.paces.take(name, now)
	if tooLong && v.paces.tell(now) {
		v.log.LogAttrs(v.r.Context(), slog.LevelWarn, "a customer's requests are turned away: too many come",
			slog.String("request_id", v.requestID()), slog.String("workspace", v.workspace.ID))
	}
	if err := sleep(v.r.Context(), wait); err != nil {
		return err
	}
	if tooLong {
		return &authz.BudgetError{After: paceMost}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
