package store

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
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
	// IdempotencyKey is that of the request that issued the key, or empty.
	IdempotencyKey string
	// RequestDigest distinguishes requests with the same IdempotencyKey. Nil: unknown; any request matches.
	RequestDigest []byte
	CreatedAt     time.Time
	UpdatedAt     time.Time
	ExpiresAt     time.Time // zero: never
	RevokedAt     time.Time // zero: not revoked
	// RotatedFrom is the key that this key replaces, and RotatedTo the key that replaces this key, or uuid.Nil.
	// A key with RotatedTo stays published until GraceEndsAt, or until ExpiresAt if that is earlier.
	RotatedFrom, RotatedTo uuid.UUID
	GraceEndsAt            time.Time // zero: not rotated
	Version                uint64    // the version that published it
	RevokedVersion         uint64    // the version that removed it because it was revoked, or 0
	ExpiredVersion         uint64    // the version that removed it for its age, or 0

	// LastUsedAt is set by RecordUsage. It can be missing in the keys that Retire returns.
	LastUsedAt time.Time // zero: no use is known

	SuspendedAt     time.Time // zero: not suspended; stays when the key is removed
	SuspendedReason string
	SuspendedBy     string         // ByOwner, or empty: the producer
	AllowedIPs      []netip.Prefix // nil: any
	Plan            string         // the name of a LimitSet; empty: none
	Limits          []jwks.Limit   // the key's own rules, or nil
	// Signed has the token's values, if ExpiresAt or Scopes differ from them. Nil: the same.
	Signed  *Signed
	Ceiling Ceiling
	// Digest is that of an imported key: another system issued it, and it has no JWK. Nil: the key has a JWK.
	Digest *jwks.Digest
	// Parent is the key under which this key was issued, or uuid.Nil. Both have one owner; a key with a parent can do
	// no more than it, and is suspended and revoked with it. After a rotation, the successor is the parent.
	Parent uuid.UUID
	// Delegates is set by the store once a key was issued under this key.
	Delegates bool
}

// ByOwner means that a key's owner suspended it. An owner can't resume a key that the producer suspended.
const ByOwner = "owner"

// Signed is the part of a token that attributes replace.
type Signed struct {
	Scopes    []string  `json:"scopes"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // zero: never
}

// Attributes returns the attributes that gateways must know beyond the token.
func (k *Key) Attributes() jwks.Attributes {
	a := jwks.Attributes{AllowedIPs: k.AllowedIPs, Plan: k.Plan, Limits: k.Limits, RotatedAt: k.RotatedAt(), EndsAt: k.GraceEndsAt}
	if k.Digest != nil { // which has no token
		a.ExpiresAt, a.NeverExpires, a.Scopes = k.ExpiresAt, k.ExpiresAt.IsZero(), append([]string{}, k.Scopes...)
		return a
	}
	if k.Signed == nil {
		return a
	}
	if !k.ExpiresAt.Equal(k.Signed.ExpiresAt) {
		a.ExpiresAt, a.NeverExpires = k.ExpiresAt, k.ExpiresAt.IsZero()
	}
	if !slices.Equal(sortedScopes(k.Scopes), sortedScopes(k.Signed.Scopes)) {
		a.Scopes = append([]string{}, k.Scopes...)
	}
	return a
}

// Issued returns the unsigned part of the change that publishes the key.
func (k *Key) Issued() (u jwks.Unsigned) {
	if a := k.Attributes(); !a.IsZero() {
		k.SetIn(&u)
	}
	return u
}

// SetIn adds the key's attributes to the unsigned part of a change: all of an imported key.
func (k *Key) SetIn(u *jwks.Unsigned) {
	if k.Digest != nil {
		u.Imported = append(u.Imported, k.Imported())
	} else {
		u.Set = append(u.Set, jwks.KeyAttributes{KID: k.KID, Attributes: k.Attributes()})
	}
}

// Imported returns an imported key as the feed describes it.
func (k *Key) Imported() jwks.ImportedKey {
	return jwks.ImportedKey{
		ID: k.ID.String(), Owner: k.Owner, Digest: *k.Digest, Audience: k.Audience, ImportedAt: k.CreatedAt.Unix(), Attributes: k.Attributes(),
	}
}

// RotatedAt returns when the key was rotated, to the millisecond: the time in its successor's id, a UUIDv7 (RFC 9562
// section 5.7). Zero: it was not, or the id is of another version.
func (k *Key) RotatedAt() time.Time {
	if k.RotatedTo.Version() != 7 {
		return time.Time{}
	}
	return time.Unix(k.RotatedTo.Time().UnixTime()).UTC()
}

func sortedScopes(scopes []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(scopes)))
}

// Repeated returns the error for a request whose IdempotencyKey was used for an earlier key.
func (k *Key) Repeated(earlier uuid.UUID, digest []byte) *IdempotencyError {
	other := len(digest) > 0 && len(k.RequestDigest) > 0 && !bytes.Equal(digest, k.RequestDigest)
	return &IdempotencyError{ID: earlier, Other: other}
}

// Published reports whether the key's JWK is in the workspace's set.
func (k *Key) Published() bool { return k.Removed() == 0 && k.SuspendedAt.IsZero() }

// Removed returns the version that removed the key for good, or 0 while the key is published or suspended.
func (k *Key) Removed() uint64 { return max(k.RevokedVersion, k.ExpiredVersion) }

// DueAt returns when Retire should remove the key: when its grace ends or it expires, whichever is first. The
// zero time means never, or that the key is already removed.
func (k *Key) DueAt() time.Time {
	switch {
	case k.Removed() != 0:
		return time.Time{}
	case k.GraceEndsAt.IsZero() || (!k.ExpiresAt.IsZero() && k.ExpiresAt.Before(k.GraceEndsAt)):
		return k.ExpiresAt
	default:
		return k.GraceEndsAt
	}
}

// Status of a key, derived from its times and versions.
type Status string

// These are also the values of Filter.Status.
const (
	Active     Status = "active"
	Deprecated Status = "deprecated" // rotated, and in its grace
	Suspended  Status = "suspended"  // also in its grace
	Revoked    Status = "revoked"    // also when its grace is over
	Expired    Status = "expired"
)

// Status returns the key's status at the time `now`. A key that is both revoked and expired is Revoked. A key
// that was removed is never Active again, whatever the clock says.
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
	case !k.SuspendedAt.IsZero():
		return Suspended
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
	Live   bool   // Active, Deprecated or Suspended at the time Now
	Now    time.Time
	Scope  string    // is one of the key's
	Plan   string    // is the key's
	Parent uuid.UUID // is the key's; uuid.Nil: any or none
	// CreatedBefore selects keys created before this time.
	CreatedBefore time.Time
	// ExpiresBefore selects keys that expire before this time, but after Now.
	ExpiresBefore time.Time
	// UnusedSince selects keys created before this time and not used since, unless a key under them was.
	UnusedSince time.Time
	// Query selects keys whose name contains this string (compared by Fold), and the key with this id or kid.
	// If Owner is empty, it also selects keys whose owner contains the string.
	Query string
	// After is the id after which the page starts, even if no key has it; uuid.Nil: start at the first key.
	After uuid.UUID
	Limit int // the most keys of a page; must be positive
	// Bytes limits the size of a page, approximately. At least one key is returned. 0: unlimited.
	Bytes int
	// Rows limits how many records of the Owner or the workspace are examined, selected or not. 0: unlimited.
	Rows int
}

// Narrows reports whether the filter has a condition that no index can answer.
func (f *Filter) Narrows() bool {
	return f.Status != "" || f.Live || f.Scope != "" || f.Plan != "" || f.Query != "" || !f.CreatedBefore.IsZero() ||
		!f.ExpiresBefore.IsZero() || !f.UnusedSince.IsZero()
}
