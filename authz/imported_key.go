package authz

import (
	"context"
	"errors"
	"strings"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// importedKey returns the record of an imported key that a caller holds, whatever its state. Errors: ErrNotFound, also for
// a token of Burnkey and for a key of another workspace.
func (s *Service) importedKey(ctx context.Context, workspace string, secret jwks.Token) (store.Key, error) {
	text := secret.Reveal()
	if text == "" || len(text) > jwks.MaxTokenLen || !isOpaque(secret) {
		return store.Key{}, ErrNotFound
	}
	k, err := s.store.KeyByDigest(ctx, jwks.SHA256Digest(text))
	if errors.Is(err, ErrNotFound) && len(s.pepper) > 0 {
		k, err = s.store.KeyByDigest(ctx, jwks.HMACDigest(s.pepper, text))
	}
	if err == nil && k.Workspace != workspace {
		return store.Key{}, ErrNotFound
	}
	return k, err
}

// isOpaque reports whether a secret does not begin like a token of Burnkey.
func isOpaque(secret jwks.Token) bool {
	_, jwt := jwks.CutPrefix(secret.Reveal())
	return !strings.HasPrefix(jwt, jwks.TokenPrefix)
}
