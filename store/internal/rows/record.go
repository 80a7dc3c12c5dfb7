package rows

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// The columns of the records, in the order of the destinations that the methods below return.
const (
	KeyColumns = `id, kid, owner, name, scopes, audience, claims, metadata, idempotency_key,
	created_at, updated_at, expires_at, revoked_at, version, revoked_version,
	rotated_from, rotated_to, grace_ends_at, expired_version, request_digest,
	allowed_ips, plan, limits, signed, ceiling, suspended_at, suspended_reason, suspended_by, digest, parent, delegates`
	LastUsed         = `(SELECT last_used_at FROM usage WHERE usage.workspace = keys.workspace AND usage.id = keys.id)`
	UsedKeyColumns   = LastUsed + `, ` + KeyColumns
	WorkspaceColumns = `id, name, audiences, allow_never_expires, version, created_at, updated_at, environment, environment_of, inherits`
	SettingsColumns  = `policy, portal`            // NULL if never set
	ReportedColumns  = `since, until, reported_at` // NULL if nobody reports
	GatewayColumns   = `gateway_settings`          // NULL if all have their defaults
	SessionColumns   = `hash, kind, workspace, owner, role, subject, scopes_allowed, return_url, embedded, created_at, expires_at,
	login, made_by`
	AuditColumns = `workspace, id, at, actor_kind, actor_id, actor_from, action, key, owner, result, detail`
)

// Key returns the destinations of KeyColumns.
func (d *Dialect) Key(k *store.Key) []any {
	return []any{
		d.IDInto(&k.ID), kid(&k.KID), &k.Owner, &k.Name, d.List(&k.Scopes), d.List(&k.Audience),
		(*[]byte)(&k.Claims), (*[]byte)(&k.Metadata), text(&k.IdempotencyKey),
		Time(&k.CreatedAt), Time(&k.UpdatedAt), Time(&k.ExpiresAt), Time(&k.RevokedAt), &k.Version, version(&k.RevokedVersion),
		d.IDInto(&k.RotatedFrom), d.IDInto(&k.RotatedTo), Time(&k.GraceEndsAt), version(&k.ExpiredVersion), &k.RequestDigest,
		object(&k.AllowedIPs, "a list of networks"), text(&k.Plan), rules(&k.Limits), object(&k.Signed, "signed values"),
		object(&k.Ceiling, "a ceiling"),
		Time(&k.SuspendedAt), text(&k.SuspendedReason), text(&k.SuspendedBy), digest(&k.Digest), d.IDInto(&k.Parent), flag(&k.Delegates),
	}
}

// UsedKey returns the destinations of UsedKeyColumns.
func (d *Dialect) UsedKey(k *store.Key) []any { return append([]any{Time(&k.LastUsedAt)}, d.Key(k)...) }

// Workspace returns the destinations of WorkspaceColumns, SettingsColumns, ReportedColumns and GatewayColumns.
func (d *Dialect) Workspace(w *store.Workspace) []any {
	return []any{
		&w.ID, &w.Name, d.List(&w.Audiences), &w.AllowNeverExpires, &w.Version, Time(&w.CreatedAt), Time(&w.UpdatedAt),
		text(&w.Environment), text(&w.EnvironmentOf), words(&w.Inherits),
		settings(&w.Policy), settings(&w.Portal), Time(&w.Usage.Since), Time(&w.Usage.Until), Time(&w.Usage.At),
		gatewaySettings(&w.Settings),
	}
}

// Session returns the destinations of SessionColumns.
func (d *Dialect) Session(s *store.Session) []any {
	return []any{
		hash(&s.Hash), &s.Kind, &s.Workspace, &s.Owner, &s.Role, &s.Subject, d.List(&s.ScopesAllowed), &s.ReturnURL, &s.Embedded,
		Time(&s.CreatedAt), Time(&s.ExpiresAt), &s.Login, d.IDInto(&s.MadeBy),
	}
}

// entry returns the destinations of AuditColumns.
func (d *Dialect) entry(e *store.Entry) []any {
	return []any{
		&e.Workspace, d.IDInto(&e.ID), Time(&e.At), &e.Actor.Kind, &e.Actor.ID, &e.Actor.From, &e.Action,
		d.IDInto(&e.Key), text(&e.Owner), &e.Result, (*[]byte)(&e.Detail),
	}
}

// EntryArgs returns the arguments for AuditColumns.
func (d *Dialect) EntryArgs(e store.Entry) []any {
	return []any{ // At is never NULL
		e.Workspace, d.ID(e.ID), e.At.UnixMicro(), e.Actor.Kind, e.Actor.ID, e.Actor.From, e.Action,
		d.IDOrNull(e.Key), OrNull(e.Owner), e.Result, string(e.Detail),
	}
}

// JWK decodes a key of the published set.
func JWK(kid, modulus []byte) (jwks.Key, error) {
	key, err := jwks.FromModulus(modulus)
	if err != nil {
		return jwks.Key{}, fmt.Errorf("%w: a JWK: %w", store.ErrDamaged, err)
	}
	if got := key.KID(); string(got[:]) != string(kid) {
		return jwks.Key{}, fmt.Errorf("%w: a JWK's kid is not its thumbprint %s", store.ErrDamaged, got)
	}
	return key, nil
}

// Change decodes a change from its columns: the moduli of the added keys, the kids of the removed keys and the
// unsigned part.
func Change(version uint64, added, removed []byte, unsigned jwks.Unsigned) (jwks.Change, error) {
	c := jwks.Change{Version: version, Add: []jwks.Key{}, Remove: []jwks.KID{}, Unsigned: unsigned}
	for n := range slices.Chunk(added, jwks.ModulusLen) {
		if bytes.Equal(n, NoJWK) { // unsigned has the imported key
			continue
		}
		key, err := jwks.FromModulus(n)
		if err != nil {
			return c, fmt.Errorf("%w: change %d: %w", store.ErrDamaged, version, err)
		}
		c.Add = append(c.Add, key)
	}
	for b := range slices.Chunk(removed, len(jwks.KID{})) {
		kid, err := KID(b)
		if err != nil {
			return c, fmt.Errorf("%w: change %d: %w", store.ErrDamaged, version, err)
		}
		c.Remove = append(c.Remove, kid)
	}
	return c.Split(), nil
}

// EnvironmentArgs returns the arguments for the columns environment, environment_of and inherits.
func EnvironmentArgs(w store.Workspace) []any {
	return []any{OrNull(w.Environment), OrNull(w.EnvironmentOf), OrNull(strings.Join(w.Inherits, " "))}
}

// Settings returns the arguments for SettingsColumns.
func Settings(w store.Workspace) (policy, portal string, err error) {
	policyText, errPolicy := json.Marshal(w.Policy)
	portalText, errPortal := json.Marshal(w.Portal)
	return string(policyText), string(portalText), errors.Join(errPolicy, errPortal)
}

// NewKey returns a new key in the form in which the store will return it.
func NewKey(k store.Key, pub jwks.Key) store.Key {
	k.KID = pub.KID()
	k = cloneKey(k)
	k.CreatedAt, k.UpdatedAt = Cut(k.CreatedAt), Cut(k.UpdatedAt)
	k.RevokedAt, k.RevokedVersion, k.ExpiredVersion = time.Time{}, 0, 0
	k.RotatedFrom, k.RotatedTo, k.GraceEndsAt = uuid.Nil, uuid.Nil, time.Time{}
	k.Delegates = false
	k.LastUsedAt, k.SuspendedAt, k.SuspendedReason, k.SuspendedBy, k.Digest = time.Time{}, time.Time{}, "", "", nil
	return k
}

func cloneKey(k store.Key) store.Key {
	k.Scopes, k.Audience = NotNil(k.Scopes), NotNil(k.Audience)
	k.Claims, k.Metadata = cloneObject(k.Claims), cloneObject(k.Metadata)
	k.ExpiresAt = Cut(k.ExpiresAt)
	return cloneAttributes(k)
}

// NewWorkspace returns a new workspace in the form in which the store will return it, and its logo.
func NewWorkspace(w store.Workspace) (_ store.Workspace, logo []byte) {
	w.Version, w.Usage, w.UpdatedAt = 1, store.Reported{}, w.CreatedAt
	w.CreatedAt = Cut(w.CreatedAt)
	w, logo, _ = storedWorkspace(w, store.Portal{})
	return w, logo
}

// ChangedWorkspace returns a copy of old after change. If newLogo is true, logo replaces the stored logo.
func ChangedWorkspace(old store.Workspace, change func(*store.Workspace) error) (w store.Workspace, logo []byte, newLogo bool, err error) {
	w = old
	w.Audiences, w.Inherits = NotNil(old.Audiences), NotNil(old.Inherits) // change may write into slices
	w.Policy, w.Portal = old.Policy.Clone(), old.Portal.Clone()
	if err := change(&w); err != nil {
		return w, nil, false, err
	}
	w.ID, w.EnvironmentOf, w.Version, w.CreatedAt, w.Usage = old.ID, old.EnvironmentOf, old.Version, old.CreatedAt, old.Usage
	w, logo, newLogo = storedWorkspace(w, old.Portal)
	return w, logo, newLogo, nil
}

func storedWorkspace(w store.Workspace, before store.Portal) (_ store.Workspace, logo []byte, newLogo bool) {
	w.Audiences, w.Inherits, w.Policy, w.UpdatedAt = NotNil(w.Audiences), NotNil(w.Inherits), w.Policy.Clone(), Cut(w.UpdatedAt)
	w.Settings.Environment, w.Settings.BareUntil = w.Environment, Cut(w.Settings.BareUntil)
	w.Portal, logo, newLogo = w.Portal.Stored(before)
	return w, logo, newLogo
}

// NewSession returns a new session in the form in which the store will return it.
func NewSession(s store.Session) store.Session {
	s.ScopesAllowed = slices.Clone(s.ScopesAllowed) // nil stays nil
	s.CreatedAt, s.ExpiresAt = Cut(s.CreatedAt), Cut(s.ExpiresAt)
	return s
}
