package authz

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/internal/spans"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// KeyPatch changes the fields that are not nil.
type KeyPatch struct {
	Name *string
	// Metadata is a JSON Merge Patch (RFC 7396) of the key's metadata. null removes all of it.
	Metadata []byte

	Enabled         *bool // false suspends the key, true resumes it
	SuspendedReason *string
	// ExpiresAt replaces the token's exp, and NeverExpires removes it. SignedExpiry resets it to that of the token.
	ExpiresAt                  *time.Time
	NeverExpires, SignedExpiry bool
	// Scopes replace those of the token. SignedScopes resets them.
	Scopes       *[]string
	SignedScopes bool
	AllowedIPs   *[]string     // addresses and networks; empty: any
	Plan         *string       // empty: none
	Limits       *[]jwks.Limit // empty: none

	// Session is the owner's portal session, if the change comes from the portal. It limits the change to what
	// the portal offers (OnPage) and to the key's ceiling: not to plan and limits, nor to a key that the producer
	// suspended. The producer's changes of expiry, scopes and networks, those without a session, set the ceiling.
	Session *store.Session
}

// attributes returns the names of the attributes that the patch has.
func (p *KeyPatch) attributes() (names []string) {
	for _, a := range []struct {
		name string
		has  bool
	}{
		{"enabled", p.Enabled != nil},
		{"suspended_reason", p.SuspendedReason != nil},
		{"expires_at", p.ExpiresAt != nil || p.SignedExpiry},
		{"never_expires", p.NeverExpires},
		{"scopes", p.Scopes != nil || p.SignedScopes},
		{"allowed_ips", p.AllowedIPs != nil},
		{"plan", p.Plan != nil},
		{"limits", p.Limits != nil},
	} {
		if a.has {
			names = append(names, a.name)
		}
	}
	return names
}

// UpdateKey changes what is not signed, and replaces scopes and expiry of a key for gateways that follow the
// feed. A patch without effect leaves UpdatedAt as it is and adds no audit entry. When it returns nil, this server
// has published the change, and Version of the result is one that has it. Errors: InputError, *BudgetError,
// ErrNotFound, *StateError: attributes of a revoked or expired key can't be changed.
func (s *Service) UpdateKey(ctx context.Context, workspace string, id uuid.UUID, p KeyPatch) (store.Key, error) {
	defer spans.Start(&ctx, "authz.update_key", nil)()
	c, err := p.checked()
	if err != nil {
		return store.Key{}, err
	}
	return s.updateKey(ctx, workspace, id, c)
}

func (s *Service) updateKey(ctx context.Context, workspace string, id uuid.UUID, c *keyChange) (store.Key, error) {
	if err := s.spend(ctx, changeCost+2*kib(c.Metadata)); err != nil {
		return store.Key{}, err
	}
	ctx, cancel := settle(ctx)
	defer cancel()
	var old store.Key
	key, err := s.store.UpdateKey(ctx, workspace, id, func(w *store.Workspace, k *store.Key) error {
		old = *k
		return c.apply(w, k, s.Now())
	})
	switch {
	case errors.Is(err, errUnchanged):
		key = old
	case errors.Is(err, ErrNotActive):
		return store.Key{}, s.readState(ctx, workspace, id)
	case errors.Is(err, store.ErrNoPlan):
		return store.Key{}, Invalid("plan", RuleNoPlan)
	case errors.Is(err, store.ErrBeyondParent):
		return store.Key{}, c.beyondParent()
	case err != nil:
		return store.Key{}, err
	}
	if len(c.attributes()) == 0 {
		return key, nil
	}
	s.wakeReaper()
	// Also without a change: an earlier call may have stored it and then failed to publish it.
	w, err := s.store.Workspace(ctx, workspace)
	if err != nil {
		return store.Key{}, err
	}
	key.Version = w.Version
	return key, s.publisher.Reach(ctx, workspace, w.Version)
}

// keyChange is a KeyPatch that was checked as far as that is possible without the key.
type keyChange struct {
	KeyPatch
	networks []netip.Prefix
	granted  bool // the scopes are those of the key and others that its owner requested
}

func (p KeyPatch) checked() (*keyChange, error) {
	var bad InputError
	if p.Name != nil {
		bad.name("name", *p.Name, 0)
	}
	if !isNull(p.Metadata) {
		bad.depth("metadata", p.Metadata)
		bad.object("metadata", p.Metadata, MaxMetadata)
	}
	if p.SuspendedReason != nil {
		bad.name("suspended_reason", *p.SuspendedReason, 0)
	}
	if p.NeverExpires && (p.ExpiresAt != nil || p.SignedExpiry) {
		bad.Add("expires_at", RuleExpiresTwice)
	}
	if p.Scopes != nil {
		bad.scopes("scopes", *p.Scopes)
	}
	c := &keyChange{KeyPatch: p}
	if p.AllowedIPs != nil {
		c.networks = bad.networks("allowed_ips", *p.AllowedIPs)
	}
	if p.Plan != nil {
		bad.planName("plan", *p.Plan)
	}
	if p.Limits != nil {
		bad.limits("limits", *p.Limits)
	}
	bad.producers(p.Session, p.Plan != nil, p.Limits != nil)
	return c, bad.err()
}

// producers refuses attributes that owners can't choose.
func (e *InputError) producers(session *store.Session, plan, limits bool) {
	if session != nil && plan {
		e.Add("plan", RuleProducersOnly)
	}
	if session != nil && limits {
		e.Add("limits", RuleProducersOnly)
	}
}

// apply changes a key, within the transaction that stores it. Errors: InputError, ErrNotActive, errUnchanged.
func (c *keyChange) apply(w *store.Workspace, k *store.Key, now time.Time) error {
	before := *k
	var bad InputError
	if names := c.attributes(); len(names) > 0 {
		if status := k.Status(now); status == store.Revoked || status == store.Expired {
			return ErrNotActive
		}
		bad.managementKey(w, names)
	}
	if c.Name != nil {
		k.Name = *c.Name
	}
	if err := mergeMetadata(k, c.Metadata); err != nil {
		return err
	}
	page := OnPage(w, c.Session)
	c.suspend(&bad, k, now)
	c.expire(&bad, page, k, now)
	c.narrow(&bad, page, k)
	if c.AllowedIPs != nil {
		k.AllowedIPs = c.networks
	}
	if c.Plan != nil {
		k.Plan = *c.Plan
	}
	if c.Limits != nil {
		k.Limits = *c.Limits
	}
	c.bound(&bad, k)
	if err := bad.err(); err != nil {
		return err
	}
	if sameRecord(&before, k) {
		return errUnchanged
	}
	k.UpdatedAt = now
	return nil
}

// managementKey refuses attributes of management keys, which Authenticate would not hold. A suspended key is not
// in the set.
func (e *InputError) managementKey(w *store.Workspace, names []string) {
	for _, name := range names {
		if w.ID == Home && name != "enabled" && name != "suspended_reason" {
			e.Add(name, RuleManagementKey, "workspace", Home)
		}
	}
}

func (c *keyChange) suspend(e *InputError, k *store.Key, now time.Time) {
	by := ""
	if c.Session != nil {
		by = store.ByOwner
	}
	isOthers := by == store.ByOwner && !k.SuspendedAt.IsZero() && k.SuspendedBy != store.ByOwner && k.SuspendedBy != store.ByParent
	switch {
	case c.Enabled == nil:
	case *c.Enabled && k.SuspendedBy == store.ByParent:
		e.Add("enabled", RuleSuspendedByParent)
	case *c.Enabled && isOthers:
		e.Add("enabled", RuleSuspendedByProducer)
	case *c.Enabled:
		k.SuspendedAt, k.SuspendedReason, k.SuspendedBy = time.Time{}, "", ""
	case k.SuspendedAt.IsZero():
		k.SuspendedAt, k.SuspendedBy = now, by
	case !isOthers: // the producer may take over the owner's suspension
		k.SuspendedBy = by
	}
	switch {
	case c.SuspendedReason == nil || *c.SuspendedReason == k.SuspendedReason:
	case isOthers:
		e.Add("suspended_reason", RuleSuspendedByProducer)
	case k.SuspendedAt.IsZero():
		e.Add("suspended_reason", RuleNotSuspended)
	default:
		k.SuspendedReason = *c.SuspendedReason
	}
}

func (c *keyChange) expire(e *InputError, w *store.Workspace, k *store.Key, now time.Time) {
	var to time.Time
	switch {
	case c.ExpiresAt != nil:
		to = c.ExpiresAt.UTC().Truncate(time.Microsecond)
	case c.SignedExpiry && k.Signed == nil:
		to = k.ExpiresAt
	case c.SignedExpiry:
		to = k.Signed.ExpiresAt
	case !c.NeverExpires:
		return
	}
	most := MaxLife(w)
	switch never := to.IsZero() && c.ExpiresAt == nil; {
	case never && k.ExpiresAt.IsZero():
	case never && !MayNeverExpire(w):
		e.refuseNeverExpires(w)
	case !never && !to.After(now):
		e.Add("expires_at", RuleNotFuture)
	case !never && to.Sub(now) > time.Duration(most)*time.Second:
		e.Add("expires_at", RuleTooLate, "max", most)
	}
	k.ExpiresAt = to
}

// narrow sets the scopes. New ones must be offered, but the key can keep a scope that no longer is.
func (c *keyChange) narrow(e *InputError, w *store.Workspace, k *store.Key) {
	to := k.Scopes
	switch {
	case c.Scopes != nil:
		to = *c.Scopes
	case c.SignedScopes && k.Signed != nil:
		to = k.Signed.Scopes
	}
	e.offered("scopes", w, slices.DeleteFunc(slices.Clone(to), func(scope string) bool { return slices.Contains(k.Scopes, scope) }))
	k.Scopes = to
}

// sameRecord reports whether a change had no effect.
func sameRecord(a, b *store.Key) bool {
	return a.Name == b.Name && sameJSON(a.Metadata, b.Metadata) &&
		a.SuspendedAt.Equal(b.SuspendedAt) && a.SuspendedReason == b.SuspendedReason && a.SuspendedBy == b.SuspendedBy &&
		a.ExpiresAt.Equal(b.ExpiresAt) && slices.Equal(a.Scopes, b.Scopes) && slices.Equal(a.AllowedIPs, b.AllowedIPs) &&
		a.Plan == b.Plan && slices.Equal(a.Limits, b.Limits) && a.Ceiling.Equal(&b.Ceiling)
}
