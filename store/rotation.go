package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
)

// RotationStore is the part of Store that replaces keys and removes them when
// their time has come.
type RotationStore interface {
	// Rotate keeps the record successor, publishes pub and marks the key id as rotated
	// to it, in one transaction that raises the workspace's version once. The old
	// key's grace ends at graceEnds, or when it expires if that is earlier. Where that
	// is not after successor.CreatedAt, the same version removes the old key, which
	// was then revoked at successor.CreatedAt. Of successor, Workspace, KID, Version and
	// RotatedFrom are set, not read.
	//
	// ErrNotFound: no such key. Then, in this order: *IdempotencyError as of Issue;
	// ErrNotActive: the key is not Active at successor.CreatedAt; an error of terms;
	// ErrDuplicateKID and ErrExists as of Issue; ErrTooMany: the owner of the old key has
	// as many keys as terms allows, or more, in their grace at that time, and this would be
	// another. ActionKeyRotate of the old key, ActionKeyIssue of the successor.
	Rotate(ctx context.Context, workspace string, id uuid.UUID, successor Key, pub jwks.Key, graceEnds time.Time,
		terms Terms) (old, issued Key, err error)
	// UndoRotation ends the rotation of the key id to the key to, or to any where that is
	// uuid.Nil, within its grace: one version removes the successor, which is revoked at
	// at, and the old key is active as if it had not been rotated. ErrNotFound: no such
	// key. ErrNotActive: the key is not in such a grace at at, or its successor not
	// Active, as behind an UndoRotation before. ActionRotationUndo of the old key,
	// ActionKeyRevoke of the successor.
	UndoRotation(ctx context.Context, workspace string, id, to uuid.UUID, at time.Time) (old, successor Key, err error)
	// EndGrace revokes the key id as Revoke does, if it is in the grace of its rotation
	// to the key to, or to any where that is uuid.Nil. ErrNotFound. ErrNotActive: it is
	// not at at, as behind an UndoRotation. ActionKeyRevoke.
	EndGrace(ctx context.Context, workspace string, id, to uuid.UUID, at time.Time) (Key, error)
	// Retire removes those of a workspace's keys that are published and due at at, in
	// one transaction that raises the version once for all of them, and returns them
	// in no order. If a key's grace is over, it is revoked at at; else it has expired
	// and ExpiredVersion is set. Any others of the ids are passed over, so that several
	// servers may try; where all are, no version is raised. ErrDamaged: the JWK of one
	// is missing, and all stay. ActionGraceEnd or ActionKeyExpire for each, the
	// system's whatever ctx says.
	Retire(ctx context.Context, workspace string, ids []uuid.UUID, at time.Time) ([]Key, error)
	// Due returns the places of the published keys of all workspaces that are due at
	// until, the earliest first, those behind after, at most limit. It is a look into an
	// index, and reads no key: one that is damaged must hide no others.
	Due(ctx context.Context, after DuePlace, until time.Time, limit int) ([]DuePlace, error)
	// NextDue returns when the next published key of all workspaces is due; the zero
	// time if none ever is. It is one look into an index.
	NextDue(ctx context.Context) (time.Time, error)
}

// DuePlace is a place in the list of Due: a key's, or behind all that is due before At.
// The zero place is the beginning.
type DuePlace struct {
	At        time.Time
	Workspace string
	ID        uuid.UUID
}

// Rotated returns old as it is kept once successor was issued with a grace, but for
// RevokedVersion, which it gets where RevokedAt is set. For backends.
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

// InGrace reports whether the key was rotated to another, or to any where that is
// uuid.Nil, and is in its grace at a time.
func (k *Key) InGrace(to uuid.UUID, at time.Time) bool {
	return k.Status(at) == Deprecated && (to == uuid.Nil || k.RotatedTo == to)
}

// Retired returns a key as it is once version removed it at a time at which it was
// due. For backends.
func Retired(k Key, at time.Time, version uint64) Key {
	if k.GraceEndsAt.IsZero() || k.GraceEndsAt.After(at) {
		k.ExpiredVersion = version
	} else {
		k.RevokedAt, k.RevokedVersion = at, version
	}
	return k
}

// IsDue reports whether the key is to be removed at a time.
func (k *Key) IsDue(at time.Time) bool {
	due := k.DueAt()
	return !due.IsZero() && !due.After(at)
}
