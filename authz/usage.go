package authz

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/burnkey/burnkey/store"

	"github.com/burnkey/burnkey/jwks"
)

// Limits of usage reports and of queries about usage.
const (
	MinUnusedFor = 24 * time.Hour

	minYear, maxYear = 1970, 2200 // of the times in a report
)

// UsageReport reports when keys were used. A report without keys means that no key was used.
type UsageReport struct {
	Uses []store.Use
	// Reporter identifies the reporter. Usage is known up to the time that the reports of all reporters cover.
	Reporter string
	// Sent is the time of sending by the reporter's clock, used to correct other times. Nil: no correction.
	Sent *time.Time
	// Until is the time up to which the reporter has reported all uses. Nil: Sent.
	Until *time.Time
	// Incomplete means that uses before this report may not have been reported.
	Incomplete bool
}

// MaxReporter is the maximum length of a reporter's name, in bytes.
const MaxReporter = 64

// RecordUsage stores a report and returns how many of its keys the workspace does not have. A time in the
// future is stored as now: if such a report were refused, a key in use would seem unused. Errors: InputError,
// ErrNotFound.
func (s *Service) RecordUsage(ctx context.Context, workspace string, r UsageReport) (unknown int, err error) {
	now := s.Now()
	var bad InputError
	bad.usageReport(r)
	if err := bad.err(); err != nil {
		return 0, err
	}
	var lag time.Duration
	if r.Sent != nil {
		lag = now.Sub(*r.Sent)
	}
	right := func(t time.Time) time.Time {
		if t = t.Add(lag); t.After(now) {
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
		uses[i] = store.Use{KID: use.KID, At: right(use.At), Left: slices.Clone(use.Left)}
		for j := range uses[i].Left {
			uses[i].Left[j].ResetAt = resetAt(&uses[i].Left[j], lag) // in the future
		}
	}
	ctx, cancel := settle(ctx)
	defer cancel()
	return s.store.RecordUsage(ctx, workspace, uses, kept)
}

// usageReport checks a report. It refuses times centuries away, which overflow a time.Duration.
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
	left := 0
	for i, use := range r.Uses {
		if len(*e) > 0 { // one fault is enough to find the others
			break
		}
		e.left(fmt.Sprintf("keys[%d].limits", i), use.Left, left)
		left += len(use.Left)
		odd(fmt.Sprintf("keys[%d].last_used_at", i), use.At)
	}
	if r.Sent != nil {
		odd("sent_at", *r.Sent)
	}
	if r.Until != nil {
		odd("until", *r.Until)
	}
}

// UsageError means that keys can't be known to be unused, since reports do not cover all of the duration.
type UsageError struct {
	store.Reported
	For    time.Duration
	Silent bool // the latest report is too old
}

func (e *UsageError) Error() string {
	switch {
	case e.At.IsZero():
		return "no gateway reports the use of this workspace's keys, so it is unknown which are unused"
	case e.Silent:
		return fmt.Sprintf("the use of this workspace's keys was last reported at %s, more than %s ago, so it is unknown which are unused",
			e.At.Format(time.RFC3339), words(store.UsageGap))
	}
	return fmt.Sprintf("the use of this workspace's keys is known from %s to %s, not for %s",
		e.Since.Format(time.RFC3339), e.Until.Format(time.RFC3339), words(e.For))
}

// unusedSince returns the time since which a key must exist and be unused: unusedFor before the time up to
// which usage is known. Errors: *UsageError.
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
