package store

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
)

// Key is the record of one API key. It never holds a token.
type Key struct {
	Workspace string
	ID        uuid.UUID
	KID       jwks.KID
	Owner     string
	Name      string
	Scopes    []string
	Audience  []string
	Claims    json.RawMessage // a JSON object: the caller's own claims
	Metadata  json.RawMessage // a JSON object: not signed
	// IdempotencyKey under which it was issued, or empty.
	IdempotencyKey string
	// RequestDigest tells requests under an IdempotencyKey apart. Nil: it is not known, and
	// no request differs.
	RequestDigest []byte
	CreatedAt     time.Time
	UpdatedAt     time.Time
	ExpiresAt     time.Time // zero: never
	RevokedAt     time.Time // zero: not revoked
	// RotatedFrom is the key that it succeeds, and RotatedTo the one that succeeds
	// it; uuid.Nil: none. With RotatedTo there is the time until which both are
	// published, which is never behind ExpiresAt.
	RotatedFrom, RotatedTo uuid.UUID
	GraceEndsAt            time.Time // zero: not rotated
	Version                uint64    // the version that published it
	RevokedVersion         uint64    // the version that removed it because it was revoked, or 0
	ExpiredVersion         uint64    // the version that removed it for its age, or 0

	// LastUsedAt is kept by RecordUsage. Retire may leave it out.
	LastUsedAt time.Time // zero: no use is known
}

// Repeated returns the error of a request for a key, where an earlier one was issued under its
// IdempotencyKey.
func (k *Key) Repeated(earlier uuid.UUID, digest []byte) *IdempotencyError {
	other := len(digest) > 0 && len(k.RequestDigest) > 0 && !bytes.Equal(digest, k.RequestDigest)
	return &IdempotencyError{ID: earlier, Other: other}
}

// Published reports whether the workspace's set has the key's JWK.
func (k *Key) Published() bool { return k.Removed() == 0 }

// Removed returns the version that removed the key from the set, 0 while it is
// published.
func (k *Key) Removed() uint64 { return max(k.RevokedVersion, k.ExpiredVersion) }

// DueAt returns when Retire is to remove the key: when its grace ends or it
// expires, whichever is first. Zero: never, or it was removed.
func (k *Key) DueAt() time.Time {
	switch {
	case !k.Published():
		return time.Time{}
	case k.GraceEndsAt.IsZero() || (!k.ExpiresAt.IsZero() && k.ExpiresAt.Before(k.GraceEndsAt)):
		return k.ExpiresAt
	default:
		return k.GraceEndsAt
	}
}

// Status of a key, derived from its times.
type Status string

// These are also the values of Filter.Status.
const (
	Active     Status = "active"
	Deprecated Status = "deprecated" // rotated, and in its grace
	Revoked    Status = "revoked"    // also by the end of a grace
	Expired    Status = "expired"
)

// Status returns the key's status at the time now. Of a key that is both, revoked
// is what counts. What was removed is never active again, whatever the clock says.
func (k *Key) Status(now time.Time) Status {
	over := func(t time.Time) bool { return !t.IsZero() && !t.After(now) }
	switch {
	case !k.RevokedAt.IsZero():
		return Revoked
	case k.ExpiredVersion != 0:
		return Expired
	case over(k.GraceEndsAt):
		return Revoked
	case over(k.ExpiresAt):
		return Expired
	case !k.GraceEndsAt.IsZero():
		return Deprecated
	default:
		return Active
	}
}

// Filter selects keys of one workspace. Zero fields select everything.
type Filter struct {
	Owner  string // exactly
	Status Status // at the time Now
	Live   bool   // Active or Deprecated at the time Now
	Now    time.Time
	Scope  string // is among the key's
	// CreatedBefore selects keys that were created before this.
	CreatedBefore time.Time
	// UnusedSince selects keys that were created before this, and were not used at it or
	// later.
	UnusedSince time.Time
	// Query selects keys whose name contains it, or where Owner is empty whose owner does, as
	// Fold has them; or whose id or kid it is.
	Query string
	// After continues behind this id, whether a key has it or not; uuid.Nil
	// starts the list.
	After uuid.UUID
	Limit int // at most so many keys; must be positive
	// Bytes bounds what is read: the list ends before the keys are larger together, about,
	// but has one key in any case. 0: no bound.
	Bytes int
	// Rows bounds what is looked at: records of the Owner or the workspace, whether the
	// filter selects them or not. 0: no bound.
	Rows int
}

// Narrows reports whether the filter drops records that no index leaves out.
func (f *Filter) Narrows() bool {
	return f.Status != "" || f.Live || f.Scope != "" || f.Query != "" || !f.CreatedBefore.IsZero() || !f.UnusedSince.IsZero()
}
