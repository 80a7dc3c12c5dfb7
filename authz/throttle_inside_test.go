package authz

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// If a caller has many calls in progress, the answers to its refused calls are delayed. The answers to others,
// and to the same caller after these calls, are not.
func TestWhoAsksByManyConnectionsIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Service{}
		waited := func(c *call) time.Duration {
			ctx, done := s.running.begin(t.Context(), c)
			defer done()
			begun := time.Now()
			s.HoldTurnedAway(ctx)
			return time.Since(begun)
		}
		many, one := jwks.KID{1}, jwks.KID{2}
		var ends []func()
		for range atEase {
			_, done := s.running.begin(t.Context(), &call{kid: many})
			ends = append(ends, done)
		}
		if d := waited(&call{kid: many}); d != held {
			t.Errorf("who has many calls in progress is held for %v", d)
		}
		for name, c := range map[string]*call{"another key": {kid: one}, "a session": {session: &store.Session{}}} {
			if d := waited(c); d != 0 {
				t.Errorf("%s is held for %v", name, d)
			}
		}
		ends[0]()
		if d := waited(&call{kid: many}); d != 0 {
			t.Errorf("who has few calls in progress is held for %v", d)
		}
		for _, end := range ends[1:] {
			end()
		}
	})
}
