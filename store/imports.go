package store

import (
	"context"
	"errors"

	"github.com/burnkey/burnkey/jwks"
)

// ErrDigest: a key of another owner or of another workspace has the digest.
var ErrDigest = errors.New("the digest is already in use")

// ImportTerms checks imported keys against the workspace as it is in the transaction that stores them. It returns the check
// of one key, which can also complete it, and how many keys an owner can have (0: unlimited). Neither must call the store,
// and both can be called several times. A nil ImportTerms allows everything.
type ImportTerms func(w *Workspace) (check func(*Key) error, perOwner int, err error)

// ImportResult is what became of one key of an import.
type ImportResult struct {
	Key    Key   // the record; zero after an error
	New    bool  // the call has stored it
	Exists bool  // the workspace has or had the key, of the same owner: nothing was changed
	Err    error // why it was not stored; nil: it is new or exists
}

// ImportStore is the part of Store that stores keys that other systems issued.
type ImportStore interface {
	// Import stores those of the keys that can be stored, each with its Digest, ID and CreatedAt, in one transaction that
	// raises the version once if any is stored. It sets KID and Version, and ignores the fields that Issue ignores, and the
	// idempotency key. A digest is unique in all workspaces for good, also of revoked keys. The results are in the order of
	// the keys. Their errors: ErrDigest. An error of terms. ErrNoPlan. ErrTooMany as in Issue, which also counts keys of the
	// same call. Errors: ErrNotFound: no such workspace. An error of terms for the workspace. ErrDuplicateKID: a key
	// has one of the ids; nothing is stored. Audit: ActionKeyImport, for each key that is stored.
	Import(ctx context.Context, workspace string, keys []Key, terms ImportTerms) ([]ImportResult, error)
	// KeyByDigest returns the imported key with a digest, of any workspace, also if it is revoked. It is one lookup in an
	// index, because anybody can cause this call. Errors: ErrNotFound.
	KeyByDigest(ctx context.Context, d jwks.Digest) (Key, error)
}
