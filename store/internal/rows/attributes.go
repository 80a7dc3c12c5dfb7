package rows

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// object returns the destination of a value in JSON; NULL becomes the zero value. It refuses unknown members,
// since a gateway that skips a restriction would accept too much.
func object[T any](into *T, kind string) Column {
	return func(value any) error {
		*into = *new(T)
		text, ok := value.(string)
		if !ok {
			return expect(value == nil, value, kind)
		}
		if err := json.Unmarshal([]byte(text), into, json.RejectUnknownMembers(true)); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		return nil
	}
}

// encode returns the argument for a value that Column object reads: NULL for the zero value.
func encode(v any, isZero bool) any {
	if isZero {
		return nil
	}
	text, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		panic(err) // strings, numbers, times and addresses
	}
	return string(text)
}

// Attributes returns the destination of a key's attributes.
func Attributes(a *jwks.Attributes) Column {
	return func(value any) error {
		if err := object(a, "attributes")(value); err != nil {
			return err
		}
		a.ExpiresAt = Cut(a.ExpiresAt)
		return jwks.CheckLimits(a.Limits)
	}
}

// Unsigned returns the destination of the unsigned part of a change.
func Unsigned(u *jwks.Unsigned) Column { return object(u, "an unsigned change") }

// AttributesArg returns the argument for a key's attributes.
func AttributesArg(a jwks.Attributes) any { return encode(a, a.IsZero()) }

// UnsignedArg returns the argument for the unsigned part of a change.
func UnsignedArg(u jwks.Unsigned) any { return encode(u, u.IsZero()) }

// IssuedArgs returns the arguments for the columns allowed_ips, plan, limits, signed and ceiling.
func IssuedArgs(k store.Key) []any {
	return []any{
		encode(k.AllowedIPs, len(k.AllowedIPs) == 0), OrNull(k.Plan), encode(k.Limits, len(k.Limits) == 0), encode(k.Signed, k.Signed == nil),
		encode(k.Ceiling, k.Ceiling.IsZero()),
	}
}

// SuspensionArgs returns the arguments for the columns suspended_at, suspended_reason and suspended_by.
func SuspensionArgs(k store.Key) []any {
	return []any{Micros(k.SuspendedAt), OrNull(k.SuspendedReason), OrNull(k.SuspendedBy)}
}

// Storable returns an error if the attributes of a key could not be read again.
func Storable(k store.Key) error {
	texts := append([]string{k.SuspendedReason, k.SuspendedBy, k.Plan}, k.Scopes...)
	texts = append(texts, k.Ceiling.Scopes...)
	if k.Signed != nil {
		texts = append(texts, k.Signed.Scopes...)
	}
	if !storable(texts...) {
		return errors.New("a scope, the plan or the suspension is not UTF-8, or has NUL")
	}
	return checkRules(k.Limits)
}

func checkRules(limits []jwks.Limit) error {
	for _, l := range limits {
		if !storable(l.Name) {
			return fmt.Errorf("the name of the rule %q is not UTF-8, or has NUL", l.Name)
		}
	}
	return jwks.CheckLimits(limits)
}

func cloneAttributes(k store.Key) store.Key {
	k.AllowedIPs = append([]netip.Prefix(nil), k.AllowedIPs...)
	k.Limits = append([]jwks.Limit(nil), k.Limits...)
	k.Ceiling.ExpiresAt, k.Ceiling.Scopes = Cut(k.Ceiling.ExpiresAt), slices.Clone(k.Ceiling.Scopes) // nil stays nil
	k.Ceiling.AllowedIPs = append([]netip.Prefix(nil), k.Ceiling.AllowedIPs...)
	if k.Signed != nil {
		signed := store.Signed{Scopes: NotNil(k.Signed.Scopes), ExpiresAt: Cut(k.Signed.ExpiresAt)}
		k.Signed = &signed
		if signed.ExpiresAt.Equal(k.ExpiresAt) && slices.Equal(signed.Scopes, k.Scopes) {
			k.Signed = nil
		}
	}
	return k
}

// ChangedKey calls change with copies of w and k, and returns k with those changes that UpdateKey allows.
// newPlan is the name of a plan that must exist.
func ChangedKey(w store.Workspace, k store.Key, change func(*store.Workspace, *store.Key) error) (_ store.Key, newPlan string, err error) {
	changed := cloneKey(k)
	if err := change(&w, &changed); err != nil {
		return k, "", err
	}
	before := k
	k.Name, k.Metadata, k.UpdatedAt = changed.Name, cloneObject(changed.Metadata), Cut(changed.UpdatedAt)
	k.SuspendedAt, k.SuspendedReason, k.SuspendedBy = Cut(changed.SuspendedAt), changed.SuspendedReason, changed.SuspendedBy
	switch {
	case k.SuspendedAt.IsZero():
		k.SuspendedReason, k.SuspendedBy = "", ""
	case !before.SuspendedAt.IsZero():
		k.SuspendedAt = before.SuspendedAt
	}
	k.ExpiresAt, k.Scopes = Cut(changed.ExpiresAt), changed.Scopes
	k.AllowedIPs, k.Plan, k.Limits, k.Ceiling = changed.AllowedIPs, changed.Plan, changed.Limits, changed.Ceiling
	if k.Signed == nil && k.Digest == nil {
		k.Signed = &store.Signed{Scopes: before.Scopes, ExpiresAt: before.ExpiresAt}
	}
	k = cloneKey(k)
	if sameAttributes(before, k) {
		return k, "", nil
	}
	if status := before.Status(k.UpdatedAt); status == store.Revoked || status == store.Expired {
		return before, "", store.ErrNotActive
	}
	if k.Plan != before.Plan {
		newPlan = k.Plan
	}
	return k, newPlan, Storable(k)
}

// sameAttributes reports whether UpdateKey changes nothing that a removed key can't have changed.
func sameAttributes(a, b store.Key) bool {
	return a.SuspendedAt.Equal(b.SuspendedAt) && a.SuspendedReason == b.SuspendedReason && a.SuspendedBy == b.SuspendedBy &&
		a.ExpiresAt.Equal(b.ExpiresAt) && slices.Equal(a.Scopes, b.Scopes) && slices.Equal(a.AllowedIPs, b.AllowedIPs) &&
		a.Plan == b.Plan && slices.Equal(a.Limits, b.Limits) && a.Ceiling.Equal(&b.Ceiling)
}

// Publication is how an update of a key changes what is published.
type Publication struct {
	Leaves, Returns bool            // the JWK leaves the set, or returns to it
	Alters          bool            // neither, but the attributes differ
	Attributes      jwks.Attributes // the new attributes
	Unsigned        jwks.Unsigned   // the unsigned part of the change
}

// Raises reports whether the update raises the version.
func (p *Publication) Raises() bool { return p.Leaves || p.Returns || p.Alters }

// Republished returns how the update of a key changes what is published.
func Republished(before, after store.Key) Publication {
	p := Publication{Leaves: before.Published() && !after.Published(), Returns: !before.Published() && after.Published()}
	p.Attributes = after.Attributes()
	p.Alters = before.Published() && after.Published() && AttributesArg(before.Attributes()) != AttributesArg(p.Attributes)
	switch {
	case p.Alters:
		after.SetIn(&p.Unsigned)
	case p.Returns:
		p.Unsigned = after.Issued()
	}
	return p
}
