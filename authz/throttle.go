package authz

import (
	"context"
	"time"
)

const (
	// atEase is how many calls a caller may have in progress without being held when some of
	// them are turned away.
	atEase = 16
	// held is how long a call is held that was turned away: no longer than its answer asks the
	// caller to wait.
	held = time.Second
)

// HoldTurnedAway delays the answer to a call that was turned away, if the caller has many calls
// in progress: refusals have a cost, too, and a caller that repeats calls on many connections
// without waiting would use up the processors. It ends with the context.
func (s *Service) HoldTurnedAway(ctx context.Context) {
	if s.standings.count(ctx) <= atEase {
		return
	}
	timer := time.NewTimer(held)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
