package authz

import (
	"context"
	"time"
)

const (
	// atEase is how many calls one caller may have in progress without being held when some
	// of them are turned away.
	atEase = 16
	// held is for how long a call is held that was turned away: no longer than its answer asks
	// the caller to wait.
	held = time.Second
)

// HoldTurnedAway waits before a caller is told that a call was turned away, if they have many
// in progress: a refusal has its cost, too, and whoever repeats calls on many connections
// without waiting would take the processors from everybody else. It ends with the context.
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
