package authz

import (
	"context"
	"fmt"
	"time"

	"github.com/burnkey/burnkey/store"
)

// Limits of what is said about the use of keys.
const (
	MaxUses      = 500 // of one report
	MinUnusedFor = 24 * time.Hour
)

// RecordUsage keeps what one who verifies tokens says about when keys were used, and
// returns how many of them the workspace does not have. It may be said of no key at all:
// then it says that they would have told. What is incomplete may have missed uses before
// it. A time in the future counts as now: clocks differ, and were it refused, a key in use
// would look unused. Errors: InputError, ErrNotFound.
func (s *Service) RecordUsage(ctx context.Context, workspace string, uses []store.Use, incomplete bool) (unknown int, err error) {
	var bad InputError
	if len(uses) > MaxUses {
		bad.addf("keys", "must be at most %d", MaxUses)
	}
	now := s.Now()
	kept := make([]store.Use, len(uses))
	for i, use := range uses {
		if use.At.Unix() < 0 && len(bad) == 0 {
			bad.addf(fmt.Sprintf("keys[%d].last_used_at", i), "must not be before 1970")
		}
		if use.At.After(now) {
			use.At = now
		}
		kept[i] = use
	}
	if err := bad.err(); err != nil {
		return 0, err
	}
	ctx, cancel := settle(ctx)
	defer cancel()
	return s.store.RecordUsage(ctx, workspace, kept, store.Report{At: now, Incomplete: incomplete})
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
			e.At.Format(time.RFC3339), hours(store.UsageGap))
	}
	return fmt.Sprintf("the use of this workspace's keys is known since %s, not for %s", e.Since.Format(time.RFC3339), hours(e.For))
}

// hours is a duration without the units that are zero at its end.
func hours(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return d.String()
}

// unusedSince returns the time that a key must be older than and not used since, to have
// been unused for so long: as of the latest report, behind which it may have been used.
// Errors: *UsageError.
func unusedSince(r store.Reported, now time.Time, unusedFor time.Duration) (time.Time, error) {
	e := &UsageError{Reported: r, For: unusedFor, Silent: now.Sub(r.At) > store.UsageGap}
	if r.At.IsZero() || e.Silent || r.Since.After(now.Add(-unusedFor)) {
		return time.Time{}, e
	}
	if r.At.Before(now) {
		now = r.At
	}
	return now.Add(-unusedFor), nil
}
