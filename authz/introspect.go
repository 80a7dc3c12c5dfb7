package authz

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/burnkey/burnkey/internal/spans"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Introspection is an active token (RFC 7662 section 2.2). Key is as stored now, so its attributes replace the claims. If
// the token has a parent, Key is the parent, and its attributes narrow the claims.
type Introspection struct {
	Key    store.Key
	Claims *jwks.Claims
}

// Introspect returns what is known about a token with any prefix or none, or nil if it is not active in the workspace.
// It does not check the client's address, which only the caller knows. Errors: ErrNotFound: no such workspace.
// *CrowdedError.
func (s *Service) Introspect(ctx context.Context, workspace string, token jwks.Token) (*Introspection, error) {
	defer spans.Start(&ctx, "authz.introspect", nil)()
	claims, no, err := s.examine(ctx, workspace, token)
	var read func() (store.Key, error)
	switch {
	case err != nil:
		return nil, err
	case errors.Is(no, ErrNotFound):
		return nil, no
	case errors.Is(no, jwks.ErrMalformed):
		read = func() (store.Key, error) { return s.importedKey(ctx, workspace, token) }
	case no != nil || claims.Issuer != s.Issuer(workspace):
		return nil, nil //nolint:nilerr // an invalid token is not active
	default:
		id, err := uuid.Parse(claims.RecordID())
		if err != nil {
			return nil, nil //nolint:nilerr // as above
		}
		read = func() (store.Key, error) { return s.store.Key(ctx, workspace, id) }
	}
	return s.introspected(ctx, workspace, claims, read)
}

// examine calls authentic. If this server does not know the token's key, which another server may have just issued, it catches up
// and calls authentic again. no is authentic's refusal of the token; err means that the token could not be examined. Errors:
// *CrowdedError, those of the store.
func (s *Service) examine(ctx context.Context, workspace string, token jwks.Token) (claims *jwks.Claims, no, err error) {
	claims, no = s.authentic(workspace, token)
	if errors.Is(no, jwks.ErrUnknown) || errors.Is(no, ErrNotFound) {
		if err := s.catchUp(ctx, workspace, token); err != nil {
			return nil, no, err
		}
		claims, no = s.authentic(workspace, token)
	}
	return claims, no, nil
}

// catchUp publishes the key of a token on this server, if another server has published it. For an access token, that is the key
// that was exchanged. The token's signature is not verified yet.
func (s *Service) catchUp(ctx context.Context, workspace string, token jwks.Token) error {
	_, jwt := jwks.CutPrefix(token.Reveal())
	parsed, err := jwks.Parse(jwt)
	if err != nil {
		return nil //nolint:nilerr // authentic refuses it
	}
	kid := parsed.KID
	if claims, err := parsed.Claims(); err == nil && claims.HasParent() {
		kid = claims.KeyKID
	}
	var key store.Key
	err = s.unproved(ctx, workspace, func() (err error) {
		key, err = s.store.KeyByKID(ctx, workspace, kid)
		return err
	})
	if err == nil && key.Published() {
		err = s.publisher.Reach(ctx, workspace, key.Version) // which asks the store only if that version is new here
	}
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// introspected reads the key. claims is nil for an imported key.
func (s *Service) introspected(ctx context.Context, workspace string, claims *jwks.Claims, read func() (store.Key, error),
) (*Introspection, error) {
	var key store.Key
	err := s.reads.turn(ctx, workspace, func() (err error) {
		key, err = read()
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if status := key.Status(s.Now()); err != nil || status != store.Active && status != store.Deprecated {
		return nil, err
	}
	if claims == nil {
		claims = &jwks.Claims{
			Issuer: s.Issuer(workspace), Subject: key.Owner, Audience: key.Audience, ID: key.ID.String(), IssuedAt: key.CreatedAt.Unix(),
		}
	}
	found := &Introspection{key, claims}
	if claims.HasParent() && !s.Now().Before(found.ExpiresAt()) {
		return nil, nil
	}
	s.uses.record(workspace, s.Now(), &found.Key) // the caller got the token from a client, so the key is in use
	return found, nil
}

// Scope returns the scopes as they are now.
func (i *Introspection) Scope() string {
	scopes := i.Key.Scopes
	if i.Claims.HasParent() {
		narrowed := func(scope string) bool { return !slices.Contains(i.Key.Scopes, scope) }
		scopes = slices.DeleteFunc(i.Claims.Scopes(), narrowed)
	}
	return strings.Join(scopes, " ")
}

// Actor is the party that acts for the owner of an access token (RFC 8693 section 4.1).
type Actor struct {
	KeyID   string `json:"key_id"`
	Subject string `json:"sub"`
}

// Actor returns the actor of an access token, or nil.
func (i *Introspection) Actor() *Actor {
	var extra struct {
		Act *Actor `json:"act"`
	}
	if !i.Claims.HasParent() || json.Unmarshal(i.Claims.Extra, &extra) != nil { // not an access token, or no extra claims
		return nil
	}
	return extra.Act
}

// ExpiresAt returns when the token ends: when its key expires, or when the grace of its key ends. Zero: never.
func (i *Introspection) ExpiresAt() time.Time {
	end := i.Key.DueAt()
	if own := i.Claims.ExpiresAt(); i.Claims.HasParent() && (end.IsZero() || own.Before(end)) {
		return own
	}
	return end
}
