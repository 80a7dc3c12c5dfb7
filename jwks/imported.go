package jwks

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrDigest is wrapped by every error about an invalid digest.
var ErrDigest = errors.New("invalid digest")

// Digest is the hash of an imported key: an opaque secret that another system issued. The key itself is never stored.
type Digest struct {
	// HMAC means HMAC-SHA-256 with a pepper that is not in the database, and false SHA-256.
	HMAC bool
	Sum  [sha256.Size]byte
}

const (
	digestSHA256 = "sha256:"
	digestHMAC   = "hmac-sha256:"
)

// SHA256Digest returns the SHA-256 hash of a key.
func SHA256Digest(key string) Digest { return Digest{Sum: hash(key)} }

// HMACDigest returns the HMAC-SHA-256 of a key with a pepper.
func HMACDigest(pepper []byte, key string) Digest {
	mac := hmac.New(sha256.New, pepper)
	mac.Write([]byte(key))
	d := Digest{HMAC: true}
	mac.Sum(d.Sum[:0])
	return d
}

// ParseDigest reads sha256: or hmac-sha256: and 32 bytes in hexadecimal, or in base64 of either alphabet with or without
// padding. Errors wrap ErrDigest and do not quote the text, which can be a key.
func ParseDigest(text string) (d Digest, err error) {
	rest, isHMAC := strings.CutPrefix(text, digestHMAC)
	rest, isPlain := strings.CutPrefix(rest, digestSHA256)
	if isHMAC == isPlain {
		return Digest{}, fmt.Errorf("%w: must begin with sha256: or hmac-sha256: and the sum", ErrDigest)
	}
	var sum []byte
	if len(rest) == hex.EncodedLen(len(d.Sum)) {
		sum, err = hex.DecodeString(rest)
	} else {
		sum, err = base64.RawURLEncoding.Strict().DecodeString(toURL.Replace(strings.TrimSuffix(rest, "=")))
	}
	if err != nil || len(sum) != len(d.Sum) {
		return Digest{}, fmt.Errorf("%w: must have 32 bytes in hexadecimal or base64url after the algorithm", ErrDigest)
	}
	return Digest{isHMAC, [sha256.Size]byte(sum)}, nil
}

// toURL turns base64 into base64url.
var toURL = strings.NewReplacer("+", "-", "/", "_")

// String returns the form that ParseDigest reads, in base64url.
func (d Digest) String() string {
	if d.HMAC {
		return digestHMAC + b64.EncodeToString(d.Sum[:])
	}
	return digestSHA256 + b64.EncodeToString(d.Sum[:])
}

// MarshalText returns the same as String.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what ParseDigest reads.
func (d *Digest) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDigest(string(text))
	return err
}

// importedMark is the end of the kid of an imported key. The thumbprint of a JWK has this end with a probability of 1 in
// 2^64.
const importedMark = "imported"

// ImportedKID returns the kid of an imported key, which depends on nothing but the key's id in lower case.
func ImportedKID(id string) (kid KID) {
	sum := sha256.Sum256([]byte("burnkey-imported" + id))
	copy(kid[copy(kid[:], sum[:len(kid)-len(importedMark)]):], importedMark)
	return kid
}

// IsImported reports whether the kid is that of an imported key. Such a key has no JWK.
func (k KID) IsImported() bool { return string(k[len(k)-len(importedMark):]) == importedMark }

// Split returns the change with the kids of imported keys moved from Remove to Dropped. A store logs both in one list.
func (c Change) Split() Change {
	if !slices.ContainsFunc(c.Remove, KID.IsImported) {
		return c
	}
	all := c.Remove
	c.Remove, c.Unsigned.Dropped = make([]KID, 0, len(all)), slices.Clip(c.Unsigned.Dropped)
	for _, kid := range all {
		if kid.IsImported() {
			c.Unsigned.Dropped = append(c.Unsigned.Dropped, kid)
		} else {
			c.Remove = append(c.Remove, kid)
		}
	}
	return c
}

// ImportedKey is a key that another system issued, as the feed describes it. A token's claims say the same of a key.
type ImportedKey struct {
	ID       string   `json:"id"`
	Owner    string   `json:"owner"`
	Digest   Digest   `json:"digest"`
	Audience []string `json:"audience"`
	// ImportedAt is in seconds since 1970.
	ImportedAt int64 `json:"imported_at"`
	// Attributes are complete: they include the expiry and the scopes, since no token has them.
	Attributes Attributes `json:"attributes,omitzero"`
}

// KID returns the key's kid.
func (k *ImportedKey) KID() KID { return ImportedKID(k.ID) }

// Print is the key's part of the fingerprint of a feed.
func (k *ImportedKey) Print() Fingerprint {
	utc := *k
	utc.Attributes = k.Attributes.inUTC()
	return sha256.Sum256(append([]byte("imported"), mustMarshal(&utc)...))
}

// Check returns an error if the key is invalid. Errors wrap ErrAttributes.
func (k *ImportedKey) Check() error {
	if k.ID == "" || k.Owner == "" {
		return fmt.Errorf("%w: an imported key without an id or owner", ErrAttributes)
	}
	if err := k.Attributes.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrAttributes, err)
	}
	return nil
}
