package authz

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz/mint"
	"github.com/burnkey/burnkey/internal/spans"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// IssueRequest requests a key. Only Owner is required.
type IssueRequest struct {
	Owner string
	Name  string
	// Scopes are signed in this order.
	Scopes []string
	// Audience is a subset of the workspace's audiences. If empty, the workspace's default is used.
	Audience []string
	// ExpiresIn is in seconds. If nil, the workspace's default is used.
	ExpiresIn    *int64
	NeverExpires bool
	// Until is the exact second of expiry. If set, ExpiresIn and NeverExpires are ignored.
	Until    time.Time
	Claims   []byte // a JSON object of further claims, or nil
	Metadata []byte // a JSON object that is stored but not signed, or nil
	// Attributes, which are published together with the key.
	AllowedIPs []string     // addresses and networks; empty: any
	Plan       string       // empty: none
	Limits     []jwks.Limit // the key's own rules
	// Parent is an active key of the same owner. The new key can do no more, and ends with it. uuid.Nil: none.
	Parent uuid.UUID
	// IdempotencyKey lets a request be repeated without issuing twice.
	IdempotencyKey string
	// Session is the owner's portal session, if the request comes from the portal. It limits the request to
	// what the portal offers (OnPage). Nil: the request comes from the management API.
	Session *store.Session
}

// Issued is a new key and its token. The token is not stored.
type Issued struct {
	store.Key
	Token jwks.Token
}

// Issue makes a key. Errors: InputError, ErrNotFound, ErrBusy, *BudgetError, *LimitError, *store.IdempotencyError.
func (s *Service) Issue(ctx context.Context, workspace string, r IssueRequest) (Issued, error) {
	defer spans.Start(&ctx, "authz.issue", nil)()
	return s.issue(ctx, workspace, r, func(jwks.Token) error { return nil })
}

// issue is like Issue, but calls `last` with the token before it stores the key.
func (s *Service) issue(ctx context.Context, workspace string, r IssueRequest, last func(jwks.Token) error) (Issued, error) {
	draft, err := s.draft(ctx, workspace, r)
	if err != nil {
		return Issued{}, err
	}
	leave, err := s.once(ctx, &draft.key)
	if err != nil {
		return Issued{}, err
	}
	defer leave()
	minted, reserved, err := s.mint(ctx, draft, store.Active, func() (*unmade, error) { return s.draft(ctx, workspace, r) })
	if err != nil {
		return Issued{}, err
	}
	defer reserved.leave()
	if err := last(minted.Token); err != nil {
		return Issued{}, err
	}
	return s.keep(ctx, draft, reserved, minted)
}

// draft checks a request against the current workspace. Errors: InputError, ErrNotFound.
func (s *Service) draft(ctx context.Context, workspace string, r IssueRequest) (*unmade, error) {
	w, err := s.store.Workspace(ctx, workspace)
	if err != nil {
		return nil, err
	}
	d, err := newDraft(OnPage(&w, r.Session), r)
	if err != nil {
		return nil, err
	}
	if err := s.adopt(ctx, d); err != nil {
		return nil, err
	}
	if err := s.signRateLimit(ctx, d); err != nil {
		return nil, err
	}
	return d, s.refuseLong(d)
}

// planned checks that the plan of a new key exists, before a key pair is made. The store checks it again.
func (s *Service) planned(ctx context.Context, k *store.Key) error {
	_, err := s.planOf(ctx, k)
	return err
}

// planOf returns the plan of a key, or nil.
func (s *Service) planOf(ctx context.Context, k *store.Key) (*store.LimitSet, error) {
	if k.Plan == "" {
		return nil, nil
	}
	plan, err := s.store.Limits(ctx, k.Workspace, jwks.OnPlan, k.Plan)
	if errors.Is(err, ErrNotFound) {
		return nil, Invalid("plan", RuleNoPlan)
	}
	return &plan, err
}

// signRateLimit takes the claim to sign from the draft's plan. Errors: those of planned.
func (s *Service) signRateLimit(ctx context.Context, d *unmade) error {
	plan, err := s.planOf(ctx, &d.key)
	if err == nil && plan != nil {
		d.rateLimit = rateLimitOf(plan)
	}
	return err
}

// mint makes a key from a draft. When its turn in the queue comes, it calls again for a new draft: the
// workspace may have changed, and no key pair should be made for a request that would now be refused. The
// owner's limit counts keys with the given status. The caller must call leave on the reservation.
func (s *Service) mint(ctx context.Context, d *unmade, status store.Status, again func() (*unmade, error)) (
	mint.Minted, *reservation, error,
) {
	reserved, err := s.reserve(ctx, d.key.Workspace, d.key.Owner, status, d.perOwner)
	if err != nil {
		return mint.Minted{}, nil, err
	}
	if err := s.spendKey(ctx, &d.key); err != nil {
		reserved.leave()
		return mint.Minted{}, nil, err
	}
	asker := mint.Asker{Workspace: d.key.Workspace, Owner: d.key.Owner, Caller: askedBy(ctx)}
	minted, err := s.minter.Mint(ctx, asker, func() (mint.Claims, error) {
		if err := s.store.Standing(ctx); err != nil {
			return mint.Claims{}, err
		}
		now, err := again()
		if err != nil {
			return mint.Claims{}, err
		}
		*d = *now
		if err := reserved.begin(ctx, d.perOwner); err != nil {
			return mint.Claims{}, err
		}
		payload, err := s.sign(d)
		return mint.Claims{Type: d.typ, Payload: payload}, err
	})
	if err != nil {
		reserved.leave()
		return mint.Minted{}, nil, err
	}
	return minted, reserved, nil
}

// askedBy identifies the caller: a management key or a session. It returns "" for the server itself.
func askedBy(ctx context.Context) string {
	a := store.AuthorityOf(ctx)
	switch {
	case a.Session != [32]byte{}:
		return "session " + string(a.Session[:])
	case a.Key != uuid.Nil:
		return "key " + a.Key.String()
	}
	return ""
}

// unmade is a key that has not been minted yet.
type unmade struct {
	key       store.Key
	expiresIn int64     // seconds; 0: never
	until     time.Time // replaces expiresIn unless zero; at most most seconds from now
	most      int64
	perOwner  int            // keys that the owner may have; 0: unlimited
	expiry    string         // Expiry of the policy
	typ       jwks.TokenType // of the policy
	session   *store.Session // portal session, or nil
	rateLimit *rateLimit     // of the plan, or nil
	ends      time.Time      // when the parent expires, or zero
	// anyAudience is true if the request has no audience.
	anyAudience bool
	prefix      string // of the token, once the key is stored
}

// terms checks the signed contents against the workspace, within the transaction that stores the key. The token has the
// prefix that the workspace has then.
func (d *unmade) terms(w *store.Workspace) (perOwner int, err error) {
	w = OnPage(w, d.session)
	var bad InputError
	bad.among("audience", w, d.key.Audience)
	bad.offered("scopes", w, d.key.Scopes)
	switch {
	case d.expiresIn == 0 && !MayNeverExpire(w):
		bad.refuseNeverExpires(w)
	case d.expiresIn > MaxLife(w):
		bad = append(bad, lifeError(MaxLife(w))...)
	case d.expiresIn > 0 && w.Policy.Expiry != d.expiry:
		bad.Add("expires_in", RuleExpiryChanged)
	}
	if typeOf(w) != d.typ {
		bad.Add("claims", RuleTokenTypeChanged)
	}
	d.perOwner, d.prefix = w.Policy.KeysPerOwner, w.Settings.TokenPrefix
	return d.perOwner, bad.err()
}

// newDraft checks a request for a new key against the limits and the workspace's policy.
func newDraft(w *store.Workspace, r IssueRequest) (*unmade, error) {
	var bad InputError
	bad.owner("owner", r.Owner)
	bad.name("name", r.Name, 0)
	bad.depth("claims", r.Claims)
	bad.depth("metadata", r.Metadata)
	d := bad.draft(w, r)
	bad.noClaims(d.key.Claims, reservedLater)
	d.key.AllowedIPs = bad.networks("allowed_ips", r.AllowedIPs)
	bad.planName("plan", r.Plan)
	bad.limits("limits", r.Limits)
	d.key.Plan, d.key.Limits, d.key.Parent = r.Plan, slices.Clone(r.Limits), r.Parent
	d.anyAudience = len(r.Audience) == 0
	if r.Session == nil {
		d.key.Ceiling.AllowedIPs = d.key.AllowedIPs
	}
	bad.producers(r.Session, r.Plan != "", len(r.Limits) > 0)
	if w.ID == Home {
		bad.management(r.Scopes)
		bad.managementKey(w, attributesOf(&d.key))
		if r.Parent != uuid.Nil {
			bad.Add("parent", RuleManagementKey, "workspace", Home)
		}
	}
	return d, bad.err()
}

// attributesOf returns the names of the attributes of a new key.
func attributesOf(k *store.Key) []string { return slices.Sorted(maps.Keys(EnforcedBy(k))) }

// draft makes the checks that successors must pass, too. Rules that are newer than some keys are only in
// newDraft, so that these keys can still be rotated.
func (e *InputError) draft(w *store.Workspace, r IssueRequest) *unmade {
	e.scopes("scopes", r.Scopes)
	e.audiences("audience", r.Audience)
	e.idempotencyKey(r.IdempotencyKey)
	d := &unmade{perOwner: w.Policy.KeysPerOwner, expiry: w.Policy.Expiry, typ: typeOf(w), session: r.Session, key: store.Key{
		Workspace: w.ID, Owner: r.Owner, Name: r.Name, IdempotencyKey: r.IdempotencyKey,
		Scopes: slices.Clone(r.Scopes), Audience: slices.Clone(r.Audience),
		Claims:   []byte(e.claims(r.Claims)),
		Metadata: []byte(e.object("metadata", r.Metadata, MaxMetadata)),
	}}
	e.among("audience", w, r.Audience)
	e.offered("scopes", w, r.Scopes)
	if len(r.Audience) == 0 {
		d.key.Audience = slices.Clone(w.Policy.DefaultAudience)
	}
	if len(d.key.Audience) == 0 {
		d.key.Audience = slices.Clone(w.Audiences)
	}
	d.key.RequestDigest = r.digest()
	if d.until, d.most = r.Until, MaxLife(w); d.until.IsZero() {
		d.expiresIn = e.expiry(w, r)
	}
	if w.ID == Home {
		e.tie(jsontext.Value(d.key.Claims))
	}
	return d
}

// refuseLong refuses a draft whose claims together are too long for a token.
func (s *Service) refuseLong(d *unmade) error {
	var bad InputError
	payload, err := s.sign(d)
	if len(payload) > MaxPayload {
		bad.Add("claims", RulePayloadTooLarge, "max", MaxPayload)
		return bad
	}
	return err
}

// once waits until no other request with the same idempotency key is in progress, then refuses
// a repeat before a key is minted for it. Errors: *store.IdempotencyError, *mint.BusyError.
func (s *Service) once(ctx context.Context, k *store.Key) (leave func(), err error) {
	if k.IdempotencyKey == "" {
		return func() {}, nil
	}
	if leave, err = s.conflicts.alone(ctx, conflictKey{k.Workspace, "once", k.IdempotencyKey}); err != nil {
		return nil, err
	}
	earlier, err := s.store.KeyByIdempotencyKey(ctx, k.Workspace, k.IdempotencyKey)
	if errors.Is(err, ErrNotFound) {
		return leave, nil
	}
	leave()
	if err != nil {
		return nil, err
	}
	return nil, k.Repeated(earlier.ID, earlier.RequestDigest)
}

// clockSkew is how many seconds before the minting iat is, so that a verifier whose clock is slow accepts a new
// token. The lifetime counts from the minting.
const clockSkew = 60

// sign gives the draft its id and times and returns the payload of its token.
func (s *Service) sign(d *unmade) ([]byte, error) {
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
	for _, most := range []time.Time{d.key.Ceiling.ExpiresAt, d.ends} {
		if most.IsZero() {
			continue
		}
		left := max(1, most.Unix()-claims.IssuedAt) // the store cuts the rest of a second
		if d.expiresIn == 0 || d.expiresIn > left {
			d.expiresIn = left
		}
	}
	if d.expiresIn > 0 {
		claims.Expiry = claims.IssuedAt + d.expiresIn
		d.key.ExpiresAt = claims.ExpiresAt()
		if d.expiry == store.ExpiryByPublication {
			claims.Expiry, d.key.Signed = 0, &store.Signed{Scopes: d.key.Scopes}
		}
	}
	claims.IssuedAt -= clockSkew
	if d.typ == jwks.TypeAccessToken {
		claims.ClientID = d.key.Owner
	}
	if claims.Extra, err = withRateLimit(claims.Extra, d.rateLimit); err != nil {
		return nil, err
	}
	return json.Marshal(&claims)
}

// keep stores and publishes a minted key.
func (s *Service) keep(ctx context.Context, d *unmade, reserved *reservation, minted mint.Minted) (Issued, error) {
	ctx, cancel := settle(ctx)
	defer cancel()
	var key store.Key
	err := reserved.keep(ctx, func() (err error) {
		key, err = s.store.Issue(ctx, d.key, minted.Key, d.terms)
		return err
	})
	switch {
	case errors.Is(err, ErrTooMany):
		return Issued{}, &LimitError{Most: d.perOwner}
	case errors.Is(err, store.ErrNoPlan): // it was deleted while the key was made
		return Issued{}, Invalid("plan", RuleNoPlan)
	case err != nil:
		return Issued{}, notUnderParent(err)
	}
	return s.announce(ctx, d, key, minted, jwks.Change{
		Version: key.Version, Add: []jwks.Key{minted.Key}, Unsigned: key.Issued(),
	}), nil
}

// announce publishes a stored key. It can't fail: the key is durable, and an error would lose its token. If the
// key can't be published here now, Follow does so later.
func (s *Service) announce(ctx context.Context, d *unmade, key store.Key, minted mint.Minted, change jwks.Change) Issued {
	s.publisher.Apply(ctx, key.Workspace, change)
	s.wakeReaper()
	return Issued{Key: key, Token: jwks.Token(d.prefix) + minted.Token}
}
