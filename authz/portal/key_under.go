package portal

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// family is the data of a key's parent and of the keys under it.
type family struct {
	Parent   *shownKey  // or nil
	Children []shownKey // published and suspended
	CanAdopt bool       // the key can have keys under it; see Full
}

// familyOf returns the parent of a key and the keys under it.
func (v *visit) familyOf(k *store.Key) (f family, err error) {
	if f.Parent, err = v.related(k.Parent); err != nil {
		return f, err
	}
	f.CanAdopt = k.CanHaveChildren(k.Owner, v.now())
	if !k.Delegates {
		return f, nil
	}
	err = v.each(store.Filter{Parent: k.ID, Live: true, Limit: store.MaxChildren}, func(child store.Key) {
		child.Claims, child.Metadata = nil, nil // large, and not shown
		f.Children = append(f.Children, v.show(child))
	})
	return f, err
}

// Working returns how many keys under the key are not suspended.
func (f *family) Working() (n int) {
	for _, child := range f.Children {
		if child.State != string(store.Suspended) {
			n++
		}
	}
	return n
}

// Full returns store.MaxChildren if the key has that many keys under it, otherwise 0.
func (f *family) Full() int {
	if len(f.Children) < store.MaxChildren {
		return 0
	}
	return store.MaxChildren
}

// HasParent reports whether the key is under another.
func (k shownKey) HasParent() bool { return k.Key.Parent != uuid.Nil }

// ParentShort returns the parent's Short.
func (k shownKey) ParentShort() string { return shortOf(k.Key.Parent) }

// readParents reads the parents of the listed keys.
func (v *visit) readParents(l *keyList) error {
	l.Parents = map[uuid.UUID]*shownKey{}
	for _, k := range l.Keys {
		if _, known := l.Parents[k.Parent]; known {
			continue
		}
		parent, err := v.related(k.Parent)
		if err != nil {
			return err
		}
		l.Parents[k.Parent] = parent
	}
	return nil
}

// bounds are limits for the attributes of a key, all of which apply.
type bounds []store.Ceiling

// boundsOf returns the bounds for changes of a key: the producer's ceiling, and what the parent, if any, allows.
func (v *visit) boundsOf(k *store.Key, parent *shownKey) bounds {
	b := bounds{v.ceiling(k)}
	if parent != nil {
		b = append(b, parent.Most())
	}
	return b
}

func (b bounds) allowExpiry(at time.Time) bool {
	return !slices.ContainsFunc(b, func(c store.Ceiling) bool { return !c.AllowsExpiry(at) })
}

func (b bounds) allowScope(scope string) bool {
	return !slices.ContainsFunc(b, func(c store.Ceiling) bool { return !c.AllowsScopes(scope) })
}

// last returns the given day, or an earlier one on which a bound ends.
func (b bounds) last(day time.Time) time.Time {
	for _, c := range b {
		if !c.AllowsExpiry(day) {
			day = c.ExpiresAt.UTC()
		}
	}
	return day
}

// toBound moves an expiry back to the end of a bound on the same day, since the forms have only days.
func (b bounds) toBound(at time.Time) time.Time {
	for _, c := range b {
		if end := c.ExpiresAt.UTC(); end.Format(time.DateOnly) == at.Format(time.DateOnly) && end.Before(at) {
			at = end
		}
	}
	return at
}

// putUnder limits a form to what keys under a parent can have.
func (v *visit) putUnder(f *createForm, parent *shownKey) {
	f.Parent, f.Owner = parent, parent.Owner
	f.Offered = v.scopesUnder(parent)
	if parent.ExpiresAt.IsZero() {
		return
	}
	now, most := v.now(), time.Duration(v.maxLife())*time.Second
	f.Never, f.Together = false, !parent.ExpiresAt.After(now.Add(most))
	f.Last = min(f.Last, parent.ExpiresAt.UTC().Format(time.DateOnly))
	f.Presets = slices.DeleteFunc(f.Presets, func(life time.Duration) bool { return now.Add(life).After(parent.ExpiresAt) })
}

// scopesUnder returns those scopes of a parent that this session may give to a key.
func (v *visit) scopesUnder(parent *shownKey) (scopes []store.OfferedScope) {
	page := v.page()
	for _, name := range parent.Scopes {
		if !authz.OffersScope(page, name) {
			continue
		}
		scope := store.OfferedScope{Name: name}
		if i := slices.IndexFunc(page.Policy.Scopes, func(o store.OfferedScope) bool { return o.Name == name }); i >= 0 {
			scope = page.Policy.Scopes[i]
		}
		scopes = append(scopes, scope)
	}
	return scopes
}

// outlives reports whether a request asks for a later day of expiry than the parent has. On the same day, authz shortens the
// key's life.
func (v *visit) outlives(parent *shownKey, r *authz.IssueRequest) bool {
	end := r.Until
	if r.ExpiresIn != nil {
		// If the life exceeds the workspace's maximum, authz refuses it.
		end = v.now().Add(time.Duration(min(*r.ExpiresIn, v.maxLife())) * time.Second)
	}
	most := store.Ceiling{ExpiresAt: parent.ExpiresAt}
	return !most.AllowsExpiry(bounds{most}.toBound(end.UTC()))
}
