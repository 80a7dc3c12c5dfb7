package jwks

import "crypto/sha256"

// Fingerprint tells sets with different keys apart, whatever their versions: the exclusive or
// of all kids. It detects accidents, such as a different history under the same version, but not
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
