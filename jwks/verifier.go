package jwks

import (
	"errors"
	"net/netip"
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

// Verify returns the claims of a valid token. Errors wrap one of ErrMalformed, ErrUnknown, ErrSignature,
// ErrClaims, ErrIssuer, ErrPrefix, ErrAudience, ErrExpired and ErrAddress, which are checked in that order. Attributes
// of the key replace the token's scope and exp, and ErrExpired also means that its grace is over, or that a token whose
// key is unknown says that it has expired. The token's prefix must be that of the workspace if Keys know it, as from a
// Feed; otherwise any well-formed prefix is ignored. A key that can only be used from some networks is refused, since
// the address is unknown: use VerifyFrom.
func (v *Verifier) Verify(token string) (*Claims, error) { return v.VerifyFrom(token, netip.Addr{}) }

// VerifyFrom does the same as Verify for a token that a client with this address has sent.
func (v *Verifier) VerifyFrom(token string, from netip.Addr) (*Claims, error) {
	claims := new(Claims)
	if err := v.VerifyFromInto(token, from, claims); err != nil {
		return nil, err
	}
	return claims, nil
}

// VerifyInto does the same as Verify but writes to claims and reuses its arrays. After an error, claims is
// undefined. VerifyInto allocates once for a token that was verified before, and once more for attributes.
func (v *Verifier) VerifyInto(token string, claims *Claims) error {
	return v.VerifyFromInto(token, netip.Addr{}, claims)
}

// VerifyFromInto does the same as VerifyInto for a token that a client with this address has sent.
func (v *Verifier) VerifyFromInto(token string, from netip.Addr, claims *Claims) error {
	prefix, jwt := CutPrefix(token)
	if err := v.authentic(jwt, claims); errors.Is(err, ErrUnknown) && v.saysExpired(jwt) {
		return ErrExpired
	} else if err != nil {
		return err
	}
	if v.Issuer == nil || !v.Issuer(claims.Issuer) {
		return ErrIssuer
	}
	if !v.acceptsPrefix(prefix, claims.HasParent()) {
		return ErrPrefix
	}
	return v.admits(claims, from)
}

// admits checks the audience, the expiry and the client's address.
func (v *Verifier) admits(claims *Claims, from netip.Addr) error {
	if !v.AnyAudience && !claims.names(v.Audience) {
		return ErrAudience
	}
	if end := claims.ends(); !end.IsZero() && !v.now().Before(end) {
		return ErrExpired
	}
	if !claims.Attributes.Allows(from) {
		return ErrAddress
	}
	return nil
}

// acceptsPrefix reports whether a token's prefix is that of the workspace. The exchange issues tokens without a prefix.
func (v *Verifier) acceptsPrefix(prefix string, hasParent bool) bool {
	keys, has := v.Keys.(tabled)
	if !has {
		return true
	}
	settings := keys.keyTable().settings.Load()
	if hasParent {
		return settings == nil || prefix == ""
	}
	return settings == nil || prefix == settings.TokenPrefix || prefix == "" && v.now().Before(settings.BareUntil)
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

// saysExpired reports whether a token says that it has expired. Its key is no longer published, so the signature can't be
// verified. But "expired" tells the client more than "unknown", and an Envoy that verifies tokens answers the same.
func (v *Verifier) saysExpired(jwt string) bool {
	parsed, err := Parse(jwt)
	if err != nil {
		return false
	}
	claims, err := parsed.Claims()
	return err == nil && claims.Expiry != 0 && !v.now().Before(time.Unix(claims.Expiry, 0))
}

func (v *Verifier) now() time.Time {
	if v.Now != nil {
		return v.Now()
	}
	return time.Now()
}

// Authentic returns the claims of a token that a published key signed, without checking the issuer, the prefix, the
// audience, exp and the client's address. These claims are enough for the token's holder to revoke it. Errors
// wrap one of the first four of Verify.
func (v *Verifier) Authentic(token string) (*Claims, error) {
	claims := new(Claims)
	_, jwt := CutPrefix(token)
	if err := v.authentic(jwt, claims); err != nil {
		return nil, err
	}
	return claims, nil
}

// authentic verifies a token, and that its parent is published if it has one.
func (v *Verifier) authentic(token string, claims *Claims) error {
	var (
		parsed   Parsed
		key      Key
		d        digest
		ok       bool
		unsigned string // attributes in their compact form
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
		unsigned, signed, ok = table.recall(&parsed.KID, &d, &key)
		if signed || ok && parsed.Type == TypeAccessToken && table.recent.has(&d) {
			if err := claims.readKnown(parsed.Type, payload); err != nil {
				return err
			}
			return v.attribute(table, unsigned, claims)
		}
	} else {
		key, ok = v.Keys.Lookup(parsed.KID)
	}
	if !ok {
		return ErrUnknown
	}
	known, err := parsed.verify(key, payload, claims)
	switch {
	case err != nil:
		return err
	case !known || table == nil:
	case claims.HasParent():
		table.recent.add(d)
	default:
		table.remember(&parsed.KID, &d)
	}
	return v.attribute(table, unsigned, claims)
}

// attribute sets the attributes: those of the token's key, which are in their compact form, or those of its parent.
func (v *Verifier) attribute(table *Table, own string, claims *Claims) error {
	if claims.HasParent() {
		return v.underParent(table, claims)
	}
	claims.replace(own)
	return nil
}

// replace sets the attributes, which were in their compact form, and replaces claims by them. It reuses arrays.
func (c *Claims) replace(attributes string) {
	a := &c.Attributes
	scope := a.readBinary(attributes)
	if attributes == "" {
		return
	}
	if a.Scopes != nil {
		c.Scope = scope
	}
	if !a.ExpiresAt.IsZero() {
		c.Expiry = a.ExpiresAt.Unix()
	} else if a.NeverExpires {
		c.Expiry = 0
	}
}

// verify checks the signature and reads the claims. known reports whether readKnown can read the same claims.
func (p *Parsed) verify(key Key, payload string, claims *Claims) (known bool, err error) {
	if p.Payload, err = decodePayload(payload); err != nil {
		return false, err
	}
	if err := p.Check(key); err != nil {
		return false, err
	}
	if claims.readOwn(p.Type, payload) {
		return true, nil
	}
	read, err := p.Claims()
	if err != nil {
		return false, err
	}
	*claims = *read
	return claims.isKnownForm(p.Type, payload), nil
}
