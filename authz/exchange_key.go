package authz

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz/turns"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// proof is a secret that a caller sent, and what it proves before the store is asked.
type proof struct {
	secret jwks.Token
	parsed *jwks.Parsed // nil: not a token of Burnkey
	claims *jwks.Claims // nil: its key is not published here, so nothing is proved yet
}

// prove verifies a secret by the published set. Errors: errNotKey: the secret is a forgery.
func (s *Service) prove(workspace string, secret jwks.Token) (*proof, error) {
	p := &proof{secret: secret}
	_, jwt := jwks.CutPrefix(secret.Reveal())
	parsed, err := jwks.Parse(jwt)
	if err != nil {
		return p, nil //nolint:nilerr // it can be an imported key
	}
	p.parsed = parsed
	if pub, ok := s.lookup(workspace, parsed.KID); ok {
		return p, p.verify(pub)
	}
	return p, nil
}

// verify sets the claims if the key signed the token. Errors: errNotKey, also for an access token.
func (p *proof) verify(pub jwks.Key) error {
	claims, err := p.parsed.Claims()
	if err != nil || p.parsed.Check(pub) != nil || claims.HasParent() {
		return errNotKey
	}
	p.claims = claims
	return nil
}

// asker takes turns as the owner of the key, or as an address if nothing is proved.
func (p *proof) asker(workspace string, from netip.Addr) turns.Asker {
	if p.claims != nil {
		return turns.Asker{Workspace: workspace, Owner: "owner " + p.claims.Subject}
	}
	address := "address " + from.String()
	return turns.Asker{Workspace: workspace, Owner: address, Caller: address}
}

// presentedKey is the record of a key that a caller has proved to hold.
type presentedKey struct {
	key    store.Key
	policy store.Policy
	extra  jsontext.Value // the custom claims that it was issued with
	actor  *store.Key     // of a token exchange; may be nil
}

// used returns the presented key and that of the actor, if any.
func (p *presentedKey) used() []*store.Key {
	if p.actor == nil {
		return []*store.Key{&p.key}
	}
	return []*store.Key{&p.key, p.actor}
}

// presented returns the record of a key that is not revoked, suspended or expired. Errors: errNotKey, ErrNoExchange.
func (s *Service) presented(ctx context.Context, workspace string, held *proof) (*presentedKey, error) {
	if held.parsed == nil {
		return s.presentedImported(ctx, workspace, held.secret)
	}
	p, err := s.standingKey(ctx, workspace, held.parsed.KID)
	if err != nil {
		return nil, err
	}
	if held.claims == nil {
		pub, err := s.reached(ctx, &p.key)
		if err != nil {
			return nil, err
		}
		if err := held.verify(pub); err != nil {
			return nil, err
		}
	}
	p.extra = held.claims.Extra
	return p, nil
}

// presentedImported does the same for an imported key.
func (s *Service) presentedImported(ctx context.Context, workspace string, secret jwks.Token) (*presentedKey, error) {
	k, err := s.importedKey(ctx, workspace, secret)
	if errors.Is(err, ErrNotFound) {
		return nil, errNotKey
	} else if err != nil {
		return nil, err
	}
	return s.standingKey(ctx, workspace, k.KID)
}

// standingKey reads a key in one statement with the policy. Errors: errNotKey, ErrNoExchange.
func (s *Service) standingKey(ctx context.Context, workspace string, kid jwks.KID) (*presentedKey, error) {
	var err error
	p := &presentedKey{}
	p.key, p.policy, err = s.store.KeyForExchange(ctx, workspace, kid)
	switch {
	case errors.Is(err, ErrNotFound) || err == nil && !p.standing(s.Now()):
		return nil, errNotKey
	case err != nil:
		return nil, err
	case !p.policy.Exchange.Enabled:
		return nil, ErrNoExchange
	}
	return p, nil
}

func (s *Service) lookup(workspace string, kid jwks.KID) (jwks.Key, bool) {
	set, ok := s.publisher.Set(workspace)
	if !ok {
		return jwks.Key{}, false
	}
	return set.Lookup(kid)
}

// reached returns the JWK of a published key, which another server may have just published. Errors: errNotKey: it was removed
// since then.
func (s *Service) reached(ctx context.Context, k *store.Key) (jwks.Key, error) {
	if pub, ok := s.lookup(k.Workspace, k.KID); ok {
		return pub, nil
	}
	w, err := s.store.Workspace(ctx, k.Workspace)
	if err == nil {
		err = s.publisher.Reach(ctx, k.Workspace, w.Version)
	}
	if err != nil {
		return jwks.Key{}, err
	}
	if pub, ok := s.lookup(k.Workspace, k.KID); ok {
		return pub, nil
	}
	return jwks.Key{}, errNotKey
}

func (p *presentedKey) standing(now time.Time) bool {
	status := p.key.Status(now)
	return p.key.Published() && (status == store.Active || status == store.Deprecated)
}

// accepts checks the address and the client_id of a request.
func (p *presentedKey) accepts(r *ExchangeRequest) error {
	attributes := p.key.Attributes()
	if !attributes.Allows(r.From) {
		return &ExchangeError{PartKey, "The key may not be used from this address."}
	}
	isKey := func(id string) bool {
		if parsed, err := uuid.Parse(id); err == nil && parsed == p.key.ID {
			return true
		}
		return id == p.key.Owner
	}
	if r.ClientID != nil && !slices.ContainsFunc(r.ClientID, isKey) {
		return &ExchangeError{PartKey, "client_id must be the owner of the key, or the key's id."}
	}
	return nil
}

// actor returns the key of the party that acts for the owner, or nil.
func (s *Service) actor(ctx context.Context, workspace string, r *ExchangeRequest) (*store.Key, error) {
	if r.Actor == "" {
		return nil, nil
	}
	var p *presentedKey
	held, err := s.prove(workspace, r.Actor)
	if err == nil {
		p, err = s.presented(ctx, workspace, held)
	}
	if errors.Is(err, errNotKey) {
		return nil, &ExchangeError{PartActor, "The actor_token is not a valid key of the workspace."}
	} else if err != nil {
		return nil, err
	}
	if attributes := p.key.Attributes(); !attributes.Allows(r.From) {
		return nil, &ExchangeError{PartActor, "The actor_token may not be used from this address."}
	}
	return &p.key, nil
}
