package publish

import (
	"cmp"
	"slices"

	"github.com/burnkey/burnkey/jwks"
)

// withShared returns a copy of the sets in which `limits` replaces the set with the same subject and name, or deletes it
// if there are no rules. It changes the fingerprint of the feed accordingly. The sets are in order. Only pointers
// are copied: 80 KB for 10,000 sets.
func withShared(sets []*jwks.LimitSet, limits *jwks.LimitSet, print *jwks.Fingerprint) []*jwks.LimitSet {
	at, found := findShared(sets, limits)
	end := at
	if found {
		toggle(print, sets[at].Print())
		end++
	}
	if len(limits.Limits) == 0 {
		return slices.Concat(sets[:at], sets[end:])
	}
	toggle(print, limits.Print())
	return slices.Concat(sets[:at], []*jwks.LimitSet{limits}, sets[end:])
}

// settle replaces settings and changes the fingerprint of the feed accordingly.
func settle(settings *jwks.Settings, next jwks.Settings, print *jwks.Fingerprint) {
	toggle(print, settings.Print())
	toggle(print, next.Print())
	*settings = next
}

func findShared(sets []*jwks.LimitSet, like *jwks.LimitSet) (at int, found bool) {
	return slices.BinarySearchFunc(sets, like, func(a, b *jwks.LimitSet) int {
		return cmp.Or(cmp.Compare(a.On, b.On), cmp.Compare(a.Name, b.Name))
	})
}

// has reports whether a set has exactly these limits; without rules, whether it has none with this name.
func (s *Set) has(limits *jwks.LimitSet) bool {
	at, found := findShared(s.shared, limits)
	if len(limits.Limits) == 0 {
		return !found
	}
	return found && s.shared[at].Print() == limits.Print()
}

// hasAttributes reports whether a key has exactly these attributes.
func (s *Set) hasAttributes(k *jwks.KeyAttributes) bool {
	has := jwks.KeyAttributes{KID: k.KID}
	if attributes := s.root.attributes(&k.KID); attributes != nil {
		has.Attributes = *attributes
	}
	return has.Print() == k.Print()
}

// Settings returns the workspace's settings.
func (s *Set) Settings() jwks.Settings { return s.settings }

// Attributes returns the attributes of a published key; the zero value if it has none.
func (s *Set) Attributes(kid jwks.KID) (attributes jwks.Attributes) {
	if a := s.root.attributes(&kid); a != nil {
		attributes = *a
	}
	return attributes
}
