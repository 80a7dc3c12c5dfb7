// Package store defines what Burnkey stores: the records, and in the comments of Store the contract of a
// backend. The backends are in the folders below; package storetest tests them against this contract.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
)

// Errors of a Store, for errors.Is. Any other error means that the backend failed; the call may
// have taken effect or not.
var (
	ErrNotFound       = errors.New("not found")
	ErrExists         = errors.New("already exists")
	ErrDuplicateKID   = errors.New("a key with this kid already exists")
	ErrIdempotencyKey = errors.New("the idempotency key was already used")
	ErrCompacted      = errors.New("the change log does not reach back that far")
	// ErrNotActive: the key was rotated, suspended or revoked, or has expired.
	ErrNotActive = errors.New("the key is not active")
	// ErrTooMany: the owner has as many keys or open requests, or the workspace has as many sets of limits, open
	// requests or environments, as allowed.
	ErrTooMany = errors.New("there are too many")
	// ErrNoPlan: the workspace has no plan with the name in a key.
	ErrNoPlan = errors.New("the plan does not exist")
	// ErrInUse: a key that is published or suspended has the plan.
	ErrInUse = errors.New("keys have the plan")
	// ErrDecided: the request is not open.
	ErrDecided = errors.New("the request is already decided")
	// ErrDamaged: a stored row is corrupt or missing.
	ErrDamaged = errors.New("the database is damaged")
)

// IdempotencyError names the key that was issued earlier under an idempotency key. It matches
// ErrIdempotencyKey.
type IdempotencyError struct {
	ID uuid.UUID
	// Other means that the earlier request was a different request: its digest differs.
	Other bool
}

func (e *IdempotencyError) Error() string {
	return fmt.Sprintf("the idempotency key was already used, for key %s", e.ID)
}

// Is makes errors.Is(err, ErrIdempotencyKey) true.
func (e *IdempotencyError) Is(target error) bool { return target == ErrIdempotencyKey }

// Store stores workspaces, keys, published sets, sessions and the audit.
//
// All methods are safe for concurrent use, also by several processes on the same database. A method that
// changes something makes all of its changes or none, and when it returns nil, they are durable: they survive a
// kill of the process and a power cut. If the context is cancelled, a call can end early, and its change may
// have been made or not.
//
// Times are stored in UTC, truncated to the microsecond. Strings and JSON must be UTF-8 without NUL
// and are returned byte for byte. A nil slice is returned empty unless its field says otherwise, and nil JSON as {}. A limit must be
// positive. Functions that are passed in, such as change and yield, must not call the store.
//
// Each change adds an entry to the audit in the same transaction, with the Actor of the context; the comment of
// each method names the Action after "Audit:".
//
// Each change is authorized by the Authority of the context, which is checked in the same transaction. If
// another call revokes or ends the authority, one of the two calls waits for the other: once the call that ends
// the authority has returned, no change is made under it. The error is ErrNoAuthority; if another error applies
// as well, either can be returned.
type Store interface {
	// CreateWorkspace stores w at version 1, which publishes its tombstone: a key for which no token was ever
	// signed, so that the set is never empty. Settings that are not the defaults are published as version 2. CreatedAt
	// is stored as given, also as UpdatedAt. An environment gets the parts that it inherits, and copies of the plans,
	// from its first workspace; the plans raise its version. Errors: ErrExists. ErrNoFirst, ErrTooMany and
	// ErrSameEnvironment: an environment can't be tied to this workspace or have this name. Audit:
	// ActionWorkspaceCreate.
	CreateWorkspace(ctx context.Context, w Workspace, tombstone jwks.Key) (Workspace, error)
	// Workspace returns one workspace. Errors: ErrNotFound.
	Workspace(ctx context.Context, id string) (Workspace, error)
	// Workspaces lists workspaces by id, without their Policy and Portal. next is as for Keys.
	Workspaces(ctx context.Context, f WorkspaceFilter) (list []Workspace, next string, err error)
	// UpdateWorkspace calls change with the workspace and stores the result, in one transaction. A change of Settings
	// raises the version, which publishes them. An error of change is returned and nothing is stored. Changes to ID,
	// EnvironmentOf, Version, CreatedAt and Usage are ignored. A Portal.Logo replaces the stored logo; without one, the
	// stored logo stays, or is deleted if change empties Portal.LogoHash. Parts that an environment inherits are those
	// of its first workspace, whatever change does to them; a change of the first workspace also changes its
	// environments. Errors: ErrNotFound. ErrSameEnvironment. Audit: ActionWorkspaceUpdate, for each workspace that
	// differs.
	UpdateWorkspace(ctx context.Context, id string, change func(*Workspace) error) (Workspace, error)
	// Logo returns a workspace's logo. ErrNotFound: no such workspace, or it has no logo.
	Logo(ctx context.Context, workspace string) ([]byte, error)

	// Issue stores the record k and publishes pub with the key's attributes, in one transaction that raises the
	// workspace's version. It sets KID and Version, and ignores the fields of k for revocation, suspension,
	// rotation and use. Errors, in this order: ErrNotFound: no such workspace. *IdempotencyError:
	// k.IdempotencyKey was already used in this workspace. An error of terms. ErrNoPlan. ErrDuplicateKID: the
	// workspace has or had a key with this kid. ErrExists: it has a key with this id. ErrTooMany: at
	// k.CreatedAt, the owner has at least as many Active and suspended keys as terms allows; concurrent calls
	// don't exceed this limit either. If k has a Parent, also, after that of terms: ErrNoParent, ErrBeyondParent,
	// ErrManyChildren. Audit: ActionKeyIssue.
	Issue(ctx context.Context, k Key, pub jwks.Key, terms Terms) (Key, error)
	// Revoke removes a key's JWK from the published set and stores the time `at`, which must not be zero, in
	// one transaction that raises the workspace's version. It also ends a grace period early. If Retire removed
	// the key because it expired, only the time is stored: the version stays, and RevokedVersion is 0. The JWK
	// of a suspended key is not in the set: the change of that version is empty. A key that is already revoked
	// is returned unchanged, once its revocation is durable. Published and suspended keys under the key are revoked
	// with it, in the versions before that of the key. Errors: ErrNotFound. Audit: ActionKeyRevoke of each.
	Revoke(ctx context.Context, workspace string, id uuid.UUID, at time.Time) (Key, error)
	// Key returns one record. Errors: ErrNotFound.
	Key(ctx context.Context, workspace string, id uuid.UUID) (Key, error)
	// KeyByKID returns the record with a kid, also if it is revoked. It is one lookup in an index, because
	// anybody can cause this call. Errors: ErrNotFound.
	KeyByKID(ctx context.Context, workspace string, kid jwks.KID) (Key, error)
	// SuspendedJWK returns the JWK of a suspended key. Errors: ErrNotFound, also if the key is not suspended.
	SuspendedJWK(ctx context.Context, workspace string, kid jwks.KID) (jwks.Key, error)
	// CountKeys counts, up to `most`, an owner's keys with a status (Active or Deprecated) at a time, also those
	// that are suspended. It uses an index.
	CountKeys(ctx context.Context, workspace, owner string, status Status, at time.Time, most int) (int, error)
	// Standing returns ErrNoAuthority if the Authority of ctx is not valid. The Authority can become invalid
	// right afterwards: only the check in the transaction of a change is binding.
	Standing(ctx context.Context) error
	// KeyByIdempotencyKey returns the record issued under an idempotency key. Errors: ErrNotFound.
	KeyByIdempotencyKey(ctx context.Context, workspace, key string) (Key, error)
	// Keys lists a workspace's records from the highest id to the lowest. Ids are UUIDv7, so the newest come
	// first, and records that are added between two pages do not shift the later ones. The list of an unknown
	// workspace is empty. next is the id after which the next page starts. Only uuid.Nil marks the end of the
	// list, because a bound in f can make any page short or empty.
	Keys(ctx context.Context, workspace string, f Filter) (list []Key, next uuid.UUID, err error)
	// UpdateKey calls change with the workspace and the record, and stores the record, in one transaction that
	// raises the version once if the published set or the key's attributes change. An error of change is
	// returned and nothing is stored. The fields Name, Metadata, UpdatedAt, SuspendedAt,
	// SuspendedReason, SuspendedBy, ExpiresAt, Scopes, AllowedIPs, Plan, Limits and Ceiling can change; other changes, also
	// of the workspace, are ignored. While SuspendedAt is set, the key's JWK is not in the set; a later time does not replace an
	// earlier. The store keeps in Signed what the token says. Errors: ErrNotFound. ErrNotActive: a field other
	// than Name, Metadata and UpdatedAt changes, and at the new UpdatedAt the key is Revoked or Expired.
	// ErrNoPlan: the workspace does not have the new plan. ErrBeyondParent: the key could do what its parent can't.
	// ErrDamaged. Keys under the key are narrowed, suspended and resumed with it (Follow), in versions of their own before
	// that of the key. A key whose parent is suspended is suspended ByParent instead of Active. Audit: ActionKeyUpdate of each.
	UpdateKey(ctx context.Context, workspace string, id uuid.UUID, change func(*Workspace, *Key) error) (Key, error)

	PublishedStore
	ImportStore
	RotationStore
	SignerStore
	SessionStore
	UsageStore
	LimitStore
	RequestStore
	OperatorStore
	AuditStore
	RestoreStore

	// Ping reports whether the database answers.
	Ping(ctx context.Context) error
	// Close releases all resources. The store can't be used after it.
	Close() error
}
