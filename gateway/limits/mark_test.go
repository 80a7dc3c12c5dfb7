package limits

import (
	"context"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/burnkey/burnkey/jwks"
)

// TestMarksDoNotGrow passes a Local the marks of another Counter and reads them back: whatever the share and the rule,
// they are no higher, nor much lower, and passing them again changes nothing.
func TestMarksDoNotGrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLocal(t, func(o *LocalOptions) { o.Share = rapid.SampledFrom([]float64{1, 0.5, 0.3, 0.01}).Draw(t, "share") })
		requests, seconds := rapid.Uint32Range(1, 1<<32-1).Draw(t, "requests"), rapid.Uint32Range(1, 1<<32-1).Draw(t, "seconds")
		rules := []Rule{perSeconds(requests, seconds), per(jwks.Month, requests)}
		first, _ := Period(jwks.Month, began)
		given := []Mark{
			{Full: time.Duration(rapid.Int64Range(0, int64(seconds)*int64(time.Second)).Draw(t, "full"))},
			{Used: rapid.Uint32Range(0, requests).Draw(t, "used"), First: first},
		}
		got, again := make([]Mark, 2), make([]Mark, 2)
		l.Raise(began, rules, given)
		l.Marks(began, rules, got)
		if got[0] != given[0] {
			t.Errorf("%v became %v", given[0], got[0])
		}
		slack := 1 + uint64(requests)/uint64(l.most(&rules[1].Limit))
		if used := given[1].Used; got[1].Used > used || uint64(got[1].Used)+slack < uint64(used) {
			t.Errorf("%d of %d became %d, want at most %d less", given[1].Used, requests, got[1].Used, slack)
		}
		l.Raise(began, rules, got)
		if l.Marks(began, rules, again); again[0] != got[0] || again[1] != got[1] {
			t.Errorf("%v became %v the second time", got, again)
		}
	})
}

func TestRaiseLowersNothing(t *testing.T) {
	l := newLocal(t, nil)
	rules := []Rule{perSeconds(10, 100), per(jwks.Day, 10)}
	states := make([]State, 2)
	if ok, _ := l.Take(context.Background(), began, 4, rules, states); !ok {
		t.Fatal("4 requests do not pass")
	}
	first, _ := Period(jwks.Day, began)
	for _, lower := range [][]Mark{{{}, {}}, {{Full: time.Second}, {Used: 3, First: first}}, {{}, {Used: 9, First: first - 1}}} {
		l.Raise(began, rules, lower)
		if _, err := l.Take(context.Background(), began, 0, rules, states); err != nil || states[0].Remaining != 6 || states[1].Remaining != 6 {
			t.Errorf("after %v, %d and %d remain: %v", lower, states[0].Remaining, states[1].Remaining, err)
		}
	}
	l.Raise(began, rules, []Mark{{Full: 70 * time.Second}, {Used: 8, First: first}})
	if a, b := passes(t, l, 0, 10, rules[0]), passes(t, l, 0, 10, rules[1]); a != 3 || b != 2 {
		t.Errorf("%d and %d requests pass, want 3 and 2", a, b)
	}
}

// TestMarkOfAnotherClock checks that a Full of more than the rule's time does not lock anyone out for longer than that.
func TestMarkOfAnotherClock(t *testing.T) {
	l := newLocal(t, nil)
	rules, marks := []Rule{perSeconds(10, 100)}, []Mark{{Full: time.Hour}}
	l.Raise(began, rules, marks)
	if l.Marks(began, rules, marks); marks[0].Full != 100*time.Second {
		t.Errorf("Full is %v, want 100 s", marks[0].Full)
	}
	l.Raise(began.Add(-time.Hour), rules, []Mark{{Full: time.Second}})
	if ok, s := take(t, l, -time.Hour, 1, rules[0]); !ok {
		t.Errorf("after the clock was set back, a request has to wait %v", s.Retry)
	}
}
