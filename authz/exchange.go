package authz

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/burnkey/burnkey/authz/turns"
	"github.com/burnkey/burnkey/internal/pace"
	"github.com/burnkey/burnkey/internal/spans"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// ExchangeRequest requests an access token for a key.
type ExchangeRequest struct {
	Key jwks.Token // with the workspace's prefix or without
	// ClientID has the forms that client_id can have been sent in: one must be the owner, or the key's id. Nil: not given.
	ClientID  []string
	Scopes    []string // a part of the key's; nil: all
	Audience  []string // a part of the key's; nil: all
	ExpiresIn int64    // seconds; 0: DefaultTokenLife, or less if the policy has less
	Actor     jwks.Token
	From      netip.Addr // the client's address
}

// Exchanged is an access token. It is not stored.
type Exchanged struct {
	Token     jwks.Token
	ExpiresIn int64 // seconds
	Scopes    []string
}

// Parts of an ExchangeRequest that an ExchangeError can name.
const (
	PartKey      = "key"
	PartActor    = "actor"
	PartScope    = "scope"
	PartAudience = "audience"
	PartLifetime = "expires_in"
)

// ExchangeError refuses an exchange for its request. Detail says which rule a part breaks.
type ExchangeError struct{ Part, Detail string }

func (e *ExchangeError) Error() string { return e.Detail }

// ErrNoExchange means that there is no such workspace, or its policy has no exchange.
var ErrNoExchange = errors.New("the workspace does not exchange keys")

// ExchangeBusyError means that too many exchanges wait for their turn. Limit is true if the key has reached its own limit.
type ExchangeBusyError struct {
	Limit bool
	After time.Duration
}

func (e *ExchangeBusyError) Error() string {
	return fmt.Sprintf("too many exchanges; try again in %v", e.After)
}

// errNotKey is the same for each key that does not exist or is not valid, so that it tells nothing about keys.
var errNotKey = &ExchangeError{PartKey, "The key is not valid."}

// Exchange returns an access token for a key. The record is read for each token, so that a key that is revoked, suspended or
// narrowed on any server gets none after that. Errors: *ExchangeError, ErrNoExchange, *NotReadyError, *ExchangeBusyError.
func (s *Service) Exchange(ctx context.Context, workspace string, r ExchangeRequest) (_ Exchanged, err error) {
	defer spans.Start(&ctx, "authz.exchange", &err)()
	start := time.Now()
	x, err := s.exchangeKey(ctx, workspace, r)
	s.exchanges.metrics.observe(start, err)
	return x, err
}

func (s *Service) exchangeKey(ctx context.Context, workspace string, r ExchangeRequest) (Exchanged, error) {
	held, err := s.prove(workspace, r.Key)
	if err != nil {
		return Exchanged{}, err
	}
	// A secret that proves nothing waits for its turn, too, since the store is asked about it.
	err = s.exchanges.queue.Acquire(ctx, held.asker(workspace, r.From))
	if errors.Is(err, turns.ErrFull) {
		return Exchanged{}, &ExchangeBusyError{After: time.Second}
	} else if err != nil {
		return Exchanged{}, err
	}
	defer s.exchanges.queue.Release()
	if err := s.exchanging(ctx, workspace); err != nil {
		return Exchanged{}, err
	}
	p, err := s.presented(ctx, workspace, held)
	if err != nil {
		return Exchanged{}, err
	}
	now := s.Now()
	if err := p.accepts(&r); err != nil {
		return Exchanged{}, err
	}
	claims, err := s.accessClaims(ctx, p, &r, now)
	if err != nil {
		return Exchanged{}, err
	}
	if _, err := s.pick(workspace); err != nil { // which does not count
		return Exchanged{}, err
	}
	perMinute := cmp.Or(p.policy.Exchange.PerMinute, DefaultPerMinute)
	rate := pace.Rate{Burst: perMinute, Refill: time.Minute / time.Duration(perMinute)}
	if wait, ok := s.exchanges.paces.Take(string(p.key.ID[:]), rate, 1, 0, now); !ok {
		return Exchanged{}, &ExchangeBusyError{Limit: true, After: wait}
	}
	x, err := s.signed(ctx, workspace, claims, now)
	if err == nil {
		s.uses.record(workspace, now, p.used()...)
	}
	return x, err
}

func (s *Service) signed(ctx context.Context, workspace string, claims *jwks.Claims, now time.Time) (Exchanged, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return Exchanged{}, err
	}
	token, err := s.signAccess(ctx, workspace, payload, claims.Expiry)
	if err != nil {
		return Exchanged{}, err
	}
	return Exchanged{Token: token, ExpiresIn: claims.Expiry - now.Unix(), Scopes: claims.Scopes()}, nil
}

// exchanging returns ErrNoExchange unless the workspace's policy has an exchange.
func (s *Service) exchanging(ctx context.Context, workspace string) error {
	s.shifts.mu.RLock()
	_, on := s.shifts.on[workspace]
	s.shifts.mu.RUnlock()
	if on {
		return nil
	}
	w, err := s.store.Workspace(ctx, workspace) // it may have been turned on by another server
	if errors.Is(err, ErrNotFound) || err == nil && !w.Policy.Exchange.Enabled {
		return ErrNoExchange
	}
	return err
}

// Exchanges reports whether a workspace exchanges keys, as last read by RunExchange.
func (s *Service) Exchanges(workspace string) bool {
	s.shifts.mu.RLock()
	defer s.shifts.mu.RUnlock()
	_, on := s.shifts.on[workspace]
	return on
}

// accessClaims returns the claims of an access token, which are at most those of the key.
func (s *Service) accessClaims(ctx context.Context, p *presentedKey, r *ExchangeRequest, now time.Time) (*jwks.Claims, error) {
	scopes, err := narrowed(PartScope, "scope must be among the scopes", r.Scopes, p.key.Scopes)
	if err != nil {
		return nil, err
	}
	audience, err := narrowed(PartAudience, "audience or resource must be among the audiences", r.Audience, p.key.Audience)
	if err != nil {
		return nil, err
	}
	end := p.key.DueAt()
	actor, err := s.actor(ctx, p.key.Workspace, r)
	if err != nil {
		return nil, err
	}
	if p.actor = actor; actor != nil {
		if due := actor.DueAt(); end.IsZero() || !due.IsZero() && due.Before(end) {
			end = due
		}
	}
	extra, err := accessExtra(p.extra, actor)
	if err != nil {
		return nil, err
	}
	exp, err := expiry(&p.policy.Exchange, r.ExpiresIn, now, end)
	if err != nil {
		return nil, err
	}
	id, err := s.newID()
	if err != nil {
		return nil, err
	}
	return &jwks.Claims{
		Issuer: s.Issuer(p.key.Workspace), Subject: p.key.Owner, Audience: audience, ID: id.String(),
		IssuedAt: now.Unix() - clockSkew, Expiry: exp, Scope: strings.Join(scopes, " "),
		ClientID: p.key.Owner, KeyID: p.key.ID.String(), KeyKID: p.key.KID, KeyImported: p.key.Digest != nil, Extra: extra,
	}, nil
}

// narrowed returns the requested values, each once, or all that the key has if none are requested.
func narrowed(part, rule string, requested, has []string) ([]string, error) {
	if requested == nil {
		return has, nil
	}
	var list []string
	for _, value := range requested {
		if !slices.Contains(has, value) {
			return nil, &ExchangeError{part, "Each " + rule + " of the key."}
		}
		if !slices.Contains(list, value) {
			list = append(list, value)
		}
	}
	return list, nil
}

// expiry returns exp: the requested lifetime from now, but not after the key's end (zero: never).
func expiry(x *store.Exchange, requested int64, now, end time.Time) (int64, error) {
	most := cmp.Or(x.MaxExpiresIn, MaxTokenLife)
	life := cmp.Or(requested, min(DefaultTokenLife, most))
	if life < MinTokenLife || life > most {
		return 0, &ExchangeError{PartLifetime, fmt.Sprintf("expires_in must be %d to %d seconds.", MinTokenLife, most)}
	}
	exp := now.Unix() + life
	if !end.IsZero() {
		exp = min(exp, end.Unix())
	}
	if exp <= now.Unix() {
		return 0, errNotKey
	}
	return exp, nil
}

// accessExtra returns the custom claims of an access token: those of the key, without names that were not always reserved, and
// act (RFC 8693 section 4.1) if there is an actor.
func accessExtra(extra jsontext.Value, actor *store.Key) (jsontext.Value, error) {
	members := make(map[string]any)
	if len(extra) > 0 {
		var own map[string]jsontext.Value
		if err := json.Unmarshal(extra, &own); err != nil {
			return nil, err
		}
		for name, value := range own {
			if name == jwks.RateLimitClaim || !jwks.Reserved(folded(name)) { // as for new keys
				members[name] = value
			}
		}
	}
	if actor != nil {
		members["act"] = Actor{KeyID: actor.ID.String(), Subject: actor.Owner}
	}
	if len(members) == 0 {
		return nil, nil
	}
	return json.Marshal(members, json.Deterministic(true))
}
