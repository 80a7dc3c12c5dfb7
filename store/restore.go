package store

import (
	"context"
	"errors"
	"time"
)

// ErrMoved means that the database is a copy, such as a restored backup.
var ErrMoved = errors.New("the database is a copy")

// RestoreStore is the part of Store for a database that was restored from a backup.
type RestoreStore interface {
	// Settle records where the database is: its file, or its server. If it was somewhere else before, Settle returns
	// ErrMoved and records nothing, unless moved is true. A backend can overlook copies, such as a snapshot of a whole
	// disk.
	Settle(ctx context.Context, moved bool) error
	// Leap raises a workspace's version to one that no earlier copy of the database can have had, and returns it. It
	// replaces the log with one empty change. The version is the time `at` in microseconds, unless the version was already
	// near it or later. Deleting a long log takes a while, so call Compact first. Errors: ErrNotFound. Audit:
	// ActionWorkspaceRestore.
	Leap(ctx context.Context, workspace string, at time.Time) (uint64, error)
}

// leapAtLeast is by how much Leap raises a version at least, in case a clock is wrong. No lost copy has this many more changes.
const leapAtLeast = 1_000_000_000

// Leapt returns the version to which Leap raises a version. For backends. A workspace has less than one change per
// microsecond, so no version is higher than the time of its change in microseconds.
func Leapt(version uint64, at time.Time) uint64 {
	return max(version+leapAtLeast, uint64(max(0, at.UnixMicro())))
}

// WorkspaceRestored returns the entry of ActionWorkspaceRestore. For backends.
func WorkspaceRestored(ctx context.Context, workspace string, from, to uint64, at time.Time) Entry {
	return newEntry(ctx, workspace, ActionWorkspaceRestore, at, detail{"version_before": from, "version": to})
}
