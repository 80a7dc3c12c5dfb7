package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
)

// Home is the workspace of the server itself: its keys are the management keys.
const Home = jwks.HomeWorkspace

// ErrNoAuthority means that the key or session that authorizes a change is revoked, expired or
// ended. Nothing was changed.
var ErrNoAuthority = errors.New("the caller's key is revoked or their session is over")

// Authority is what authorizes a change: a management key or a portal session. The zero
// Authority is the server's own, which is always valid.
type Authority struct {
	// Key is a key of Home. It is valid while it is published and not expired.
	Key uuid.UUID
	// Session is the hash of a session. It is valid while the session is stored and not expired, and the key
	// MadeBy, if any, is not revoked.
	Session [32]byte
	// Now returns the time of the check; nil means time.Now. It runs within the transaction and must not call
	// the store.
	Now func() time.Time
}

type authorityKey struct{}

// Under returns a context in which the authority a authorizes a Store's changes.
func Under(ctx context.Context, a Authority) context.Context {
	return context.WithValue(ctx, authorityKey{}, a)
}

// AuthorityOf returns the authority of a context, by default the server's own.
func AuthorityOf(ctx context.Context) Authority {
	a, _ := ctx.Value(authorityKey{}).(Authority)
	return a
}

// Own reports whether a is the server's own authority.
func (a Authority) Own() bool { return a.Key == uuid.Nil && a.Session == [32]byte{} }

// Name returns a string that identifies the authority, for limits per authority.
func (a Authority) Name() string { return string(a.Key[:]) + string(a.Session[:]) }

// Time returns the time at which the authority's validity is checked.
func (a Authority) Time() time.Time {
	if a.Now == nil {
		return time.Now()
	}
	return a.Now()
}

// Terms checks a new key against the workspace as it is in the transaction that stores the key, and returns how
// many keys the owner can have (0: unlimited). If it returns an error, the key is not stored. Terms must not
// call the store, and can be called several times for one key. A nil Terms allows everything.
type Terms func(w *Workspace) (perOwner int, err error)
