package main

import (
	"bytes"
	"slices"

	"github.com/burnkey/burnkey/jwks"
)

// newVerifier returns a check of tokens against a set of the ring's keys; each
// call makes a set of its own, which has seen no token yet.
func newVerifier(r *keyring, keys []int) (func(token string) error, error) {
	public := make([]jwks.Key, len(keys))
	for i, key := range keys {
		public[i] = r.public(key)
	}
	slices.SortFunc(public, func(a, b jwks.Key) int {
		x, y := a.KID(), b.KID()
		return bytes.Compare(x[:], y[:])
	})
	var builder jwks.Builder
	for _, key := range public {
		if err := builder.Add(key); err != nil {
			return nil, err
		}
	}
	set, err := builder.Set(1)
	if err != nil {
		return nil, err
	}
	index := jwks.NewIndex(set)
	verifier := &jwks.Verifier{Keys: index.Lookup, Issuer: func(iss string) bool { return iss == r.issuer }}
	return func(token string) error {
		_, err := verifier.Verify(token)
		return err
	}, nil
}
