package authz

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/internal/spans"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// ErrAccessToken: only keys can be revoked; an access token ends by itself.
var ErrAccessToken = errors.New("access tokens can't be revoked")

// Revoke deletes a key's JWK: when it returns, this server's set no longer contains the key. It does not change
// a key that was revoked before. Errors: ErrNotFound.
func (s *Service) Revoke(ctx context.Context, workspace string, id uuid.UUID) (store.Key, error) {
	defer spans.Start(&ctx, "authz.revoke", nil)()
	ctx, cancel := settle(ctx)
	defer cancel()
	key, err := s.store.Revoke(ctx, workspace, id, s.Now())
	if err != nil {
		return store.Key{}, err
	}
	if key.RevokedVersion == 0 { // it had left the set for its age
		return key, s.publisher.Reach(ctx, workspace, key.ExpiredVersion)
	}
	return key, s.revoked(ctx, key)
}

// RevokeToken revokes the key of a token by possession (RFC 7009), with any prefix or none. When it returns true, the
// token is invalid on all servers, even after a failover. For a token of an unknown key, it does nothing and returns
// false; the key may have been revoked before. Errors: ErrNotFound if the workspace does not exist. ErrAccessToken: its
// holder may not end the key that it stems from. *CrowdedError.
func (s *Service) RevokeToken(ctx context.Context, workspace string, token jwks.Token) (revoked bool, err error) {
	defer spans.Start(&ctx, "authz.revoke_token", nil)()
	if isOpaque(token) {
		return s.revokeImported(ctx, workspace, token)
	}
	claims, err := s.authentic(workspace, token)
	if errors.Is(err, jwks.ErrUnknown) || errors.Is(err, ErrNotFound) {
		if claims, err = s.sought(ctx, workspace, token); err != nil {
			return false, err
		}
	}
	if claims == nil {
		return false, nil //nolint:nilerr // RFC 7009 section 2.2: an invalid token is no error
	}
	if claims.HasParent() {
		return false, ErrAccessToken
	}
	id, err := uuid.Parse(claims.ID)
	if err != nil {
		return false, nil //nolint:nilerr // as above
	}
	return s.revokeHeld(ctx, workspace, id)
}

// revokeImported revokes the imported key in a pasted text, if any: all its records, since gateways accept the key by each of them.
func (s *Service) revokeImported(ctx context.Context, workspace string, text jwks.Token) (revoked bool, err error) {
	var all []store.Key
	err = s.unproved(ctx, workspace, func() error {
		all, err = s.importedIn(ctx, text, only(workspace))
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return false, s.known(ctx, workspace)
	}
	for i := 0; i < len(all) && err == nil; i++ {
		var done bool
		done, err = s.revokeHeld(ctx, workspace, all[i].ID)
		revoked = revoked || done
	}
	return revoked && err == nil, err
}

// importedUnproved calls importedKey by way of unproved. Errors: those of importedKey, *CrowdedError.
func (s *Service) importedUnproved(ctx context.Context, workspace string, secret jwks.Token) (k store.Key, err error) {
	err = s.unproved(ctx, workspace, func() error {
		k, err = s.importedKey(ctx, workspace, secret)
		return err
	})
	return k, err
}

// unproved reads for a caller who has not yet proved that they hold a key. Such callers take turns by address.
func (s *Service) unproved(ctx context.Context, workspace string, look func() error) error {
	who := account{"address " + store.ActorOf(ctx).From, holderBudget}
	return s.reads.turn(context.WithValue(ctx, accountKey{}, who), workspace, look)
}

// revokeHeld revokes a key for its holder.
func (s *Service) revokeHeld(ctx context.Context, workspace string, id uuid.UUID) (revoked bool, err error) {
	actor := store.ActorOf(ctx)
	actor.ID = id.String()
	_, err = s.Revoke(store.By(ctx, actor), workspace, id)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// sought looks up the key of a token that is not published here, and returns the token's claims if that key
// signed it. If another server has just issued the key, sought publishes it here. Otherwise the key has expired
// or was revoked, perhaps by a call that failed before the standby confirmed it. If there is nothing to revoke,
// sought returns nil without an error.
func (s *Service) sought(ctx context.Context, workspace string, token jwks.Token) (*jwks.Claims, error) {
	_, jwt := jwks.CutPrefix(token.Reveal())
	parsed, err := jwks.Parse(jwt)
	if err != nil {
		return nil, s.known(ctx, workspace)
	}
	for range 2 { // it may be revoked between two looks
		var key store.Key
		var claims *jwks.Claims
		err := s.unproved(ctx, workspace, func() (err error) {
			if key, err = s.store.KeyByKID(ctx, workspace, parsed.KID); err == nil && !key.Published() {
				claims, err = s.signedOnce(ctx, &key, parsed)
			}
			return err
		})
		switch {
		case errors.Is(err, ErrNotFound):
			return nil, s.known(ctx, workspace)
		case err != nil || !key.Published():
			return claims, err
		}
		if err := s.publisher.Reach(ctx, workspace, key.Version); err != nil {
			return nil, err
		}
		if claims, err := s.authentic(workspace, token); !errors.Is(err, jwks.ErrUnknown) {
			return claims, nil //nolint:nilerr // a forgery in that key's name
		}
	}
	return nil, fmt.Errorf("the key %s is neither published here nor revoked", parsed.KID)
}

// signedOnce returns the claims of a token signed by a key that is not published. The change log has the
// key's JWK until it is compacted, and the store keeps that of a suspended key. The kid in a token proves nothing,
// since kids are public.
func (s *Service) signedOnce(ctx context.Context, key *store.Key, token *jwks.Parsed) (*jwks.Claims, error) {
	switch pub, err := s.store.SuspendedJWK(ctx, key.Workspace, key.KID); {
	case err == nil && token.Check(pub) == nil:
		return token.Claims()
	case err == nil:
		return nil, nil
	case !errors.Is(err, ErrNotFound):
		return nil, err
	}
	changes, err := s.store.Changes(ctx, key.Workspace, key.Version-1, 1)
	if errors.Is(err, store.ErrCompacted) || err == nil && len(changes) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, pub := range changes[0].Add {
		if token.Check(pub) == nil { // Check includes the kid
			claims, _ := token.Claims()
			return claims, nil
		}
	}
	return nil, nil
}

// known returns ErrNotFound if there is no such workspace.
func (s *Service) known(ctx context.Context, workspace string) error {
	if _, ok := s.publisher.Set(workspace); ok {
		return nil
	}
	_, err := s.store.Workspace(ctx, workspace)
	return err
}

// authentic returns the claims of a token signed by a key published here. Errors: ErrNotFound, jwks.Verifier's.
func (s *Service) authentic(workspace string, token jwks.Token) (*jwks.Claims, error) {
	set, ok := s.publisher.Set(workspace)
	if !ok {
		return nil, ErrNotFound
	}
	verifier := jwks.Verifier{Keys: set}
	return verifier.Authentic(token.Reveal())
}
