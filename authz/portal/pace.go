package portal

import (
	"strings"
	"sync"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/logs"
	"github.com/burnkey/burnkey/internal/loop"
)

// An owner's requests are answered at a limited pace, so that one customer with many
// connections does not use up the processors: refusals have a cost, too.
const (
	paceBurst = 100
	paceEvery = time.Second / 20
	// paceMost is the longest wait for a turn. A request that would have to wait longer is
	// refused after this time, which slows down clients that retry at once.
	paceMost = 5 * time.Second
	// paced is the number of owners above which those with a full burst are dropped.
	paced = 4096
)

// paces holds the pace of each owner on this server (GCRA). It is safe for concurrent use.
type paces struct {
	mu     sync.Mutex
	next   map[string]time.Time // when each owner has their full burst again
	warned logs.Throttle
}

// take returns how long a request has to wait, and whether that is too long.
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

// keepPace waits for the request's turn among those of its owner. Revocations have a pace of
// their own. Errors: *authz.BudgetError, the context's cause.
func (v *visit) keepPace() error {
	name := v.workspace.ID + " " + v.session.Owner
	if strings.HasSuffix(v.r.Pattern, "/revoke") {
		name = "revoke " + name
	}
	wait, tooLong := v.paces.take(name, time.Now())
	if tooLong {
		v.paces.warned.For(v.log, "").WarnContext(v.r.Context(), "a customer's requests are refused: they come too fast",
			"request_id", v.requestID(), "workspace", v.workspace.ID)
	}
	if err := loop.Sleep(v.r.Context(), wait); err != nil {
		return err
	}
	if tooLong {
		return &authz.BudgetError{After: paceMost}
	}
	return nil
}
