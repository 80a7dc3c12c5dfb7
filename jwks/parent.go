package jwks

import (
	"crypto/subtle"
	"encoding/binary"
	"slices"
	"strings"
	"sync/atomic"
)

// HasParent reports whether the exchange issued the token for a key, its parent. Otherwise the token is a key.
func (c *Claims) HasParent() bool { return c.KeyKID != KID{} }

// RecordID returns the id of the token's key, or of its parent.
func (c *Claims) RecordID() string {
	if c.HasParent() {
		return c.KeyID
	}
	return c.ID
}

// underParent returns ErrUnknown unless the parent is published, and narrows the claims by its attributes.
func (v *Verifier) underParent(table *Table, claims *Claims) error {
	var (
		parent     Key
		attributes string
		ok         bool
	)
	switch {
	case claims.KeyImported && (table == nil || table.settings.Load() == nil):
		ok = true // only a feed has imported keys
	case claims.KeyImported:
		attributes, ok = table.importedAttributes(claims.KeyKID)
	case table == nil:
		_, ok = v.Keys.Lookup(claims.KeyKID)
	default:
		attributes, _, ok = table.recall(&claims.KeyKID, nil, &parent)
	}
	if !ok {
		return ErrUnknown
	}
	claims.narrow(attributes)
	return nil
}

// narrow sets the attributes of the parent, which are given in their compact form. They can't extend what the token allows.
func (c *Claims) narrow(attributes string) {
	a := &c.Attributes
	a.readBinary(attributes)
	if a.Scopes != nil {
		c.Scope = within(c.Scope, a.Scopes)
	}
	if !a.ExpiresAt.IsZero() {
		c.Expiry = max(1, min(c.Expiry, a.ExpiresAt.Unix())) // 0 would be never
	}
}

// within returns the scopes of a claim that are also in a list.
func within(scope string, list []string) string {
	fields := strings.Fields(scope)
	kept := slices.DeleteFunc(fields, func(s string) bool { return !slices.Contains(list, s) })
	return strings.Join(kept, " ")
}

// recent holds the hashes of access tokens that were already verified. A signer signs many tokens, so the hashes can't be
// stored with its key. A hash covers the whole token, including the kid, so it holds as long as that key is published. A
// new hash replaces the one in its place.
type recent struct {
	places atomic.Pointer[[recentPlaces]atomic.Pointer[digest]] // nil: there was no such token yet
}

const recentPlaces = 1 << 12 // up to 160 KB

func recentPlace(d *digest) uint32 { return binary.LittleEndian.Uint32(d[:]) % recentPlaces }

func (r *recent) has(d *digest) bool {
	places := r.places.Load()
	if places == nil {
		return false
	}
	known := places[recentPlace(d)].Load()
	return known != nil && subtle.ConstantTimeCompare(known[:], d[:]) == 1
}

func (r *recent) add(d digest) {
	if r.places.Load() == nil {
		r.places.CompareAndSwap(nil, new([recentPlaces]atomic.Pointer[digest]))
	}
	r.places.Load()[recentPlace(&d)].Store(&d)
}
