// Package loop runs a function again and again in the background.
package loop

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/burnkey/burnkey/internal/logs"
)

// Loop says when to run a function, and how to log that it fails.
type Loop struct {
	// Every is the wait between two runs, from the end of one to the start of the next.
	Every time.Duration
	// Jitter varies Every at random: 0.2 makes it longer or shorter by up to a fifth.
	Jitter float64
	// Next, unless nil, returns the wait after a run without an error.
	Next func() time.Duration
	// Backoff computes the waits after failures. It starts again after a run that took longer than
	// Backoff.Max. If zero, these waits are Every.
	Backoff Backoff
	// WaitFirst makes the loop wait before its first run.
	WaitFirst bool
	// A value from Wake ends the current wait. A sender must not block, since a run receives nothing.
	Wake <-chan struct{}

	// Failure is the message that is logged when a run fails: see logs.Failures.
	Failure string
	Level   slog.Level
	Log     *slog.Logger // nil: none
}

// Run calls f until the context ends. It ignores an error that f returns after the end.
func (l Loop) Run(ctx context.Context, f func(context.Context) error) {
	if l.Log == nil {
		l.Log = slog.New(slog.DiscardHandler)
	}
	failures := logs.Failures{Level: l.Level}
	var wait time.Duration
	if l.WaitFirst {
		wait = Jitter(l.Every, l.Jitter)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
		case <-l.Wake:
		case <-timer.C:
		}
		if ctx.Err() != nil {
			return
		}
		began := time.Now()
		err := f(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > l.Backoff.Max {
			l.Backoff.Reset()
		}
		failures.Note(l.Log, "", l.Failure, err)
		timer.Reset(l.wait(err))
	}
}

// wait returns the wait after a run.
func (l *Loop) wait(err error) time.Duration {
	if err != nil && l.Backoff.First > 0 {
		return l.Backoff.Next()
	}
	l.Backoff.Reset()
	if err == nil && l.Next != nil {
		return l.Next()
	}
	return Jitter(l.Every, l.Jitter)
}

// Backoff computes waits that grow with each failure in a row. Their limit starts at First and doubles up
// to Max. Each wait is random, between half the limit and the limit.
type Backoff struct {
	First, Max time.Duration

	limit time.Duration
}

// Next returns the wait after one more failure.
func (b *Backoff) Next() time.Duration {
	b.limit = max(b.First, min(2*b.limit, b.Max))
	return b.limit/2 + rand.N(b.limit/2+1)
}

// Reset makes the next wait start at First again.
func (b *Backoff) Reset() { b.limit = 0 }

// Sleep waits for d. If the context ends first, it returns the context's cause.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// Jitter returns d, made longer or shorter at random by up to the given share.
func Jitter(d time.Duration, share float64) time.Duration {
	return d + time.Duration((2*rand.Float64()-1)*share*float64(d))
}
