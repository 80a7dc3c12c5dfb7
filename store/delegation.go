package store

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"
)

// MaxChildren limits how many published and suspended keys a key has under it.
const MaxChildren = 100

// ByParent means that a key is suspended because its parent is.
const ByParent = "parent"

// Errors of keys under a parent.
var (
	// ErrNoParent: the parent is not an Active key of the same workspace and owner, or is a child.
	ErrNoParent = errors.New("the key can't have keys under it")
	// ErrBeyondParent: the key could do what its parent can't.
	ErrBeyondParent = errors.New("the parent does not allow this")
	// ErrManyChildren: the parent has MaxChildren keys.
	ErrManyChildren = errors.New("the parent has too many keys under it")
	// ErrChild: a key under a parent is not rotated.
	ErrChild = errors.New("the key has a parent")
)

// nowhere is the network of a child that no network is left for: no request comes from it.
var nowhere = netip.MustParsePrefix("::/128")

// Most returns what a key under k can have.
func (k *Key) Most() Ceiling {
	return Ceiling{ExpiresAt: k.ExpiresAt, Scopes: append([]string{}, k.Scopes...), AllowedIPs: k.AllowedIPs}
}

// CheckParent returns why k can't be issued under a parent that has this many children, or nil. For backends.
func (k *Key) CheckParent(parent *Key, children int) error {
	switch {
	case !parent.CanHaveChildren(k.Owner, k.CreatedAt):
		return ErrNoParent
	case !k.within(parent):
		return ErrBeyondParent
	case children >= MaxChildren:
		return ErrManyChildren
	}
	return nil
}

// CanHaveChildren reports whether a key of an owner can be issued under k at a time.
func (k *Key) CanHaveChildren(owner string, at time.Time) bool {
	return k.Owner == owner && k.Parent == uuid.Nil && k.Status(at) == Active
}

// within reports whether k can do no more than its parent.
func (k *Key) within(parent *Key) bool {
	most := parent.Most()
	beyond := func(audience string) bool { return !slices.Contains(parent.Audience, audience) }
	return most.AllowsExpiry(k.ExpiresAt) && most.AllowsScopes(k.Scopes...) && most.AllowsIPs(k.AllowedIPs) &&
		k.Plan == parent.Plan && !slices.ContainsFunc(k.Audience, beyond)
}

// UnderParent returns the change of UpdateKey for a key with this parent. For backends.
func UnderParent(parent Key, change func(*Workspace, *Key) error) func(*Workspace, *Key) error {
	return func(w *Workspace, k *Key) error {
		if err := change(w, k); err != nil {
			return err
		}
		if !parent.SuspendedAt.IsZero() && k.SuspendedAt.IsZero() {
			k.SuspendedAt, k.SuspendedReason, k.SuspendedBy = k.UpdatedAt, "", ByParent
		}
		if !k.within(&parent) {
			return ErrBeyondParent
		}
		return nil
	}
}

// Follow changes a child as a change of its parent requires: it can do no more than the parent, and is suspended
// while the parent is. For backends.
func Follow(child *Key, parent Key, at time.Time) {
	most := parent.Most()
	child.Scopes = slices.DeleteFunc(slices.Clone(child.Scopes), func(scope string) bool { return !most.AllowsScopes(scope) })
	if !most.AllowsExpiry(child.ExpiresAt) {
		child.ExpiresAt = parent.ExpiresAt
	}
	if !most.AllowsIPs(child.AllowedIPs) {
		child.AllowedIPs = common(child.AllowedIPs, parent.AllowedIPs)
	}
	child.Plan, child.UpdatedAt = parent.Plan, at
	switch {
	case !parent.SuspendedAt.IsZero() && child.SuspendedAt.IsZero():
		child.SuspendedAt, child.SuspendedReason, child.SuspendedBy = at, "", ByParent
	case parent.SuspendedAt.IsZero() && child.SuspendedBy == ByParent:
		child.SuspendedAt, child.SuspendedBy = time.Time{}, ""
	}
}

// common returns the networks that both lists contain. An empty a contains all.
func common(a, b []netip.Prefix) (both []netip.Prefix) {
	if len(a) == 0 {
		return b
	}
	for _, x := range a {
		for _, y := range b {
			if !x.Overlaps(y) { // otherwise one contains the other
				continue
			}
			if y.Bits() > x.Bits() {
				x, y = y, x
			}
			if !slices.Contains(both, x) {
				both = append(both, x)
			}
		}
	}
	if len(both) == 0 {
		return []netip.Prefix{nowhere}
	}
	return both
}
