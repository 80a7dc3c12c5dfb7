package store

import (
	"context"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// UsageGap is for how long reports may fail to come: behind a longer silence the use
// of keys is known from the next report on, and a reporter that keeps it is one no more.
const UsageGap = 24 * time.Hour

// MaxReporters bounds the reporters of a workspace's use of keys. A further one replaces the
// reporter that has been silent for the longest, whose last uses may be missing. So use is
// known only from then on, as after an Incomplete report.
const MaxReporters = 1000

// Use is when a key was used last, as somebody saw it who verifies tokens.
type Use struct {
	KID jwks.KID
	At  time.Time // must not be zero
}

// Report tells of uses.
type Report struct {
	At time.Time // when it came; must not be zero
	// Reporter tells those apart who tell of a workspace's uses.
	Reporter string
	// Until is the time before which the reporter has seen no use that it has not told of,
	// here or before. Zero: At.
	Until time.Time
	// Incomplete says that its sender may have seen uses that no report tells of.
	Incomplete bool
}

// UntilAt is Until, or At where that is zero or earlier.
func (r *Report) UntilAt() time.Time {
	if r.Until.IsZero() || r.Until.After(r.At) {
		return r.At
	}
	return r.Until
}

// Reported is how far the use of a workspace's keys is known. Zero: nobody reports it.
type Reported struct {
	Since time.Time // no use since then is missing
	Until time.Time // up to then: the earliest of all reporters', but those silent for UsageGap
	At    time.Time // of the latest report
}

// UsageStore is the part of Store that remembers when keys were used. It is about no
// change: no version is raised, and the audit has nothing of it.
type UsageStore interface {
	// RecordUsage keeps the uses that a report tells of, also of keys that are no longer
	// published. A key's LastUsedAt only ever rises. Uses of kids that the workspace has
	// not had are counted and passed over. The workspace's Usage.Since becomes the
	// report's time where it is the first, is Incomplete or comes more than UsageGap
	// after the one before, or where it exceeds MaxReporters; it never goes back, nor does a
	// reporter's Until. Changes of the workspace and reports do not wait for one another.
	// ErrNotFound.
	RecordUsage(ctx context.Context, workspace string, uses []Use, r Report) (unknown int, err error)
}
