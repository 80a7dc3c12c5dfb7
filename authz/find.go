package authz

import (
	"context"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// KeyOfToken returns the record of the key that a token names by its kid, also of one
// that was revoked or has expired. The token is read and not verified: a forgery in the
// key's name leads to it, too. No error has a part of it. Errors: InputError where it is
// no token of Burnkey's, ErrNotFound.
func (s *Service) KeyOfToken(ctx context.Context, workspace string, token jwks.Token) (store.Key, error) {
	parsed, err := jwks.Parse(token.Reveal())
	if err != nil {
		return store.Key{}, InputError{{"token", "must be a token"}}
	}
	return s.store.KeyByKID(ctx, workspace, parsed.KID)
}
