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
	// Jitter varies Every: 0.2 makes it longer or shorter by up to a fifth.
	Jitter float64
	// Next returns the wait after a run that worked, instead of Every.
	Next func() time.Duration
	// Retry is the longest wait after a first failure. It doubles up to MaxRetry with each further
	// one, and the wait is random below it. 0: Every.
	Retry, MaxRetry time.Duration
	// WaitFirst puts a wait before the first run.
	WaitFirst bool
	// Wake ends a wait early. Its sender must not block.
	Wake <-chan struct{}

	// Failure is the message that is logged when a run fails: see logs.Failures.
	Failure string
	Level   slog.Level
	Log     *slog.Logger // nil: none
}

// Run calls f until the context ends. An error that comes with the end of the context is no failure.
func (l Loop) Run(ctx context.Context, f func(context.Context) error) {
	if l.Log == nil {
		l.Log = slog.New(slog.DiscardHandler)
	}
	failures := logs.Failures{Level: l.Level}
	var wait, retry time.Duration
	if l.WaitFirst {
		wait = l.every()
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
		err := f(ctx)
		if ctx.Err() != nil {
			return
		}
		failures.Note(l.Log, "", l.Failure, err)
		wait, retry = l.wait(retry, err)
		timer.Reset(wait)
	}
}

// wait returns the wait after a run, and the longest after the last of the failures in a row.
func (l Loop) wait(retry time.Duration, err error) (wait, longest time.Duration) {
	switch {
	case err == nil && l.Next != nil:
		return l.Next(), 0
	case err == nil || l.Retry <= 0:
		return l.every(), 0
	case retry == 0:
		retry = l.Retry
	default:
		retry = min(2*retry, max(l.Retry, l.MaxRetry))
	}
	return rand.N(retry) + 1, retry
}

func (l Loop) every() time.Duration { return Jitter(l.Every, l.Jitter) }

// Jitter makes a duration longer or shorter by up to a share of it.
func Jitter(d time.Duration, share float64) time.Duration {
	return d + time.Duration((2*rand.Float64()-1)*share*float64(d))
}
