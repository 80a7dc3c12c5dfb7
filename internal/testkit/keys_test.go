package testkit

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
)

func TestPrivateKeysDifferAndSign(t *testing.T) {
	seen := make(map[string]bool)
	for range 7 {
		key := PrivateKey()
		if err := key.Validate(); err != nil || key.N.BitLen() != bits || seen[key.N.String()] {
			t.Fatalf("a key of %d bits, seen before: %t, %v", key.N.BitLen(), seen[key.N.String()], err)
		}
		seen[key.N.String()] = true
		token := Sign(key, Header("kid"), "{}")
		at := strings.LastIndexByte(token, '.')
		signature, err := base64.RawURLEncoding.DecodeString(token[at+1:])
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256([]byte(token[:at]))
		if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
			t.Error(err)
		}
	}
}
