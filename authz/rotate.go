package authz

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz/mint"
	"github.com/burnkey/burnkey/internal/spans"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Limits of a rotation's grace, during which the old key still works.
const (
	DefaultGrace = 24 * time.Hour
	MaxGrace     = 90 * 24 * time.Hour
)

// RotateRequest requests the successor of a key.
type RotateRequest struct {
	// Grace is how long the old key still works. Nil: DefaultGrace; 0: it is revoked at once.
	Grace          *time.Duration
	IdempotencyKey string
	// Session has the same meaning as in IssueRequest.
	Session *store.Session
}

// Rotate issues a successor with the present contents, attributes, ceiling and lifetime of a key, which ends no later
// than the ceiling allows. The old key works until the grace or its own lifetime ends. Errors: InputError, also if
// the policy no longer allows the key's contents; ErrNotFound, *StateError, *LimitError, ErrBusy, *BudgetError, *store.IdempotencyError.
func (s *Service) Rotate(ctx context.Context, workspace string, id uuid.UUID, r RotateRequest) (Issued, error) {
	defer spans.Start(&ctx, "authz.rotate", nil)()
	if _, err := s.store.Workspace(ctx, workspace); err != nil {
		return Issued{}, err
	}
	alone, err := s.conflicts.alone(ctx, conflictKey{workspace, "rotate", id.String()})
	if err != nil {
		return Issued{}, err
	}
	defer alone()
	old, err := s.store.Key(ctx, workspace, id)
	if err != nil {
		return Issued{}, err
	}
	// once comes first: for a repeated request, the key is already rotated, which would be another error.
	leave, err := s.once(ctx, &store.Key{Workspace: workspace, IdempotencyKey: r.IdempotencyKey, RequestDigest: r.digest(id)})
	if err != nil {
		return Issued{}, err
	}
	defer leave()
	grace, err := graceOf(r)
	if err != nil {
		return Issued{}, err
	}
	draft, err := s.successor(ctx, workspace, id, r)
	if err != nil {
		return Issued{}, err
	}
	counted := store.Deprecated
	if grace == 0 {
		counted = uncounted
	}
	minted, reserved, err := s.mint(ctx, draft, counted, func() (*unmade, error) { return s.successor(ctx, workspace, id, r) })
	if err != nil {
		return Issued{}, err
	}
	defer reserved.leave()
	return s.keepSuccessor(ctx, &old, draft, reserved, minted, grace)
}

// uncounted is a status that no key has, for rotations that no limit applies to.
const uncounted store.Status = ""

// successor drafts the successor of a key from the present key and workspace. Errors: those of Rotate.
func (s *Service) successor(ctx context.Context, workspace string, id uuid.UUID, r RotateRequest) (*unmade, error) {
	w, err := s.store.Workspace(ctx, workspace)
	if err != nil {
		return nil, err
	}
	old, err := s.store.Key(ctx, workspace, id)
	if err != nil {
		return nil, err
	}
	if old.Status(s.Now()) != store.Active {
		return nil, s.stateOf(old)
	}
	if old.Parent != uuid.Nil {
		return nil, Invalid("id", RuleChildRotation)
	}
	page := OnPage(&w, r.Session)
	var bad InputError
	d := bad.draft(page, again(page, &old, r.IdempotencyKey))
	if d.typ == jwks.TypeAccessToken {
		bad.noClaims(d.key.Claims, ofAccessTokens)
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	d.session, d.key.RequestDigest = r.Session, r.digest(id)
	d.key.AllowedIPs, d.key.Plan, d.key.Limits, d.key.Ceiling = old.AllowedIPs, old.Plan, old.Limits, old.Ceiling
	if err := s.signRateLimit(ctx, d); err != nil {
		return nil, err
	}
	if d.rateLimit != nil || d.typ == jwks.TypeAccessToken {
		return d, s.refuseLong(d)
	}
	return d, nil
}

func graceOf(r RotateRequest) (time.Duration, error) {
	if r.Grace == nil {
		return DefaultGrace, nil
	}
	var bad InputError
	if *r.Grace < 0 || *r.Grace > MaxGrace {
		bad.Add("grace", RuleOutOfRange, "min", 0, "max", words(MaxGrace))
	}
	return *r.Grace, bad.err()
}

// again returns a request for a key with the contents of k, within the limits of the present policy.
func again(w *store.Workspace, k *store.Key, idempotencyKey string) IssueRequest {
	r := IssueRequest{
		Owner: k.Owner, Name: k.Name, Scopes: k.Scopes, Audience: k.Audience,
		Claims: k.Claims, Metadata: k.Metadata, IdempotencyKey: idempotencyKey,
	}
	switch {
	case !k.ExpiresAt.IsZero():
		life := min(max(1, k.ExpiresAt.Unix()-k.CreatedAt.Unix()), MaxLife(w))
		r.ExpiresIn = &life
	case MayNeverExpire(w):
		r.NeverExpires = true
	}
	return r
}

func (s *Service) keepSuccessor(ctx context.Context, old *store.Key, d *unmade, reserved *reservation, minted mint.Minted,
	grace time.Duration,
) (Issued, error) {
	ctx, cancel := settle(ctx)
	defer cancel()
	key := d.key
	ends := key.CreatedAt.Add(grace)
	if !old.ExpiresAt.IsZero() && old.ExpiresAt.Before(ends) {
		ends = old.ExpiresAt
	}
	var before store.Key
	err := reserved.keep(ctx, func() (err error) {
		before, key, err = s.store.Rotate(ctx, key.Workspace, old.ID, key, minted.Key, ends, d.terms)
		return err
	})
	if err != nil {
		return Issued{}, s.explained(ctx, err, old, d.perOwner)
	}
	change := jwks.Change{Version: key.Version, Add: []jwks.Key{minted.Key}, Unsigned: store.RotationUnsigned(before, key)}
	if before.RevokedVersion == key.Version {
		change.Remove = []jwks.KID{before.KID}
	}
	issued := s.announce(ctx, d, key, minted, change)
	if before.Delegates { // versions that narrow the keys under it can come before this one
		_ = s.publisher.Reach(ctx, key.Workspace, key.Version) // as for announce: the key is durable
	}
	return issued, nil
}

// UndoRotation revokes the successor of a key in its grace and makes the key active again. The id can be that
// of the key or of its successor. Errors: ErrNotFound, *StateError if the rotation can no longer be undone.
func (s *Service) UndoRotation(ctx context.Context, workspace string, id uuid.UUID) (store.Key, error) {
	defer spans.Start(&ctx, "authz.undo_rotation", nil)()
	ctx, cancel := settle(ctx)
	defer cancel()
	id, to, err := s.rotated(ctx, workspace, id)
	if err != nil {
		return store.Key{}, err
	}
	old, successor, err := s.store.UndoRotation(ctx, workspace, id, to, s.Now())
	if err != nil {
		return store.Key{}, s.whyNoGrace(ctx, err, workspace, id, to)
	}
	s.publisher.Apply(ctx, workspace, jwks.Change{
		Version: successor.RevokedVersion, Remove: []jwks.KID{successor.KID}, Unsigned: store.UndoneUnsigned(old),
	})
	return old, s.publisher.Reach(ctx, workspace, successor.RevokedVersion)
}

// EndGrace revokes a key before its grace ends. The id can be that of the key or of its successor. Errors:
// ErrNotFound, *StateError if the key is not in its grace.
func (s *Service) EndGrace(ctx context.Context, workspace string, id uuid.UUID) (store.Key, error) {
	defer spans.Start(&ctx, "authz.end_grace", nil)()
	ctx, cancel := settle(ctx)
	defer cancel()
	id, to, err := s.rotated(ctx, workspace, id)
	if err != nil {
		return store.Key{}, err
	}
	key, err := s.store.EndGrace(ctx, workspace, id, to, s.Now())
	if err != nil {
		return store.Key{}, s.whyNoGrace(ctx, err, workspace, id, to)
	}
	return key, s.revoked(ctx, key)
}

// rotated returns both keys of a rotation by the id of either. The store checks that the rotation is in effect.
func (s *Service) rotated(ctx context.Context, workspace string, id uuid.UUID) (old, to uuid.UUID, err error) {
	key, err := s.store.Key(ctx, workspace, id)
	switch {
	case err != nil:
		return uuid.Nil, uuid.Nil, err
	case key.RotatedTo != uuid.Nil:
		return id, key.RotatedTo, nil
	case key.RotatedFrom != uuid.Nil:
		return key.RotatedFrom, id, nil
	}
	return uuid.Nil, uuid.Nil, s.stateOf(key)
}

// revoked publishes the revocation of a key. When it returns nil, this server's set no longer contains the key.
// Reach reads the change from the log if it is not only this removal: that of a suspended key is empty, and if
// the key's grace was over, the change may have removed other keys, too.
func (s *Service) revoked(ctx context.Context, key store.Key) error {
	if !key.SuspendedAt.IsZero() || key.RotatedTo != uuid.Nil && !key.RevokedAt.Before(key.GraceEndsAt) {
		return s.publisher.Reach(ctx, key.Workspace, key.RevokedVersion)
	}
	s.publisher.Apply(ctx, key.Workspace, jwks.Change{Version: key.RevokedVersion, Remove: []jwks.KID{key.KID}})
	return s.publisher.Reach(ctx, key.Workspace, key.RevokedVersion)
}
