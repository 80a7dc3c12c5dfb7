// Package jwks is the public half of Burnkey: keys, the published set and its
// wire forms, and the verification of tokens against it. It knows neither how
// keys are stored nor how they are issued.
package jwks

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
)

// Every key of Burnkey has this shape: RSA-2048 with e = 65537, for RS256.
const (
	ModulusBits = 2048
	ModulusLen  = ModulusBits / 8
	Exponent    = 65537
)

// ErrKey is what every refusal of a key wraps: not RSA-2048 with e = 65537, a
// private key, a kid that is not the key's thumbprint.
var ErrKey = errors.New("not a key of Burnkey's")

// b64 is base64url without padding (RFC 7515 section 2), refusing endings that
// are not canonical. It still skips CR and LF, so callers fix the length.
var b64 = base64.RawURLEncoding.Strict()

// KID identifies a key: the SHA-256 thumbprint of its JWK (RFC 7638 section 3).
// Its text form is case-sensitive base64url of KIDTextLen characters.
type KID [sha256.Size]byte

// KIDTextLen is the length of a KID's text form, in characters.
const KIDTextLen = 43

// ParseKID reads the text form of a KID. Only the canonical form passes.
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

// String returns the text form, as in a JWK and in a token's header.
func (k KID) String() string { return b64.EncodeToString(k[:]) }

// Key is the public half of one API key. It is a plain value without pointers:
// comparable, and safe for concurrent use.
type Key struct {
	kid KID
	n   [ModulusLen]byte
}

// FromModulus makes the Key of a modulus in big-endian bytes, computing its kid.
// The modulus must be odd and have exactly ModulusBits bits; errors wrap ErrKey.
func FromModulus(n []byte) (Key, error) {
	if len(n) != ModulusLen || n[0]&0x80 == 0 || n[ModulusLen-1]&1 == 0 {
		return Key{}, fmt.Errorf("%w: the modulus is not an odd number of %d bits", ErrKey, ModulusBits)
	}
	var k Key
	copy(k.n[:], n)
	k.kid = thumbprint(&k.n)
	return k, nil
}

// FromPublicKey makes the Key of an RSA public key; errors wrap ErrKey.
func FromPublicKey(pub *rsa.PublicKey) (Key, error) {
	if pub == nil || pub.N == nil || pub.E != Exponent || pub.N.Sign() <= 0 {
		return Key{}, fmt.Errorf("%w: not an RSA key with e = %d", ErrKey, Exponent)
	}
	return FromModulus(pub.N.Bytes())
}

// ParseKey reads one JWK (RFC 7517 section 4). A private or symmetric key is
// refused, and so is a kid that is not the thumbprint; errors wrap ErrKey.
func ParseKey(data []byte) (Key, error) {
	if !jsontext.Value(data).IsValid() { // jwx skips what follows, and the first of two members
		return Key{}, fmt.Errorf("%w: not one JSON value without duplicate members", ErrKey)
	}
	if _, deep := TooDeep(data, MaxDepth); deep {
		return Key{}, fmt.Errorf("%w: nested deeper than %d levels", ErrKey, MaxDepth)
	}
	parsed, err := jwk.ParseKey(data)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return fromJWK(parsed)
}

// ParseSet reads a JWK set (RFC 7517 section 5) whole into memory. A set that
// holds anything but keys of Burnkey's is refused, and so is what is no set:
// taken for an empty one, it would revoke every key. Errors wrap ErrKey.
func ParseSet(data []byte) ([]Key, error) {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if _, deep := TooDeep(data, MaxDepth); deep || json.Unmarshal(data, &set) != nil || set.Keys == nil {
		return nil, fmt.Errorf("%w: not a JWK set", ErrKey)
	}
	keys := make([]Key, 0, len(set.Keys))
	for i, jwk := range set.Keys {
		key, err := ParseKey(jwk)
		if err != nil {
			return nil, fmt.Errorf("key %d of the set: %w", i, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func fromJWK(parsed jwk.Key) (Key, error) {
	pub, ok := parsed.(jwk.RSAPublicKey)
	if !ok {
		return Key{}, fmt.Errorf("%w: not an RSA public key", ErrKey)
	}
	if alg := pub.Algorithm(); alg != nil && alg.String() != "" && alg != jwa.RS256 {
		return Key{}, fmt.Errorf("%w: alg is not RS256", ErrKey)
	}
	if use := pub.KeyUsage(); use != "" && use != "sig" {
		return Key{}, fmt.Errorf("%w: use is not sig", ErrKey)
	}
	if !bytes.Equal(pub.E(), []byte{1, 0, 1}) { // also no leading zeros (RFC 7518 section 6.3.1.2)
		return Key{}, fmt.Errorf("%w: e is not %d", ErrKey, Exponent)
	}
	key, err := FromModulus(pub.N())
	if err != nil {
		return Key{}, err
	}
	if kid := pub.KeyID(); kid != "" && kid != key.kid.String() {
		return Key{}, fmt.Errorf("%w: the kid is not the key's thumbprint", ErrKey)
	}
	return key, nil
}

// KID returns the key's identifier.
func (k *Key) KID() KID { return k.kid }

// Modulus returns the modulus in ModulusLen big-endian bytes.
func (k Key) Modulus() []byte { return k.n[:] }

// PublicKey returns the key for crypto/rsa.
func (k Key) PublicKey() *rsa.PublicKey {
	return &rsa.PublicKey{N: new(big.Int).SetBytes(k.n[:]), E: Exponent}
}

// JWKLen is the length of every key's JWK. All have the same members in the same order: only
// kid and n differ.
const JWKLen = len(jwkHead) + KIDTextLen + len(jwkMid) + modText + len(jwkTail)

const (
	jwkHead  = `{"kty":"RSA","use":"sig","alg":"RS256","kid":"`
	jwkMid   = `","n":"`
	jwkTail  = `","e":"AQAB"}`
	modText  = (ModulusLen*8 + 5) / 6
	kidStart = len(jwkHead)
	modStart = kidStart + KIDTextLen + len(jwkMid)
)

// AppendJWK appends the key's JWK to dst and returns the longer slice.
func (k *Key) AppendJWK(dst []byte) []byte {
	dst = append(dst, jwkHead...)
	dst = b64.AppendEncode(dst, k.kid[:])
	dst = append(dst, jwkMid...)
	dst = b64.AppendEncode(dst, k.n[:])
	return append(dst, jwkTail...)
}

// MarshalJSON returns the key's JWK.
func (k Key) MarshalJSON() ([]byte, error) { return k.AppendJWK(make([]byte, 0, JWKLen)), nil }

// UnmarshalJSON reads a JWK as ParseKey does.
func (k *Key) UnmarshalJSON(data []byte) error {
	key, err := ParseKey(data)
	if err != nil {
		return err
	}
	*k = key
	return nil
}

// thumbprint hashes the required members in lexicographic order, without white
// space (RFC 7638 section 3.2 and 3.3).
func thumbprint(n *[ModulusLen]byte) KID {
	const head, tail = `{"e":"AQAB","kty":"RSA","n":"`, `"}`
	buf := make([]byte, 0, len(head)+modText+len(tail))
	buf = append(buf, head...)
	buf = b64.AppendEncode(buf, n[:])
	buf = append(buf, tail...)
	return sha256.Sum256(buf)
}
