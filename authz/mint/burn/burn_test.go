package burn

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"
	"slices"
	"strings"
	"testing"
)

func TestConverse(t *testing.T) {
	digest := sha256.Sum256([]byte("signed"))
	for _, test := range []struct {
		name    string
		request []byte
		answers int // bytes; 0 for a refusal
	}{
		{"a key that signs", slices.Concat([]byte{Sign}, digest[:]), ModulusLen + SignatureLen},
		{"a tombstone", []byte{Tombstone}, ModulusLen},
		{"a tombstone signs nothing", slices.Concat([]byte{Tombstone}, digest[:]), ModulusLen},
		{"no request", nil, 0},
		{"junk", []byte("{}"), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			err := converse(bytes.NewReader(test.request), &out)
			if (err != nil) != (test.answers == 0) || out.Len() != test.answers {
				t.Fatalf("%d bytes, %v", out.Len(), err)
			}
			if test.answers == ModulusLen+SignatureLen {
				verify(t, out.Bytes(), digest[:])
			}
		})
	}
}

func verify(t *testing.T, answer, digest []byte) {
	t.Helper()
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(answer[:ModulusLen]), E: 65537}
	if key.N.BitLen() != 8*ModulusLen {
		t.Errorf("the modulus has %d bits", key.N.BitLen())
	}
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, digest, answer[ModulusLen:]); err != nil {
		t.Error(err)
	}
}

// If the parent process ends after half of the digest, nothing is signed.
func TestConverseWithHalfADigest(t *testing.T) {
	var out bytes.Buffer
	if err := converse(strings.NewReader(string(byte(Sign))+"half"), &out); err == nil || out.Len() != ModulusLen {
		t.Errorf("%d bytes, %v", out.Len(), err)
	}
}
