package loop

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var errDown = errors.New("down")

// runs runs a loop for the duration within, and returns the time at which each run began.
func runs(t *testing.T, l Loop, within time.Duration, f func(run int) error) (at []time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	began := time.Now()
	l.Run(ctx, func(context.Context) error {
		at = append(at, time.Since(began))
		return f(len(at))
	})
	return at
}

func works(int) error { return nil }
func fails(int) error { return errDown }

func TestLoopRunsAtOnceAndAtItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := runs(t, Loop{Every: time.Second}, 2500*time.Millisecond, works)
		if want := []time.Duration{0, time.Second, 2 * time.Second}; !slices.Equal(got, want) {
			t.Errorf("runs at %v, want %v", got, want)
		}
		got = runs(t, Loop{Every: time.Second, WaitFirst: true}, 2500*time.Millisecond, fails)
		if want := []time.Duration{time.Second, 2 * time.Second}; !slices.Equal(got, want) {
			t.Errorf("runs at %v, want %v", got, want)
		}
	})
}

func TestLoopVariesItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := runs(t, Loop{Every: time.Second, Jitter: 0.2}, time.Minute, works)
		waits := make(map[time.Duration]bool)
		for i := range len(at) - 1 {
			wait := at[i+1] - at[i]
			if wait < 800*time.Millisecond || wait > 1200*time.Millisecond {
				t.Errorf("a wait of %v, want 1s give or take a fifth", wait)
			}
			waits[wait] = true
		}
		if len(waits) < 2 {
			t.Errorf("all of %d waits are the same", len(at))
		}
	})
}

func TestLoopAsksForTheNextRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := runs(t, Loop{Every: time.Second, Next: func() time.Duration { return time.Millisecond }}, 2500*time.Microsecond, works)
		if want := []time.Duration{0, time.Millisecond, 2 * time.Millisecond}; !slices.Equal(got, want) {
			t.Errorf("runs at %v, want %v", got, want)
		}
	})
}

func TestLoopBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		longest := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second}
		sum := make([]time.Duration, len(longest))
		for range 100 {
			at := runs(t, Loop{Every: time.Hour, Backoff: Backoff{First: time.Second, Max: 5 * time.Second}}, time.Minute, fails)
			for i, most := range longest {
				wait := at[i+1] - at[i]
				if sum[i] += wait; wait < most/2 || wait > most {
					t.Errorf("wait %d is %v, want at most %v and at least half of it", i, wait, most)
				}
			}
		}
		for i, most := range longest {
			if mean := sum[i] / 100; mean < most*5/8 || mean > most*7/8 {
				t.Errorf("the mean of wait %d is %v, want about three quarters of %v", i, mean, most)
			}
		}
	})
}

func TestLoopBacksOffAnewAfterItWorked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := runs(t, Loop{Every: time.Hour, Backoff: Backoff{First: time.Second, Max: 24 * time.Hour}}, 5*time.Hour, func(run int) error {
			if run == 10 {
				return nil
			}
			return errDown
		})
		if wait := at[11] - at[10]; wait > time.Second {
			t.Errorf("the wait after a first failure is %v, want at most 1s", wait)
		}
	})
}

func TestLoopBacksOffAnewAfterALongRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := runs(t, Loop{Backoff: Backoff{First: time.Second, Max: time.Minute}}, 5*time.Hour, func(run int) error {
			if run == 20 {
				<-time.After(time.Hour) // of the bubble's clock
			}
			return errDown
		})
		if wait := at[20] - at[19] - time.Hour; wait > time.Second {
			t.Errorf("the wait after a run of an hour is %v, want at most 1s", wait)
		}
	})
}

func TestLoopIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wake := make(chan struct{}, 1)
		time.AfterFunc(time.Second, func() { wake <- struct{}{} })
		got := runs(t, Loop{Every: time.Hour, Wake: wake}, time.Minute, works)
		if want := []time.Duration{0, time.Second}; !slices.Equal(got, want) {
			t.Errorf("runs at %v, want %v", got, want)
		}
	})
}

func TestLoopDoesNotRunAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // a select would take the other case sooner or later
		wake := make(chan struct{}, 1)
		wake <- struct{}{}
		Loop{Wake: wake}.Run(ctx, func(context.Context) error {
			t.Fatal("ran after the context ended")
			return nil
		})
	}
}

func TestLoopLogsFailuresAtTheirEdges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := Loop{
			Every: time.Second, Failure: "cannot read", Level: slog.LevelWarn, Log: slog.New(slog.NewTextHandler(&out, nil)),
		}
		runs(t, l, 100*time.Second, func(run int) error {
			if run > 1 && run < 91 {
				return errDown
			}
			return nil
		})
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		wants := []string{
			`level=WARN msg="cannot read" error=down`, `level=WARN msg="cannot read" suppressed=59 error=down`,
			`level=INFO msg="recovered: cannot read"`,
		}
		if !slices.EqualFunc(lines, wants, strings.HasSuffix) {
			t.Errorf("logged %q, want %q", lines, wants)
		}
	})
}

func TestLoopTakesTheEndForNoFailure(t *testing.T) {
	var out bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	l := Loop{Failure: "cannot read", Log: slog.New(slog.NewTextHandler(&out, nil))}
	l.Run(ctx, func(ctx context.Context) error {
		cancel()
		return ctx.Err()
	})
	if out.Len() > 0 {
		t.Errorf("logged %q", out.String())
	}
}
