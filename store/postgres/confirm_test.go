package postgres

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

// TestConfirmationsAreShared: however many ask, one commit is under way and one is
// to come, and nobody is answered by one that began before they asked.
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
			t.Errorf("%d commits for one and 50 who came behind it", commits)
		}
		// Nobody waits any more: neither does the commit.
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
			t.Errorf("%d commits, and one goes on for nobody", commits)
		}
	})
}
