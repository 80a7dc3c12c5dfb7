package turns_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/burnkey/burnkey/authz/turns"
)

// order makes the askers wait for the only turn, in the given order. It returns the order in which they got the
// turn, and how many requests were turned away for each reason.
func order(t *testing.T, l turns.Limits, who ...string) (got []string, away map[string]int) {
	t.Helper()
	away = map[string]int{}
	synctest.Test(t, func(t *testing.T) {
		q := turns.New(l)
		if err := q.Acquire(t.Context(), turns.Asker{Workspace: "first"}); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for _, one := range who {
			all.Go(func() {
				workspace, owner, _ := strings.Cut(one, "/")
				err := q.Acquire(t.Context(), turns.Asker{Workspace: workspace, Owner: owner, Caller: owner})
				if full := (*turns.FullError)(nil); errors.As(err, &full) {
					away[full.Reason]++
					return
				} else if err != nil {
					t.Error(err)
				}
				got = append(got, one)
				q.Release()
			})
			synctest.Wait()
		}
		q.Release()
		all.Wait()
		if q.Waiting() != 0 {
			t.Errorf("%d still wait", q.Waiting())
		}
	})
	return got, away
}

func TestWorkspacesTakeTurnsAndTheirOwnersDo(t *testing.T) {
	limits := turns.Limits{AtOnce: 1, Waiting: 100, PerOwner: 10, PerCaller: 20}
	got, _ := order(t, limits, "a/1", "a/1", "a/1", "a/2", "b/1", "b/1", "c/1")
	if want := []string{"a/1", "b/1", "c/1", "a/2", "b/1", "a/1", "a/1"}; !slices.Equal(got, want) {
		t.Errorf("the order is %v", got)
	}
}

func TestNobodyTakesAllPlaces(t *testing.T) {
	limits := turns.Limits{AtOnce: 1, Waiting: 6, PerOwner: 3, PerCaller: 4}
	got, away := order(t, limits, "a/1", "a/1", "a/1", "a/1", "b/1", "b/1", "a/2", "c/3", "d/4")
	count := func(who string) (n int) {
		for _, one := range got {
			if one == who {
				n++
			}
		}
		return n
	}
	if away["owner"] != 1 || away["caller"] != 1 || away["queue"] != 1 || count("c/3") != 1 || count("d/4") != 1 || count("b/1") != 1 {
		t.Errorf("%v got turns, %v were turned away", got, away)
	}
}

// A wait ends with its context, returns the context's cause, and frees its place.
func TestAWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := turns.New(turns.Limits{AtOnce: 1, Waiting: 1, PerOwner: 1, PerCaller: 1})
		_ = q.Acquire(t.Context(), turns.Asker{})
		revoked := errors.New("revoked")
		ctx, end := context.WithCancelCause(t.Context())
		go func() { synctest.Wait(); end(revoked) }()
		if err := q.Acquire(ctx, turns.Asker{}); !errors.Is(err, revoked) || q.Waiting() != 0 {
			t.Errorf("%v, %d wait", err, q.Waiting())
		}
		if err := q.Acquire(ctx, turns.Asker{}); !errors.Is(err, revoked) {
			t.Errorf("after its end: %v", err)
		}
	})
}
