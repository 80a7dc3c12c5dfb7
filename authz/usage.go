package authz

import (
	"context"
	"fmt"
	"time"

	"github.com/burnkey/burnkey/store"

	"github.com/burnkey/burnkey/jwks"
)

// Limits of what is said about the use of keys.
const (
	MinUnusedFor = 24 * time.Hour

	minYear, maxYear = 1970, 2200 // of the times in a report
)

// UsageReport is what one who verifies tokens says about when keys were used. It may be
// said of no key at all: then it says that they would have told.
type UsageReport struct {
	Uses []store.Use
	// Reporter tells those apart who report. Each answers for what it has seen: use is
	// known up to when the last of them has told of it.
	Reporter string
	// Sent is when, by the reporter's clock, by which all of its times are put right. Nil:
	// that clock is taken for ours.
	Sent *time.Time
	// Until is the time before which the reporter has told of all it saw. Nil: Sent.
	Until *time.Time
	// Incomplete says that it may have missed uses before.
	Incomplete bool
}

// MaxReporter is the length of a reporter's name, in bytes.
const MaxReporter = 64

// RecordUsage keeps what a report says, and returns how many of its keys the workspace
// does not have. A time in the future counts as now: were it refused, a key in use would
// look unused. Errors: InputError, ErrNotFound.
func (s *Service) RecordUsage(ctx context.Context, workspace string, r UsageReport) (unknown int, err error) {
	now := s.Now()
	var bad InputError
	bad.usageReport(r)
	if err := bad.err(); err != nil {
		return 0, err
	}
	var behind time.Duration
	if r.Sent != nil {
		behind = now.Sub(*r.Sent)
	}
	right := func(t time.Time) time.Time {
		if t = t.Add(behind); t.After(now) {
			return now
		}
		return t
	}
	kept := store.Report{At: now, Reporter: r.Reporter, Incomplete: r.Incomplete}
	if r.Until != nil {
		kept.Until = right(*r.Until)
	}
	uses := make([]store.Use, len(r.Uses))
	for i, use := range r.Uses {
		uses[i] = store.Use{KID: use.KID, At: right(use.At)}
	}
	ctx, cancel := settle(ctx)
	defer cancel()
	return s.store.RecordUsage(ctx, workspace, uses, kept)
}

// usageReport holds a report against the limits. Times that no clock shows are faults,
// since a duration of centuries has no room.
func (e *InputError) usageReport(r UsageReport) {
	if len(r.Uses) > jwks.MaxReport {
		e.Add("keys", RuleTooMany, "max", jwks.MaxReport)
	}
	if len(r.Reporter) > MaxReporter {
		e.Add("reporter", RuleTooLarge, "max", MaxReporter)
	}
	odd := func(field string, t time.Time) {
		if year := t.Year(); (year < minYear || year > maxYear) && len(*e) == 0 {
			e.Add(field, RuleYearOutOfRange, "min", minYear, "max", maxYear)
		}
	}
	for i, use := range r.Uses {
		odd(fmt.Sprintf("keys[%d].last_used_at", i), use.At)
	}
	if r.Sent != nil {
		odd("sent_at", *r.Sent)
	}
	if r.Until != nil {
		odd("until", *r.Until)
	}
}

// UsageError says that keys can't be told to have been unused for so long: somebody may
// have used them, and nobody has said so.
type UsageError struct {
	store.Reported
	For    time.Duration
	Silent bool // the latest report is too old
}

func (e *UsageError) Error() string {
	switch {
	case e.At.IsZero():
		return "nobody reports the use of this workspace's keys, so which are unused is not known"
	case e.Silent:
		return fmt.Sprintf("the use of this workspace's keys was reported last at %s, more than %s ago, so which are unused is not known",
			e.At.Format(time.RFC3339), words(store.UsageGap))
	}
	return fmt.Sprintf("the use of this workspace's keys is known from %s to %s, not for %s",
		e.Since.Format(time.RFC3339), e.Until.Format(time.RFC3339), words(e.For))
}

// unusedSince returns the time that a key must be older than and not used since, to have
// been unused for so long: as of when use is known, behind which it may have been used.
// Errors: *UsageError.
func unusedSince(r store.Reported, now time.Time, unusedFor time.Duration) (time.Time, error) {
	e := &UsageError{Reported: r, For: unusedFor, Silent: now.Sub(r.At) > store.UsageGap}
	known := r.Until
	if now.Before(known) {
		known = now
	}
	since := known.Add(-unusedFor)
	if r.At.IsZero() || e.Silent || r.Since.After(since) {
		return time.Time{}, e
	}
	return since, nil
}
