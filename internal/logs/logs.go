// Package logs limits how often the same subject is logged.
package logs

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// Every is the shortest interval between two log lines about one subject.
	Every = time.Minute
	// subjects is the number of subjects that are remembered. Lines about further subjects are dropped.
	subjects = 1000
)

// Throttle passes at most one log line per Every about each subject. The zero value is ready, and safe for
// concurrent use.
type Throttle struct {
	Now func() time.Time // nil: time.Now

	mu      sync.Mutex
	last    map[string]line
	swept   time.Time
	dropped int // lines about subjects for which there was no room
}

type line struct {
	at      time.Time
	dropped int
}

// For returns the logger for one line about a subject: log, or a logger that discards the line if the last
// line is less than Every old. The attribute "suppressed" counts the lines discarded in between.
func (t *Throttle) For(log *slog.Logger, subject string) *slog.Logger {
	dropped, ok := t.take(subject)
	switch {
	case !ok:
		return slog.New(slog.DiscardHandler)
	case dropped > 0:
		return log.With("suppressed", dropped)
	}
	return log
}

func (t *Throttle) take(subject string) (dropped int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	last, known := t.last[subject]
	switch {
	case known && now.Sub(last.at) < Every && !now.Before(last.at):
		last.dropped++
		t.last[subject] = last
		return 0, false
	case !known && len(t.last) >= subjects && !t.sweep(now):
		t.dropped++
		return 0, false
	case t.last == nil:
		t.last = make(map[string]line)
	}
	dropped = last.dropped + t.dropped
	t.dropped, t.last[subject] = 0, line{at: now}
	return dropped, true
}

// sweep forgets subjects without recent lines and reports whether there is room for another subject. It
// scans the subjects at most once per Every.
func (t *Throttle) sweep(now time.Time) bool {
	if age := now.Sub(t.swept); age >= 0 && age < Every {
		return false
	}
	t.swept = now
	for subject, last := range t.last {
		if age := now.Sub(last.at); age >= Every || age < 0 {
			t.dropped += last.dropped
			delete(t.last, subject)
		}
	}
	return len(t.last) < subjects
}

// forget lets the next line about a subject pass, and reports whether the subject was remembered.
func (t *Throttle) forget(subject string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, known := t.last[subject]
	delete(t.last, subject)
	return known
}

func (t *Throttle) now() time.Time {
	if t.Now != nil {
		return t.Now()
	}
	return time.Now()
}

// Failures logs when an operation begins to fail, at most once per Every while it fails, and when it works
// again. The zero value is ready. It is safe for concurrent use.
type Failures struct {
	Level    slog.Level // of failures; recoveries have Info or below
	Throttle Throttle
}

// Note records the result of an operation on a subject. The message says what fails.
func (f *Failures) Note(log *slog.Logger, subject, message string, err error) {
	key := message + "\x00" + subject
	switch {
	case err != nil:
		f.Throttle.For(log, key).Log(context.Background(), f.Level, message, "error", err)
	case f.Throttle.forget(key):
		log.Log(context.Background(), min(f.Level, slog.LevelInfo), "recovered: "+message)
	}
}
