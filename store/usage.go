package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
)

// UsageGap is the longest interval between two reports of usage that does not leave a gap. After a longer
// interval, usage is known only since the next report, and a reporter silent for longer is ignored.
const UsageGap = 24 * time.Hour

// MaxReporters bounds the reporters of a workspace's usage. One more replaces the reporter that has been silent
// for the longest. The last uses that the replaced reporter saw may be missing, so usage is then known only
// since the replacement, as after an Incomplete report.
const MaxReporters = 1000

// Use is the time of a key's last use, as a gateway saw it.
type Use struct {
	KID jwks.KID
	At  time.Time // must not be zero
	// Left is what the key's limits still allowed. Nil: unknown.
	Left []Left
}

// Left is what a limit of a key still allowed when a gateway reported it.
type Left struct {
	On string `json:"on"` // key, or jwks.OnPlan or OnOwner
	jwks.Limit
	Remaining uint32    `json:"remaining"`
	ResetAt   time.Time `json:"reset_at"` // when it allows all of its requests again
}

// Report describes a gateway's report of usage. It does not contain the uses.
type Report struct {
	At time.Time // when it came; must not be zero
	// Reporter identifies the gateway among those that report a workspace's usage.
	Reporter string
	// Until is the time up to which the reporter has reported all uses that it saw. Zero means At.
	Until time.Time
	// Incomplete means that the reporter may have seen uses that it never reports.
	Incomplete bool
	// Partial means that the reporter does not see the requests with the keys, only some other uses. Such a report records
	// these uses, and says nothing about other keys. The other fields, except At, are ignored.
	Partial bool
}

// UntilAt returns Until, or At if Until is zero or later.
func (r *Report) UntilAt() time.Time {
	if r.Until.IsZero() || r.Until.After(r.At) {
		return r.At
	}
	return r.Until
}

// Reported is the time range in which a workspace's usage is known. Zero means that there are no reports.
type Reported struct {
	Since time.Time // no use since then is missing
	Until time.Time // up to then: the earliest Until of all reporters not silent for UsageGap
	At    time.Time // of the latest report
}

// UsageStore is the part of Store that records when keys were used. Reports raise no version and add no entry
// to the audit.
type UsageStore interface {
	// RecordUsage stores reported uses, also of keys that are no longer published. It never moves a key's
	// LastUsedAt back. Kids that the workspace never had are skipped, and their number is returned. The
	// workspace's Usage.Since becomes the report's time if the report is the first, is Incomplete, comes more
	// than UsageGap after the previous one, or adds a reporter beyond MaxReporters. Since and a reporter's
	// Until never move back. A Partial report does not change these times. Reports and changes of the workspace do not
	// wait for one another. Errors: ErrNotFound.
	RecordUsage(ctx context.Context, workspace string, uses []Use, r Report) (unknown int, err error)
	// LimitsLeft returns the Left of a key's latest use that was reported with one, and the time of the report. Nil and
	// the zero time: no report.
	LimitsLeft(ctx context.Context, workspace string, id uuid.UUID) ([]Left, time.Time, error)
}
