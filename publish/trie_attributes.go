package publish

import (
	"slices"
	"sort"

	"github.com/burnkey/burnkey/jwks"
)

// assigned are the new attributes of a published key; nil: it has none.
type assigned struct {
	kid        jwks.KID
	attributes *jwks.Attributes
}

func assign(k jwks.KeyAttributes) assigned {
	if k.Attributes.IsZero() {
		return assigned{kid: k.KID}
	}
	return assigned{k.KID, &k.Attributes}
}

// toggle adds the attributes to the fingerprint of a feed, or removes them.
func (a assigned) toggle(print *jwks.Fingerprint) {
	if a.attributes != nil {
		toggle(print, (&jwks.KeyAttributes{KID: a.kid, Attributes: *a.attributes}).Print())
	}
}

func toggle(print *jwks.Fingerprint, part jwks.Fingerprint) { print.Toggle((*jwks.KID)(&part)) }

// someOf returns nil if no key has attributes.
func someOf(attrs []*jwks.Attributes) []*jwks.Attributes {
	if slices.ContainsFunc(attrs, func(a *jwks.Attributes) bool { return a != nil }) {
		return attrs
	}
	return nil
}

// attributesAt returns the attributes of a leaf's key, or nil.
func (n *node) attributesAt(at int) *jwks.Attributes {
	if n.attrs == nil {
		return nil
	}
	return n.attrs[at]
}

// attributes returns the attributes of a key, or nil.
func (n *node) attributes(kid *jwks.KID) *jwks.Attributes {
	leaf := n.leafOf(kid)
	if at, ok := leaf.search(kid); ok {
		return leaf.attributesAt(at)
	}
	return nil
}

// assign returns a copy of the trie n in which the keys have these attributes, or ErrNotPublished. It changes
// the fingerprint of the feed accordingly. If a kid occurs twice, the last attributes hold.
func (n *node) assign(set []assigned, print *jwks.Fingerprint) (*node, error) {
	if len(set) == 0 {
		return n, nil
	}
	byKID := func(a, b assigned) int { return slices.Compare(a.kid[:], b.kid[:]) }
	if !slices.IsSortedFunc(set, byKID) {
		set = slices.Clone(set)
		slices.SortStableFunc(set, byKID)
	}
	return n.assignSorted(set, print, 0)
}

func (n *node) assignSorted(set []assigned, print *jwks.Fingerprint, depth int) (*node, error) {
	if n.kids == nil {
		return n.assignHere(set, print)
	}
	kids := *n.kids
	for len(set) > 0 {
		i := branch(&set[0].kid, depth)
		end := sort.Search(len(set), func(j int) bool { return branch(&set[j].kid, depth) > i })
		var err error
		if kids[i], err = kids[i].assignSorted(set[:end], print, depth+1); err != nil {
			return nil, err
		}
		set = set[end:]
	}
	return &node{count: n.count, kids: &kids}, nil
}

// assignHere returns a leaf that shares the keys and their rendered forms with n.
func (n *node) assignHere(set []assigned, print *jwks.Fingerprint) (*node, error) {
	attrs := make([]*jwks.Attributes, n.count)
	copy(attrs, n.attrs)
	for _, a := range set {
		at, found := n.search(&a.kid)
		if !found {
			return nil, jwks.ErrNotPublished
		}
		assigned{a.kid, attrs[at]}.toggle(print)
		a.toggle(print)
		attrs[at] = a.attributes
	}
	return &node{count: n.count, keys: n.keys, attrs: someOf(attrs), forms: n.forms}, nil
}
