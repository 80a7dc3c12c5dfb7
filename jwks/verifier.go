package jwks

import (
	"slices"
	"time"
)

// Keys are the published keys that a Verifier goes by: an Index, a Set, a Table, a
// Follower, or KeyFunc.
type Keys interface {
	// Lookup returns the published key with this kid.
	Lookup(kid KID) (Key, bool)
}

// KeyFunc is a function as Keys.
type KeyFunc func(KID) (Key, bool)

// Lookup calls f.
func (f KeyFunc) Lookup(kid KID) (Key, bool) { return f(kid) }

// tabled are Keys that have the hash of the token that a key has signed with it.
type tabled interface{ keyTable() *Table }

// Verifier decides on tokens of one workspace. A token that it verified by a Table
// or a Follower costs a hash and a comparison from then on, for as long as its key
// is published. Its fields are not to be changed once it is in use; it is safe for
// concurrent use if Keys and Now are.
type Verifier struct {
	Keys Keys
	// Issuer accepts a token's iss. Nil refuses every token.
	Issuer func(iss string) bool
	// Audience lists audiences, one of which a token must have. If empty, every token is
	// refused, unless AnyAudience is set. A workspace may have several audiences for different
	// APIs.
	Audience    []string
	AnyAudience bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Verify returns the claims of a token that is good now. Errors wrap one of
// ErrMalformed, ErrUnknown, ErrSignature, ErrClaims, ErrIssuer, ErrAudience
// and ErrExpired, found in that order.
func (v *Verifier) Verify(token string) (*Claims, error) {
	claims := new(Claims)
	if err := v.VerifyInto(token, claims); err != nil {
		return nil, err
	}
	return claims, nil
}

// VerifyInto is Verify into claims that can be used again: of them, the array
// behind Audience is, and all else is new. After an error they are of no meaning.
// A token that was verified before costs one allocation.
func (v *Verifier) VerifyInto(token string, claims *Claims) error {
	if err := v.authentic(token, claims); err != nil {
		return err
	}
	if v.Issuer == nil || !v.Issuer(claims.Issuer) {
		return ErrIssuer
	}
	if !v.AnyAudience && !claims.names(v.Audience) {
		return ErrAudience
	}
	if end := claims.ExpiresAt(); !end.IsZero() && !v.now().Before(end) {
		return ErrExpired
	}
	return nil
}

// names reports whether the token is for one of the audiences.
func (c *Claims) names(audience []string) bool {
	for _, aud := range audience {
		if slices.Contains(c.Audience, aud) {
			return true
		}
	}
	return false
}

func (v *Verifier) now() time.Time {
	if v.Now != nil {
		return v.Now()
	}
	return time.Now()
}

// Authentic returns the claims of a token that a published key signed, whether
// or not it is still good, for this audience, of this issuer: enough for its
// holder to revoke it. Errors are the first four of Verify's.
func (v *Verifier) Authentic(token string) (*Claims, error) {
	claims := new(Claims)
	if err := v.authentic(token, claims); err != nil {
		return nil, err
	}
	return claims, nil
}

func (v *Verifier) authentic(token string, claims *Claims) error {
	var (
		parsed Parsed
		key    Key
		d      digest
		ok     bool
	)
	payload, err := parsed.split(token)
	if err != nil {
		return err
	}
	var table *Table // not an interface, for which all of this would go to the heap
	if keys, has := v.Keys.(tabled); has {
		table = keys.keyTable()
		d = hash(token)
		var signed bool
		if signed, ok = table.recall(&parsed.KID, &d, &key); signed {
			return claims.readKnown(payload)
		}
	} else {
		key, ok = v.Keys.Lookup(parsed.KID)
	}
	if !ok {
		return ErrUnknown
	}
	known, err := parsed.verify(key, payload, claims)
	if err == nil && known && table != nil {
		table.remember(&parsed.KID, &d)
	}
	return err
}

// verify checks the signature and reads the claims. It reports whether readKnown
// reads them as well.
func (p *Parsed) verify(key Key, payload string, claims *Claims) (known bool, err error) {
	if p.Payload, err = decodePayload(payload); err != nil {
		return false, err
	}
	if err := p.Check(key); err != nil {
		return false, err
	}
	if claims.readOwn(payload) {
		return true, nil
	}
	read, err := p.Claims()
	if err != nil {
		return false, err
	}
	*claims = *read
	return claims.isKnownForm(payload), nil
}
