package store

import (
	"context"

	"github.com/burnkey/burnkey/jwks"
)

// PublishedStore is the part of Store that a server publishes from: each workspace's published set
// and the log of its changes.
type PublishedStore interface {
	// Published yields a workspace's published keys, ordered by kid, and returns their version. All of
	// them are of that version. An error of yield ends the call and is returned. Memory does not grow
	// with the set. ErrNotFound, ErrDamaged.
	Published(ctx context.Context, workspace string, yield func(jwks.Key) error) (uint64, error)
	// Tombstone returns the published key that CreateWorkspace was given. It may scan all keys of the
	// workspace. ErrNotFound, ErrDamaged.
	Tombstone(ctx context.Context, workspace string) (jwks.Key, error)
	// Changes returns the changes after version after, oldest first and without a gap, at most limit of
	// them. The list may be empty. ErrNotFound, ErrDamaged. ErrCompacted: Compact dropped the first of them.
	Changes(ctx context.Context, workspace string, after uint64, limit int) ([]jwks.Change, error)
	// Compact drops the changes up to and including version through from the log, but never the latest
	// one. The published set stays as it is. It may drop only some of them and then returns more: call
	// it again. ErrNotFound.
	Compact(ctx context.Context, workspace string, through uint64) (more bool, err error)
	// Versions yields the version of every workspace's published set and its fingerprint, in no order.
	// Both are read from the workspace's row, so they do not show whether rows of the set are corrupt.
	// The fingerprint includes changes made directly in the database; if a backend can't tell, it is
	// zero. An error of yield ends the call and is returned.
	Versions(ctx context.Context, yield func(workspace string, version uint64, print jwks.Fingerprint) error) error
	// Watch calls wake when another process may have raised a workspace's version, and with "" when it
	// may have missed that for any workspace, always once at the start. These are hints: they come soon
	// or not at all, so ask Versions from time to time as well. A backend without hints only waits.
	// Calls of wake do not overlap, and wake must not call the store. Watch returns the context's error
	// when that ends, or an error if the connection was lost; it can then be called again.
	Watch(ctx context.Context, wake func(workspace string)) error
}
