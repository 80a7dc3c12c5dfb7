// Package store says what Burnkey keeps and what a backend must promise. The
// backends are in the folders below; storetest holds them to this contract.
package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
)

// Errors of a Store, to be tested with errors.Is. Any other error means that
// the backend failed; whether the call took effect is then not known.
var (
	ErrNotFound       = errors.New("not found")
	ErrExists         = errors.New("exists already")
	ErrDuplicateKID   = errors.New("a key with this kid exists already")
	ErrIdempotencyKey = errors.New("the idempotency key was used already")
	ErrCompacted      = errors.New("the change log no longer reaches back so far")
	// ErrDamaged: a row of the set or of the log is none that was written.
	ErrDamaged = errors.New("the database is damaged")
)

// IdempotencyError says which key was issued under an idempotency key before.
// It matches ErrIdempotencyKey.
type IdempotencyError struct{ ID uuid.UUID }

func (e *IdempotencyError) Error() string {
	return fmt.Sprintf("the idempotency key was used already, for key %s", e.ID)
}

// Is makes errors.Is(err, ErrIdempotencyKey) hold.
func (e *IdempotencyError) Is(target error) bool { return target == ErrIdempotencyKey }

// Workspace is one tenant: one issuer, one published set.
type Workspace struct {
	ID        string
	Name      string
	Audiences []string // the default audience of its keys, and all that a key may name
	// AllowNeverExpires permits keys without exp.
	AllowNeverExpires bool
	// Version of the published set; 1 is the tombstone's.
	Version   uint64
	CreatedAt time.Time
	UpdatedAt time.Time
}

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
	CreatedAt      time.Time
	UpdatedAt      time.Time
	ExpiresAt      time.Time // zero: never
	RevokedAt      time.Time // zero: not revoked
	Version        uint64    // the version that published it
	RevokedVersion uint64    // the version that removed it, or 0
}

// Status of a key, derived from its times.
type Status string

// A key that is both is revoked. These are also the values of Filter.Status.
const (
	Active  Status = "active"
	Revoked Status = "revoked"
	Expired Status = "expired"
)

// Status returns the key's status at the time now.
func (k *Key) Status(now time.Time) Status {
	switch {
	case !k.RevokedAt.IsZero():
		return Revoked
	case !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(now):
		return Expired
	default:
		return Active
	}
}

// Filter selects keys of one workspace. Zero fields select everything.
type Filter struct {
	Owner  string // exactly
	Status Status // at the time Now
	Now    time.Time
	// Query selects keys whose name or owner contains it, ignoring the case of
	// ASCII letters and taking % and _ as themselves, or whose id or kid it is.
	Query string
	// After continues behind this id, whether a key has it or not; uuid.Nil
	// starts the list.
	After uuid.UUID
	Limit int // at most so many keys; must be positive
}

// Store keeps workspaces, keys and what they publish.
//
// All methods are safe for concurrent use, also by several processes on the
// same database. A method that changes something does all of it or nothing, and
// when it returns nil, its effect is durable: it survives a kill of the process
// and a power cut. A cancelled context ends a call early; a change may then
// have been made or not. Times are kept in UTC to the microsecond and shorter
// fractions are cut off. Strings and JSON, which are UTF-8 without NUL, come back
// byte for byte. Slices come back empty, not nil, and JSON objects as {} where
// they were nil. A limit must be positive. A change or yield that is passed in
// must not call the store.
type Store interface {
	// CreateWorkspace keeps w with version 1, which publishes its tombstone: a
	// key that never signed a token, so that the set is never empty. CreatedAt
	// is kept as given and UpdatedAt is set to it. ErrExists.
	CreateWorkspace(ctx context.Context, w Workspace, tombstone jwks.Key) (Workspace, error)
	// Workspace returns one workspace. ErrNotFound.
	Workspace(ctx context.Context, id string) (Workspace, error)
	// Workspaces lists workspaces by id, those behind after, at most limit.
	Workspaces(ctx context.Context, after string, limit int) ([]Workspace, error)
	// UpdateWorkspace lets change alter a workspace within the transaction that
	// keeps it; an error of change is returned and nothing is kept. ID, Version and
	// CreatedAt stay as they were whatever change does. ErrNotFound.
	UpdateWorkspace(ctx context.Context, id string, change func(*Workspace) error) (Workspace, error)

	// Issue keeps the record k and publishes pub in one transaction that raises
	// the workspace's version; k.KID and k.Version are set, not read, and the key
	// starts unrevoked. ErrNotFound: no such workspace. Then, in this order,
	// *IdempotencyError: k.IdempotencyKey was used in this workspace.
	// ErrDuplicateKID: the workspace has had this key. ErrExists: it has the id.
	Issue(ctx context.Context, k Key, pub jwks.Key) (Key, error)
	// Revoke deletes a key's JWK from the published set, in one transaction that
	// raises the workspace's version and keeps the time, which must not be zero. A
	// key that was revoked before is returned as it is, once that is durable.
	// ErrNotFound.
	Revoke(ctx context.Context, workspace string, id uuid.UUID, at time.Time) (Key, error)
	// Key returns one record. ErrNotFound.
	Key(ctx context.Context, workspace string, id uuid.UUID) (Key, error)
	// KeyByKID returns the record with a kid, revoked ones among them. It is one look
	// into an index, since anybody may ask for it. ErrNotFound.
	KeyByKID(ctx context.Context, workspace string, kid jwks.KID) (Key, error)
	// KeyByIdempotencyKey returns the record issued under a key. ErrNotFound.
	KeyByIdempotencyKey(ctx context.Context, workspace, key string) (Key, error)
	// Keys lists a workspace's records from the highest id to the lowest: ids
	// are UUIDv7, so the newest come first and a record that is added while
	// somebody pages shifts none of the later pages. An unknown workspace is an
	// empty list.
	Keys(ctx context.Context, workspace string, f Filter) ([]Key, error)
	// UpdateKey lets change alter a record's Name, Metadata and UpdatedAt within the
	// transaction that keeps it; an error of change is returned and nothing is kept.
	// Other fields stay as they were whatever change does. ErrNotFound.
	UpdateKey(ctx context.Context, workspace string, id uuid.UUID, change func(*Key) error) (Key, error)

	// Published yields a workspace's published keys in the order of their kids,
	// as of one version, which it returns. An error of yield ends it and is
	// returned. Memory does not grow with the set. ErrNotFound, ErrDamaged.
	Published(ctx context.Context, workspace string, yield func(jwks.Key) error) (uint64, error)
	// Changes returns the changes behind version after, oldest first, without a
	// gap, at most limit of them; none if there is none. ErrNotFound, ErrDamaged.
	// ErrCompacted: the change that follows after was dropped by Compact.
	Changes(ctx context.Context, workspace string, after uint64, limit int) ([]jwks.Change, error)
	// Compact drops the changes up to and including version through from the
	// log, but never the latest one; the published set stays as it is. It may drop
	// fewer at once than there are and says whether it should be called again.
	// ErrNotFound.
	Compact(ctx context.Context, workspace string, through uint64) (more bool, err error)
	// Versions yields every workspace's version, in no order. An error of yield
	// ends it and is returned.
	Versions(ctx context.Context, yield func(workspace string, version uint64) error) error

	// Watch calls wake when some process has raised a workspace's version, and
	// with "" when it may have missed that and every workspace is to be looked at:
	// always once at its beginning. It is a hint that comes soon, if at all: what
	// counts is Versions, to be asked from time to time. A backend that has no
	// such hints only waits. Calls do not overlap, and wake must not call the store.
	// It returns when the context ends, with its error, or when the connection was
	// lost, to be called again.
	Watch(ctx context.Context, wake func(workspace string)) error

	// Ping reports whether the database answers.
	Ping(ctx context.Context) error
	// Close releases everything; the store can't be used after it.
	Close() error
}
