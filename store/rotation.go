package store

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
)

// RotationStore is the part of Store that replaces keys, and removes them when they expire or their
// grace is over.
type RotationStore interface {
	// Rotate stores the record successor, publishes pub and marks the key `id` as rotated to the successor, in
	// one transaction that raises the workspace's version once. The old key's grace ends at graceEnds, or when
	// the key expires if that is earlier. If this time is not after successor.CreatedAt, there is no grace: the
	// same version removes the old key, which is revoked at successor.CreatedAt. The store sets Workspace, KID,
	// Version and RotatedFrom of the successor, whatever their values are. The successor gets the AllowedIPs,
	// Plan, Limits and Ceiling of the old key, only those of its scopes that the old key still has, and expires no
	// later than the Ceiling allows.
	// The attributes of the old key then say when it was rotated, and when its grace ends, until UndoRotation. Keys under
	// the old key are then under the successor, no wider than it; UndoRotation puts them under the old key.
	//
	// Errors, in this order: ErrNotFound: no such key. *IdempotencyError as in Issue. ErrNotActive: the key is
	// not Active at successor.CreatedAt. ErrChild: it has a parent. An error of terms. ErrDuplicateKID and ErrExists as in Issue.
	// ErrTooMany: there is a grace, and the old key's owner already has at least as many keys in their grace at
	// that time as terms allows. Audit: ActionKeyRotate of the old key, ActionKeyIssue of the successor.
	Rotate(ctx context.Context, workspace string, id uuid.UUID, successor Key, pub jwks.Key, graceEnds time.Time,
		terms Terms) (old, issued Key, err error)
	// UndoRotation undoes the rotation of the key `id` to the key `to` (uuid.Nil: to any key) within its grace.
	// One version removes the successor, which is revoked at the time `at`, and the old key is Active as if it
	// had not been rotated. ErrNotFound: no such key. ErrNotActive: the key is not in such a grace at that
	// time, for example because it was already undone, or it is suspended, or its successor is not Active or has
	// another Ceiling. Audit: ActionRotationUndo of the old key, ActionKeyRevoke of the successor.
	UndoRotation(ctx context.Context, workspace string, id, to uuid.UUID, at time.Time) (old, successor Key, err error)
	// EndGrace revokes the key `id`, suspended or not, as Revoke does, if it is in the grace of its rotation to
	// the key `to` (uuid.Nil: to any key). Errors: ErrNotFound. ErrNotActive: the key is not in such a grace at the time
	// `at`, for example because the rotation was undone. Audit: ActionKeyRevoke.
	EndGrace(ctx context.Context, workspace string, id, to uuid.UUID, at time.Time) (Key, error)
	// Retire removes the given keys of a workspace that are published or suspended and due at the time `at`, in one
	// transaction that raises the version once for all of them, and returns the removed keys in no particular
	// order. A key whose grace is over is revoked at that time; any other has expired, and its ExpiredVersion
	// is set. Other ids are ignored, so several servers can call it for the same keys; if all ids are ignored,
	// no version is raised. ErrDamaged: the JWK of a key is missing; no key is removed. Audit: ActionGraceEnd
	// or ActionKeyExpire of each key, by the system, whatever the Actor of ctx.
	Retire(ctx context.Context, workspace string, ids []uuid.UUID, at time.Time) ([]Key, error)
	// Due returns the places of published and suspended keys of all workspaces that are due at the time `until` or earlier.
	// It returns up to `limit` places after the place `after`, earliest first. It reads only an index, not the
	// keys, so that a corrupt key does not hide other keys.
	Due(ctx context.Context, after DuePlace, until time.Time, limit int) ([]DuePlace, error)
	// NextDue returns when the next published or suspended key of any workspace is due, or the zero time if no key ever is.
	// It is one lookup in an index.
	NextDue(ctx context.Context) (time.Time, error)
}

// DuePlace is a place in the list of Due: the place of a key, or, without Workspace and ID, the place before
// all keys that are due at the time At. The zero place is the start of the list.
type DuePlace struct {
	At        time.Time
	Workspace string
	ID        uuid.UUID
}

// Rotated returns old as it is stored after its rotation to successor. If RevokedAt of the result is set, there
// is no grace, and the caller must set RevokedVersion. For backends.
func Rotated(old, successor Key, graceEnds time.Time) Key {
	old.RotatedTo, old.GraceEndsAt = successor.ID, graceEnds
	if !old.ExpiresAt.IsZero() && old.ExpiresAt.Before(graceEnds) {
		old.GraceEndsAt = old.ExpiresAt
	}
	if !old.GraceEndsAt.After(successor.CreatedAt) {
		old.GraceEndsAt, old.RevokedAt = successor.CreatedAt, successor.CreatedAt
	}
	return old
}

// RotationUnsigned returns the unsigned part of the change that rotates old to issued, both as stored.
func RotationUnsigned(old, issued Key) jwks.Unsigned {
	u := issued.Issued()
	if old.RevokedAt.IsZero() {
		old.SetIn(&u)
	}
	return u
}

// UndoneUnsigned returns the unsigned part of the change that undoes the rotation of old, as stored.
func UndoneUnsigned(old Key) (u jwks.Unsigned) {
	old.SetIn(&u)
	return u
}

// InGrace reports whether the key, suspended or not, is in the grace of its rotation to the key `to` (uuid.Nil:
// to any) at a time.
func (k *Key) InGrace(to uuid.UUID, at time.Time) bool {
	resumed := *k
	resumed.SuspendedAt = time.Time{}
	return resumed.Status(at) == Deprecated && (to == uuid.Nil || k.RotatedTo == to)
}

// Inherited returns the successor of old with the attributes that it gets from old. For backends.
func Inherited(successor, old Key) Key {
	successor.AllowedIPs, successor.Plan, successor.Limits, successor.Ceiling = old.AllowedIPs, old.Plan, old.Limits, old.Ceiling
	lost := func(scope string) bool { return !slices.Contains(old.Scopes, scope) }
	late := !old.Ceiling.AllowsExpiry(successor.ExpiresAt)
	if successor.Signed == nil && (late || slices.ContainsFunc(successor.Scopes, lost)) {
		successor.Signed = &Signed{Scopes: successor.Scopes, ExpiresAt: successor.ExpiresAt}
	}
	successor.Scopes = slices.DeleteFunc(slices.Clone(successor.Scopes), lost)
	if late {
		successor.ExpiresAt = old.Ceiling.ExpiresAt
	}
	return successor
}

// Retired returns a due key as stored after `version` removed it at the time `at`. For backends.
func Retired(k Key, at time.Time, version uint64) Key {
	if k.GraceEndsAt.IsZero() || k.GraceEndsAt.After(at) {
		k.ExpiredVersion = version
	} else {
		k.RevokedAt, k.RevokedVersion = at, version
	}
	return k
}

// IsDue reports whether Retire would remove the key at a time.
func (k *Key) IsDue(at time.Time) bool {
	due := k.DueAt()
	return !due.IsZero() && !due.After(at)
}
