package authz

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz/mint"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// IssueRequest asks for a key. Only Owner is required.
type IssueRequest struct {
	Owner string
	Name  string
	// Scopes are signed in this order.
	Scopes []string
	// Audience is among the workspace's, and where empty its default.
	Audience []string
	// ExpiresIn is in seconds, and the workspace's default where nil.
	ExpiresIn    *int64
	NeverExpires bool
	// Until is when the key expires, to the second, in place of ExpiresIn and NeverExpires:
	// however long its making takes. Zero: by those.
	Until    time.Time
	Claims   []byte // a JSON object of further claims, or nil
	Metadata []byte // a JSON object that is kept and not signed, or nil
	// IdempotencyKey lets a request be repeated without issuing twice.
	IdempotencyKey string
	// Session is that of the owner who asks on the page, and is held to what is offered
	// there: see OnPage. Nil: the management API.
	Session *store.Session
	// again says that there is a key of this owner, name and scopes, whatever is asked of
	// new ones.
	again bool
}

// KeyPatch changes what is not nil. What is signed can't be changed.
type KeyPatch struct {
	Name *string
	// Metadata is a JSON Merge Patch (RFC 7396) of the key's; null empties it.
	Metadata []byte
}

// Issued is a new key with its token, which is kept nowhere.
type Issued struct {
	store.Key
	Token jwks.Token
}

// Issue makes a key. Errors: InputError, ErrNotFound, ErrBusy, *BudgetError, *LimitError,
// *store.IdempotencyError.
func (s *Service) Issue(ctx context.Context, workspace string, r IssueRequest) (Issued, error) {
	return s.issue(ctx, workspace, r, func(jwks.Token) error { return nil })
}

// issue is Issue with a last look at the token before the key comes to be.
func (s *Service) issue(ctx context.Context, workspace string, r IssueRequest, last func(jwks.Token) error) (Issued, error) {
	w, err := s.store.Workspace(ctx, workspace)
	if err != nil {
		return Issued{}, err
	}
	draft, err := newDraft(OnPage(&w, r.Session), r)
	if err != nil {
		return Issued{}, err
	}
	if err := s.refuseLong(draft); err != nil {
		return Issued{}, err
	}
	if err := s.refuseRepeat(ctx, workspace, r.IdempotencyKey); err != nil {
		return Issued{}, err
	}
	if err := s.spendKey(ctx, &draft.key); err != nil {
		return Issued{}, err
	}
	minted, err := s.minter.Mint(ctx, workspace, func() ([]byte, error) { return s.sign(draft) })
	if err != nil {
		return Issued{}, err
	}
	if err := last(minted.Token); err != nil {
		return Issued{}, err
	}
	return s.keep(ctx, draft.key, minted)
}

// draft is a key that has not been made yet.
type draft struct {
	key       store.Key
	expiresIn int64     // seconds; 0: never
	until     time.Time // in place of expiresIn, where it is not zero; most seconds away
	most      int64
}

// newDraft holds a request against the limits and the workspace's policy.
func newDraft(w *store.Workspace, r IssueRequest) (*draft, error) {
	var bad InputError
	if !r.again {
		bad.owner("owner", r.Owner)
		bad.name("name", r.Name, 0)
		bad.depth("claims", r.Claims)
		bad.depth("metadata", r.Metadata) // an earlier version took any
	}
	bad.scopes("scopes", r.Scopes)
	bad.audiences("audience", r.Audience)
	bad.idempotencyKey(r.IdempotencyKey)
	d := &draft{key: store.Key{
		Workspace: w.ID, Owner: r.Owner, Name: r.Name, IdempotencyKey: r.IdempotencyKey,
		Scopes: slices.Clone(r.Scopes), Audience: slices.Clone(r.Audience),
		Claims:   []byte(bad.claims(r.Claims)),
		Metadata: []byte(bad.object("metadata", r.Metadata, MaxMetadata)),
	}}
	for _, aud := range r.Audience {
		if !slices.Contains(w.Audiences, aud) {
			bad.addf("audience", "must be among the workspace's audiences")
			break
		}
	}
	bad.offered("scopes", w, r.Scopes)
	if len(r.Audience) == 0 {
		d.key.Audience = slices.Clone(w.Policy.DefaultAudience)
	}
	if len(d.key.Audience) == 0 {
		d.key.Audience = slices.Clone(w.Audiences)
	}
	d.key.PerOwner = w.Policy.KeysPerOwner
	if d.until, d.most = r.Until, maxExpiresIn(w); d.until.IsZero() {
		d.expiresIn = bad.expiry(w, r)
	}
	if w.ID == Home {
		bad.tie(jsontext.Value(d.key.Claims))
		if !r.again {
			bad.management(r.Scopes)
		}
	}
	return d, bad.err()
}

func (e *InputError) expiry(w *store.Workspace, r IssueRequest) int64 {
	switch {
	case r.NeverExpires && r.ExpiresIn != nil:
		e.addf("expires_in", "must be absent where never_expires is true")
	case r.NeverExpires && !MayNeverExpire(w):
		e.addf("never_expires", "is not allowed in this workspace")
	case r.NeverExpires:
		return 0
	case r.ExpiresIn == nil:
		return defaultExpiresIn(w)
	case *r.ExpiresIn < 1 || *r.ExpiresIn > maxExpiresIn(w):
		*e = append(*e, lifeError(maxExpiresIn(w))...)
	default:
		return *r.ExpiresIn
	}
	return 0
}

func lifeError(most int64) InputError {
	var bad InputError
	bad.addf("expires_in", "must be 1 to %d seconds", most)
	return bad
}

// refuseLong refuses claims that are each within its limit and together too
// long for a token.
func (s *Service) refuseLong(d *draft) error {
	var bad InputError
	payload, err := s.sign(d)
	if len(payload) > MaxPayload {
		bad.addf("claims", "must with owner, scopes and audience be at most %d bytes", MaxPayload)
		return bad
	}
	return err
}

// refuseRepeat spares the making of a key that the store would refuse.
func (s *Service) refuseRepeat(ctx context.Context, workspace, idempotencyKey string) error {
	if idempotencyKey == "" {
		return nil
	}
	key, err := s.store.KeyByIdempotencyKey(ctx, workspace, idempotencyKey)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return &store.IdempotencyError{ID: key.ID}
}

// clockSkew, in seconds, is how far before its making a token's iat is, so that a verifier
// whose clock is behind takes a fresh token. The expiry counts from the making.
const clockSkew = 60

// sign gives the draft its id and times and returns the payload of its token.
func (s *Service) sign(d *draft) ([]byte, error) {
	id, err := s.newID()
	if err != nil {
		return nil, err
	}
	d.key.ID = id
	d.key.CreatedAt = s.Now()
	d.key.UpdatedAt = d.key.CreatedAt
	claims := jwks.Claims{
		Issuer: s.Issuer(d.key.Workspace), Subject: d.key.Owner, Audience: d.key.Audience,
		ID: id.String(), IssuedAt: d.key.CreatedAt.Unix(),
		Scope: strings.Join(d.key.Scopes, " "), Extra: []byte(d.key.Claims),
	}
	if !d.until.IsZero() {
		d.expiresIn = d.until.Unix() - claims.IssuedAt
		if d.expiresIn < 1 || d.expiresIn > d.most {
			return nil, lifeError(d.most)
		}
	}
	if d.expiresIn > 0 {
		claims.Expiry = claims.IssuedAt + d.expiresIn
		d.key.ExpiresAt = claims.ExpiresAt()
	}
	claims.IssuedAt -= clockSkew
	return json.Marshal(&claims)
}

// keep stores and publishes a key that was made.
func (s *Service) keep(ctx context.Context, key store.Key, minted mint.Minted) (Issued, error) {
	ctx, cancel := settle(ctx)
	defer cancel()
	most := key.PerOwner
	key, err := s.store.Issue(ctx, key, minted.Key)
	if errors.Is(err, ErrTooMany) {
		return Issued{}, &LimitError{Most: most}
	}
	if err != nil {
		return Issued{}, err
	}
	// The key is durable, and its token would be lost with an error: where
	// publishing it here has to wait, Follow catches up.
	s.publisher.apply(ctx, key.Workspace, jwks.Change{Version: key.Version, Add: []jwks.Key{minted.Key}})
	s.wakeReaper()
	return Issued{Key: key, Token: minted.Token}, nil
}

// Key returns a key's record. Errors: ErrNotFound.
func (s *Service) Key(ctx context.Context, workspace string, id uuid.UUID) (store.Key, error) {
	return s.store.Key(ctx, workspace, id)
}

// Keys lists the records of a workspace, the newest first, as far as the limit and
// PageBytes go, and returns what to continue behind: uuid.Nil at the end. A search may
// end early. Errors: InputError, ErrNotFound, *CrowdedError, and ErrTooSlow for a search
// that has found nothing.
func (s *Service) Keys(ctx context.Context, workspace string, f store.Filter) ([]store.Key, uuid.UUID, error) {
	switch f.Status {
	case "", store.Active, store.Deprecated, store.Revoked, store.Expired:
	default:
		return nil, uuid.Nil, InputError{{"status", "must be active, deprecated, revoked or expired"}}
	}
	if _, err := s.store.Workspace(ctx, workspace); err != nil {
		return nil, uuid.Nil, err
	}
	f.Now = s.Now()
	return s.keysIn(ctx, s.reads, workspace, f)
}
