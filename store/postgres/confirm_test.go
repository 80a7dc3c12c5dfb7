package postgres

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

// TestConfirmationsAreShared: whatever the number of callers, at most one commit runs and one more waits, and
// no caller gets the result of a commit that began before its call.
func TestConfirmationsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			c       confirmations
			asking  sync.WaitGroup
			commits int
			result  = make(chan error)
			failure = errors.New("no standby")
		)
		commit := func(ctx context.Context) error {
			commits++
			select {
			case err := <-result:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		ask := func(want error) {
			asking.Go(func() {
				if err := c.wait(t.Context(), commit); !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			})
		}
		ask(failure)
		synctest.Wait()
		for range 50 {
			ask(nil)
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.wait(ctx, commit); !errors.Is(err, context.Canceled) {
			t.Errorf("one that leaves: %v", err)
		}
		result <- failure
		result <- nil
		asking.Wait()
		synctest.Wait()
		if commits != 2 || c.running {
			t.Errorf("%d commits for one call and 50 that came after it", commits)
		}
		// When no caller waits any more, the commit is cancelled.
		ctx, cancel = context.WithCancel(t.Context())
		for range 3 {
			asking.Go(func() {
				if err := c.wait(ctx, commit); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
			})
			synctest.Wait()
		}
		cancel()
		asking.Wait()
		synctest.Wait()
		if commits > 4 || c.running || c.next != nil { // the last may begin before its askers have left
			t.Errorf("%d commits, and one continues although no caller waits for it", commits)
		}
	})
}
