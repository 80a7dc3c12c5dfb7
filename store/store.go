// Package store says what Burnkey keeps and what a backend must promise. The
// backends are in the folders below; storetest holds them to this contract.
package store

import (
	"context"
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
	// ErrNotActive: the key is in no state for that; it was rotated or revoked, or
	// has expired.
	ErrNotActive = errors.New("the key is not active")
	// ErrTooMany: the owner has as many keys as are allowed.
	ErrTooMany = errors.New("the owner has too many keys")
	// ErrDamaged: a row of a key, of the set or of the log is none that was written, or is missing.
	ErrDamaged = errors.New("the database is damaged")
)

// IdempotencyError says which key was issued under an idempotency key before.
// It matches ErrIdempotencyKey.
type IdempotencyError struct {
	ID uuid.UUID
	// Other means that the earlier request was a different one: its digest differs.
	Other bool
}

func (e *IdempotencyError) Error() string {
	return fmt.Sprintf("the idempotency key was used already, for key %s", e.ID)
}

// Is makes errors.Is(err, ErrIdempotencyKey) hold.
func (e *IdempotencyError) Is(target error) bool { return target == ErrIdempotencyKey }

// Store keeps workspaces, keys and what they publish, sessions and the audit.
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
//
// Each change writes its entry into the audit in the same transaction, with the
// Actor of its context; the methods that do say which Action.
//
// Each change is authorized by the Authority of its context, checked in the same transaction.
// If that is being revoked or ended, one of the two waits for the other, so nothing changes
// after the call that ended it has returned. The error is ErrNoAuthority; where another error
// applies, too, either may be returned.
type Store interface {
	// CreateWorkspace keeps w with version 1, which publishes its tombstone: a
	// key that never signed a token, so that the set is never empty. CreatedAt
	// is kept as given and UpdatedAt is set to it. ErrExists. ActionWorkspaceCreate.
	CreateWorkspace(ctx context.Context, w Workspace, tombstone jwks.Key) (Workspace, error)
	// Workspace returns one workspace. ErrNotFound.
	Workspace(ctx context.Context, id string) (Workspace, error)
	// Workspaces lists workspaces by id, without their Policy and Portal. Next is like that of
	// Keys.
	Workspaces(ctx context.Context, f WorkspaceFilter) (list []Workspace, next string, err error)
	// UpdateWorkspace lets change alter a workspace within the transaction that
	// keeps it; an error of change is returned and nothing is kept. ID, Version,
	// CreatedAt and Usage stay as they were whatever change does. Portal.Logo takes the
	// place of the logo that there is; without one, that stays, or goes if change empties
	// Portal.LogoHash. ErrNotFound. ActionWorkspaceUpdate.
	UpdateWorkspace(ctx context.Context, id string, change func(*Workspace) error) (Workspace, error)
	// Logo returns a workspace's logo. ErrNotFound, also if it has none.
	Logo(ctx context.Context, workspace string) ([]byte, error)

	// Issue keeps the record k and publishes pub in one transaction that raises
	// the workspace's version; k.KID and k.Version are set, not read, and the key
	// starts neither revoked nor rotated nor used. ErrNotFound: no such workspace. Then, in
	// this order, *IdempotencyError: k.IdempotencyKey was used in this workspace. An error of
	// terms. ErrDuplicateKID: the workspace has had this key. ErrExists: it has the id.
	// ErrTooMany: the owner has at least as many keys as terms allows that are Active at
	// k.CreatedAt; of those who issue at once, none gets past it. ActionKeyIssue.
	Issue(ctx context.Context, k Key, pub jwks.Key, terms Terms) (Key, error)
	// Revoke deletes a key's JWK from the published set, in one transaction that
	// raises the workspace's version and keeps the time, which must not be zero. A
	// key that Retire took from the set for its age gets the time alone: no version
	// is raised, and RevokedVersion stays 0. A key that was revoked before is
	// returned as it is, once that is durable. It ends a grace early. ErrNotFound.
	// ActionKeyRevoke.
	Revoke(ctx context.Context, workspace string, id uuid.UUID, at time.Time) (Key, error)
	// Key returns one record. ErrNotFound.
	Key(ctx context.Context, workspace string, id uuid.UUID) (Key, error)
	// KeyByKID returns the record with a kid, revoked ones among them. It is one look
	// into an index, since anybody may ask for it. ErrNotFound.
	KeyByKID(ctx context.Context, workspace string, kid jwks.KID) (Key, error)
	// CountKeys counts an owner's keys that are Active or Deprecated at a time, up to most. It
	// uses an index.
	CountKeys(ctx context.Context, workspace, owner string, status Status, at time.Time, most int) (int, error)
	// Standing returns ErrNoAuthority if the Authority of ctx is not valid. That may change at
	// once: the check within a change is what counts.
	Standing(ctx context.Context) error
	// KeyByIdempotencyKey returns the record issued under a key. ErrNotFound.
	KeyByIdempotencyKey(ctx context.Context, workspace, key string) (Key, error)
	// Keys lists a workspace's records from the highest id to the lowest: ids
	// are UUIDv7, so the newest come first and a record that is added while
	// somebody pages shifts none of the later pages. An unknown workspace is an
	// empty list. Next is the id after which to continue, uuid.Nil at the end: a list that ends
	// at a bound of f may be short or empty without being at its end.
	Keys(ctx context.Context, workspace string, f Filter) (list []Key, next uuid.UUID, err error)
	// UpdateKey lets change alter a record's Name, Metadata and UpdatedAt within the
	// transaction that keeps it; an error of change is returned and nothing is kept.
	// Other fields stay as they were whatever change does. ErrNotFound.
	// ActionKeyUpdate.
	UpdateKey(ctx context.Context, workspace string, id uuid.UUID, change func(*Key) error) (Key, error)

	// Published yields a workspace's published keys in the order of their kids,
	// as of one version, which it returns. An error of yield ends it and is
	// returned. Memory does not grow with the set. ErrNotFound, ErrDamaged.
	Published(ctx context.Context, workspace string, yield func(jwks.Key) error) (uint64, error)
	// Tombstone returns the published key that CreateWorkspace was given. It may look
	// at every key of the workspace. ErrNotFound, ErrDamaged.
	Tombstone(ctx context.Context, workspace string) (jwks.Key, error)
	// Changes returns the changes behind version after, oldest first, without a
	// gap, at most limit of them; none if there is none. ErrNotFound, ErrDamaged.
	// ErrCompacted: the change that follows after was dropped by Compact.
	Changes(ctx context.Context, workspace string, after uint64, limit int) ([]jwks.Change, error)
	// Compact drops the changes up to and including version through from the
	// log, but never the latest one; the published set stays as it is. It may drop
	// fewer at once than there are and says whether it should be called again.
	// ErrNotFound.
	Compact(ctx context.Context, workspace string, through uint64) (more bool, err error)
	// Versions yields the version and the fingerprint of every workspace, in no order. The
	// fingerprint is that of the published set, also after changes that were made directly in the
	// database, or zero where the backend can't tell. It is read from the workspace's row, so no
	// damage to the set shows in it. An error of yield ends it and is returned.
	Versions(ctx context.Context, yield func(workspace string, version uint64, print jwks.Fingerprint) error) error

	// Watch calls wake when some process has raised a workspace's version, and
	// with "" when it may have missed that and every workspace is to be looked at:
	// always once at its beginning. It is a hint that comes soon, if at all: what
	// counts is Versions, to be asked from time to time. A backend that has no
	// such hints only waits. Calls do not overlap, and wake must not call the store.
	// It returns when the context ends, with its error, or when the connection was
	// lost, to be called again.
	Watch(ctx context.Context, wake func(workspace string)) error

	RotationStore
	SessionStore
	UsageStore
	AuditStore

	// Ping reports whether the database answers.
	Ping(ctx context.Context) error
	// Close releases everything; the store can't be used after it.
	Close() error
}
