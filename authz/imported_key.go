package authz

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// importedKey returns the record of an imported key that a caller holds, whatever its state. If the key has two records, it
// prefers a published one, as a gateway does. Errors: ErrNotFound, also for a token of Burnkey and for a key of another workspace.
func (s *Service) importedKey(ctx context.Context, workspace string, secret jwks.Token) (store.Key, error) {
	return preferred(s.importedKeys(ctx, secret, only(workspace)))
}

func preferred(all []store.Key, err error) (store.Key, error) {
	if err != nil {
		return store.Key{}, err
	}
	return all[max(0, slices.IndexFunc(all, func(k store.Key) bool { return k.Published() }))], nil
}

func only(workspace string) func(string) bool {
	return func(other string) bool { return other == workspace }
}

// importedKeys returns all records of an imported key in workspaces for which `may` returns true. A key that was imported both
// with a pepper and without has two. Errors: those of importedKey.
func (s *Service) importedKeys(ctx context.Context, secret jwks.Token, may func(workspace string) bool) (all []store.Key, err error) {
	text := secret.Reveal()
	if text == "" || len(text) > jwks.MaxTokenLen || !isOpaque(secret) {
		return nil, ErrNotFound
	}
	digests := []jwks.Digest{jwks.SHA256Digest(text)}
	if len(s.pepper) > 0 {
		digests = append(digests, jwks.HMACDigest(s.pepper, text))
	}
	for _, digest := range digests {
		k, err := s.digested(ctx, digest, may)
		switch {
		case err == nil:
			all = append(all, k)
		case !errors.Is(err, ErrNotFound):
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, ErrNotFound
	}
	return all, nil
}

// isOpaque reports whether a secret does not begin like a token of Burnkey.
func isOpaque(secret jwks.Token) bool {
	_, jwt := jwks.CutPrefix(secret.Reveal())
	return !strings.HasPrefix(jwt, jwks.TokenPrefix)
}
