package storetest

import (
	"testing"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Fingerprints returns a workspace's stored fingerprint, and the fingerprint of its published set and imported keys.
func Fingerprints(t testing.TB, s store.Store, workspace string) (stored, published jwks.Fingerprint) {
	t.Helper()
	err := s.Versions(t.Context(), func(id string, _ uint64, print jwks.Fingerprint) error {
		if id == workspace {
			stored = print
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, unsigned, err := s.Published(t.Context(), workspace, func(key jwks.Key, _ jwks.Attributes) error {
		kid := key.KID()
		published.Toggle(&kid)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range unsigned.Imported {
		kid := k.KID()
		published.Toggle(&kid)
	}
	return stored, published
}
