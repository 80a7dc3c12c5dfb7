package store

import (
	"context"

	"github.com/burnkey/burnkey/jwks"
)

// PublishedStore is the part of Store that a server publishes from: each workspace's published set
// and the log of its changes.
type PublishedStore interface {
	// Published yields a workspace's published keys with their attributes, ordered by kid, and returns their
	// version, the limits that keys share, without sets that have no rules, and the settings, nil if all have their
	// defaults, and the imported keys. All are exactly those of that version. An error of yield ends the call and is
	// returned. Memory use does not grow with the set of keys, except the imported ones. Errors: ErrNotFound, ErrDamaged.
	Published(ctx context.Context, workspace string, yield func(jwks.Key, jwks.Attributes) error) (
		version uint64, unsigned jwks.Unsigned, err error)
	// Tombstone returns the published key that CreateWorkspace was given: it is neither a key's nor a signer's. It may
	// scan all keys of the workspace. Errors: ErrNotFound, ErrDamaged.
	Tombstone(ctx context.Context, workspace string) (jwks.Key, error)
	// Changes returns up to `limit` changes after the version `after`, with their unsigned parts, oldest first
	// and without a gap. The list can be empty, and so can a change. Errors: ErrNotFound, ErrDamaged.
	// ErrCompacted: Compact dropped the first of these changes.
	Changes(ctx context.Context, workspace string, after uint64, limit int) ([]jwks.Change, error)
	// Compact drops the changes up to and including the version `through` from the log, but never the latest
	// change. The published set stays as it is. If more is true, Compact dropped only some of these changes:
	// call it again. Errors: ErrNotFound.
	Compact(ctx context.Context, workspace string, through uint64) (more bool, err error)
	// Versions yields the version of every workspace's published set and its fingerprint, in no particular
	// order. Both are read from the workspace's row, so they do not show whether rows of the set are corrupt.
	// The fingerprint includes the kids of imported keys, and changes made directly in the database; it is zero
	// if the backend does not know it. An error of yield ends the call and is returned.
	Versions(ctx context.Context, yield func(workspace string, version uint64, print jwks.Fingerprint) error) error
	// Watch calls wake when another process may have raised a workspace's version, and with "" when Watch may
	// have missed such a change of any workspace, always once at the start. These are hints: they come soon or
	// not at all, so call Versions from time to time as well. A backend without hints only waits. Calls of wake
	// do not overlap, and wake must not call the store. Watch returns the context's error when the context
	// ends, or an error if the connection was lost; it can then be called again.
	Watch(ctx context.Context, wake func(workspace string)) error
}
