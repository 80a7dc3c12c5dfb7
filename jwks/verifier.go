package jwks

import (
	"slices"
	"time"
)

// Keys are published keys: a Follower, a Table, a KeyFunc, or a set or index of the package publish.
type Keys interface {
	// Lookup returns the published key with this kid.
	Lookup(kid KID) (Key, bool)
}

// KeyFunc makes Keys of a function.
type KeyFunc func(KID) (Key, bool)

// Lookup calls f.
func (f KeyFunc) Lookup(kid KID) (Key, bool) { return f(kid) }

// tabled is implemented by Keys that have a Table, with the hash of the token that each key signed.
type tabled interface{ keyTable() *Table }

// Verifier verifies the tokens of a workspace. With a Table or a Follower, verifying a token again costs
// only a hash and a comparison while its key is published. The fields must not change after the first use.
// A Verifier is safe for concurrent use if Keys and Now are.
type Verifier struct {
	Keys Keys
	// Issuer reports whether a token's iss is accepted. If nil, every token is refused.
	Issuer func(iss string) bool
	// Audience lists audiences. A token must have at least one of them. If empty, every token is refused,
	// unless AnyAudience is set. A workspace can have several audiences for different APIs.
	Audience    []string
	AnyAudience bool
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Verify returns the claims of a valid token. Errors wrap one of ErrMalformed, ErrUnknown,
// ErrSignature, ErrClaims, ErrIssuer, ErrAudience and ErrExpired, which are checked in that order.
func (v *Verifier) Verify(token string) (*Claims, error) {
	claims := new(Claims)
	if err := v.VerifyInto(token, claims); err != nil {
		return nil, err
	}
	return claims, nil
}

// VerifyInto does the same as Verify but writes to claims and reuses the array of Audience. After an error,
// claims is undefined. VerifyInto allocates once for a token that was verified before.
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

// names reports whether the token has one of the audiences.
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

// Authentic returns the claims of a token that a published key signed, without checking the issuer, the
// audience and exp. These claims are enough for the token's holder to revoke it. Errors wrap one of the
// first four of Verify.
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
	var table *Table // with an interface, parsed and key would escape to the heap
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

// verify checks the signature and reads the claims. known reports whether readKnown can read the same claims.
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
