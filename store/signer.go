package store

import (
	"context"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// Signer is a key pair with which a server signs access tokens. Its JWK is in the workspace's set until RemoveAt. It has no
// Key record.
type Signer struct {
	Workspace string
	KID       jwks.KID
	UsableAt  time.Time // the first signature comes after this time, when all caches have the JWK
	EndsAt    time.Time // the last signature comes before this time
	RemoveAt  time.Time // by then, all tokens have expired
}

// MaxSigners is the maximum number of signers of a workspace.
const MaxSigners = 64

// Exchange is the part of a Policy that allows keys to be exchanged for access tokens. The zero Exchange is off.
type Exchange struct {
	Enabled      bool  `json:"enabled,omitempty"`
	MaxExpiresIn int64 `json:"max_expires_in,omitempty"` // seconds; 0: the server's own
	// MaxCacheAge is how many seconds clients of the workspace may cache its set; 0: the server's own.
	MaxCacheAge int64 `json:"max_cache_age,omitempty"`
	// PerMinute is how many tokens a key gets from a server in a minute; 0: the server's own.
	PerMinute int `json:"per_minute,omitempty"`
}

// Exchanging is a workspace with an Exchange that is on.
type Exchanging struct {
	Workspace string
	Exchange
}

// SignerStore is the part of Store for the exchange of keys for access tokens. Signers are no changes by a caller, so they
// add no entry to the audit.
type SignerStore interface {
	// PublishSigner stores s, with the kid of pub, and adds pub to the published set, in one transaction that raises the
	// version, which it returns. Errors: ErrNotFound, ErrDuplicateKID. ErrTooMany: the workspace has MaxSigners.
	PublishSigner(ctx context.Context, s Signer, pub jwks.Key) (version uint64, err error)
	// Signers returns a workspace's signers, those that are removed first at the beginning.
	Signers(ctx context.Context, workspace string) ([]Signer, error)
	// EndSigners sets EndsAt and RemoveAt of signers to these times, unless they are earlier. Other kids are ignored.
	EndSigners(ctx context.Context, workspace string, kids []jwks.KID, ends, remove time.Time) error
	// SignersDue returns up to `limit` workspaces with signers whose RemoveAt is `at` or earlier. It uses an index.
	SignersDue(ctx context.Context, at time.Time, limit int) (workspaces []string, err error)
	// RemoveSigners deletes the signers of a workspace whose RemoveAt is `at` or earlier, with their JWKs, in one transaction
	// that raises the version once for all of them. Without such signers, it returns no kids and raises no version.
	RemoveSigners(ctx context.Context, workspace string, at time.Time) (kids []jwks.KID, version uint64, err error)
	// Exchanging returns up to `limit` workspaces whose Policy.Exchange is enabled, by id. It uses an index.
	Exchanging(ctx context.Context, limit int) ([]Exchanging, error)
	// KeyForExchange returns the record with a kid, also if it is revoked, without LastUsedAt, and the workspace's
	// policy, in one state of the database. It is one look-up in an index, because anybody can cause this call. Errors: ErrNotFound.
	KeyForExchange(ctx context.Context, workspace string, kid jwks.KID) (Key, Policy, error)
}
