// Package jwks verifies tokens of Burnkey in an API.
//
// A Follower keeps the published keys of a workspace up to date, a Verifier checks tokens against
// them, and Middleware answers requests without a valid token.
//
// The package publish serves the keys.
package jwks

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
)

// Every key is an RSA-2048 key with the exponent 65537, for RS256.
const (
	ModulusBits = 2048
	ModulusLen  = ModulusBits / 8
	Exponent    = 65537
)

// ErrKey is wrapped by every error about an invalid key: not RSA-2048 with the exponent 65537, a private
// key, or a kid that is not the key's thumbprint.
var ErrKey = errors.New("invalid key")

// b64 is base64url without padding (RFC 7515 section 2). It refuses non-canonical endings but skips CR and
// LF, so callers must also check the length.
var b64 = base64.RawURLEncoding.Strict()

// KID identifies a key: the SHA-256 thumbprint of its JWK (RFC 7638 section 3).
type KID [sha256.Size]byte

// KIDTextLen is the number of characters of a KID in text form.
const KIDTextLen = 43

// ParseKID reads the text form of a KID: canonical base64url.
func ParseKID(s string) (KID, error) {
	var kid KID
	if len(s) != KIDTextLen {
		return KID{}, fmt.Errorf("%w: a kid has %d characters, not %d", ErrKey, KIDTextLen, len(s))
	}
	if n, err := b64.Decode(kid[:], []byte(s)); err != nil || n != len(kid) {
		return KID{}, fmt.Errorf("%w: the kid is not canonical base64url", ErrKey)
	}
	return kid, nil
}

// String returns the text form, which JWKs and token headers contain.
func (k KID) String() string { return b64.EncodeToString(k[:]) }

// MarshalText returns the text form.
func (k KID) MarshalText() ([]byte, error) { return b64.AppendEncode(nil, k[:]), nil }

// UnmarshalText reads the text form, as ParseKID does.
func (k *KID) UnmarshalText(text []byte) (err error) {
	*k, err = ParseKID(string(text))
	return err
}

// Key is the public half of an API key. It is a comparable value of 288 bytes without pointers.
type Key struct {
	kid KID
	n   [ModulusLen]byte
}

// FromModulus returns the Key with a big-endian modulus and computes its kid. The modulus must be odd and
// have exactly ModulusBits bits. Errors wrap ErrKey.
func FromModulus(n []byte) (Key, error) {
	if len(n) != ModulusLen || n[0]&0x80 == 0 || n[ModulusLen-1]&1 == 0 {
		return Key{}, fmt.Errorf("%w: the modulus must be an odd number of %d bits", ErrKey, ModulusBits)
	}
	var k Key
	copy(k.n[:], n)
	k.kid = thumbprint(&k.n)
	return k, nil
}

// FromPublicKey returns the Key of an RSA public key. Errors wrap ErrKey.
func FromPublicKey(pub *rsa.PublicKey) (Key, error) {
	if pub == nil || pub.N == nil || pub.E != Exponent || pub.N.Sign() <= 0 {
		return Key{}, fmt.Errorf("%w: not an RSA key with e = %d", ErrKey, Exponent)
	}
	return FromModulus(pub.N.Bytes())
}

// KID returns the key's identifier.
func (k Key) KID() KID { return k.kid }

// Compare compares the key's kid with another kid, like bytes.Compare.
func (k *Key) Compare(kid *KID) int { return bytes.Compare(k.kid[:], kid[:]) }

// Modulus returns a copy of the modulus: ModulusLen bytes, big-endian.
func (k Key) Modulus() []byte { return k.n[:] }

// PublicKey returns the key for crypto/rsa.
func (k Key) PublicKey() *rsa.PublicKey {
	return &rsa.PublicKey{N: new(big.Int).SetBytes(k.n[:]), E: Exponent}
}

// thumbprint hashes the required members in lexicographic order, without white space (RFC 7638 sections 3.2
// and 3.3).
func thumbprint(n *[ModulusLen]byte) KID {
	const head, tail = `{"e":"AQAB","kty":"RSA","n":"`, `"}`
	buf := make([]byte, 0, len(head)+modText+len(tail))
	buf = append(buf, head...)
	buf = b64.AppendEncode(buf, n[:])
	buf = append(buf, tail...)
	return sha256.Sum256(buf)
}

// Fingerprint is the exclusive or of all kids of a set. It distinguishes sets with different keys, whatever
// their versions. It detects accidents, such as a different history under the same version, but not
// attacks: anyone who can choose keys can make two sets with the same fingerprint.
type Fingerprint [sha256.Size]byte

// Toggle adds a kid to the fingerprint, or removes it if it was added before.
func (f *Fingerprint) Toggle(kid *KID) {
	for i := range f {
		f[i] ^= kid[i]
	}
}

// String returns base64url of KIDTextLen characters.
func (f Fingerprint) String() string { return b64.EncodeToString(f[:]) }
