package publish

import (
	"slices"
	"sort"

	"github.com/burnkey/burnkey/jwks"
)

// The keys are stored in the order of their kids, in which they are also served, in chunks: the leaves of a
// trie over the bits of the kid. Kids are hashes, so the chunks fill evenly. A change copies the affected
// chunk and the few nodes above it. Everything else, including rendered forms, is shared with the previous
// version, which can still have readers.
const (
	leafMax = 64 // keys; fuller leaves are split
	fanBits = 2
	fan     = 1 << fanBits
)

type node struct {
	count int
	kids  *[fan]*node        // nil in a leaf
	keys  []jwks.Key         // of a leaf; immutable once the node is in a Set
	attrs []*jwks.Attributes // of the same keys; nil if no key of the leaf has any
	forms *forms             // of a leaf; shared by leaves that differ in their attributes alone
}

var emptyLeaf = newLeaf(nil, nil)

// newLeaf returns a leaf. attrs can be nil, also if it has only nil elements.
func newLeaf(keys []jwks.Key, attrs []*jwks.Attributes) *node {
	return &node{count: len(keys), keys: keys, attrs: someOf(attrs), forms: new(forms)}
}

// branch returns the index of the child of a node at this depth that contains the kid.
func branch(kid *jwks.KID, depth int) int {
	bit := depth * fanBits
	return int(kid[bit/8]>>(8-fanBits-bit%8)) & (fan - 1)
}

func branchOf(key *jwks.Key, depth int) int {
	kid := key.KID()
	return branch(&kid, depth)
}

// search returns the position of the kid in a leaf, or where the kid would be inserted.
func (n *node) search(kid *jwks.KID) (at int, found bool) {
	at = sort.Search(n.count, func(i int) bool { return n.keys[i].Compare(kid) >= 0 })
	return at, at < n.count && n.keys[at].Compare(kid) == 0
}

func (n *node) leafOf(kid *jwks.KID) *node {
	for depth := 0; n.kids != nil; depth++ {
		n = n.kids[branch(kid, depth)]
	}
	return n
}

func (n *node) lookup(kid *jwks.KID) *jwks.Key {
	leaf := n.leafOf(kid)
	at, ok := leaf.search(kid)
	if !ok {
		return nil
	}
	return &leaf.keys[at]
}

// add returns a copy of the trie n with the keys added, or ErrPublished if a kid is in n already or occurs
// twice.
func (n *node) add(keys []jwks.Key) (*node, error) {
	byKID := func(a, b jwks.Key) int {
		kid := b.KID()
		return a.Compare(&kid)
	}
	if !slices.IsSortedFunc(keys, byKID) {
		keys = slices.Clone(keys)
		slices.SortFunc(keys, byKID)
	}
	for i := 1; i < len(keys); i++ {
		if keys[i].KID() == keys[i-1].KID() {
			return nil, jwks.ErrPublished
		}
	}
	return n.insert(keys, 0)
}

// insert is like add, for sorted keys without duplicates.
func (n *node) insert(keys []jwks.Key, depth int) (*node, error) {
	if len(keys) == 0 {
		return n, nil
	}
	if n.kids == nil && n.count+len(keys) <= leafMax {
		return n.merge(keys)
	}
	kids := n.kids
	if kids == nil {
		kids = n.split(depth)
	}
	grown := &node{kids: new([fan]*node), count: n.count + len(keys)}
	*grown.kids = *kids
	for len(keys) > 0 {
		i := branchOf(&keys[0], depth)
		end := sort.Search(len(keys), func(j int) bool { return branchOf(&keys[j], depth) > i })
		var err error
		if grown.kids[i], err = kids[i].insert(keys[:end], depth+1); err != nil {
			return nil, err
		}
		keys = keys[end:]
	}
	return grown, nil
}

// merge returns a leaf with the keys of n and the given keys. The given keys must be sorted.
func (n *node) merge(keys []jwks.Key) (*node, error) {
	all := make([]jwks.Key, 0, n.count+len(keys))
	var attrs []*jwks.Attributes
	from := 0
	for i := range keys {
		kid := keys[i].KID()
		at, found := n.search(&kid)
		if found {
			return nil, jwks.ErrPublished
		}
		all = append(append(all, n.keys[from:at]...), keys[i])
		if n.attrs != nil {
			attrs = append(append(attrs, n.attrs[from:at]...), nil)
		}
		from = at
	}
	all = append(all, n.keys[from:]...)
	if n.attrs != nil {
		attrs = append(attrs, n.attrs[from:]...)
	}
	return newLeaf(all, attrs), nil
}

// split distributes a leaf's keys over children.
func (n *node) split(depth int) *[fan]*node {
	var kids [fan]*node
	start := 0
	for i := range kids {
		end := start + sort.Search(n.count-start, func(j int) bool {
			return branchOf(&n.keys[start+j], depth) > i
		})
		// Copy the keys, so that each part can be freed separately.
		var attrs []*jwks.Attributes
		if n.attrs != nil {
			attrs = slices.Clone(n.attrs[start:end])
		}
		kids[i] = newLeaf(slices.Clone(n.keys[start:end]), attrs)
		start = end
	}
	return &kids
}

// remove returns a copy of n without the key, or ErrNotPublished. A node whose keys fit into a leaf becomes a
// leaf. The trie's shape, which the gzip form reveals, thus depends only on the keys, not on their history.
func (n *node) remove(kid *jwks.KID, depth int) (*node, error) {
	if n.kids == nil {
		at, found := n.search(kid)
		if !found {
			return nil, jwks.ErrNotPublished
		}
		rest := make([]jwks.Key, 0, n.count-1)
		rest = append(append(rest, n.keys[:at]...), n.keys[at+1:]...)
		var attrs []*jwks.Attributes
		if n.attrs != nil {
			attrs = slices.Concat(n.attrs[:at], n.attrs[at+1:])
		}
		return newLeaf(rest, attrs), nil
	}
	i := branch(kid, depth)
	child, err := n.kids[i].remove(kid, depth+1)
	if err != nil {
		return nil, err
	}
	kids := *n.kids
	kids[i] = child
	if n.count-1 > leafMax {
		return &node{count: n.count - 1, kids: &kids}, nil
	}
	var keys []jwks.Key
	attrs := make([]*jwks.Attributes, 0, n.count-1)
	for leaf := range (&node{kids: &kids}).leaves {
		keys = append(keys, leaf.keys...)
		attrs = append(attrs, leaf.attrs...)
		attrs = append(attrs, make([]*jwks.Attributes, len(keys)-len(attrs))...)
	}
	return newLeaf(keys, attrs), nil
}

// leaves yields the non-empty leaves in order.
func (n *node) leaves(yield func(*node) bool) { n.walk(yield) }

func (n *node) walk(yield func(*node) bool) bool {
	if n.kids == nil {
		return n.count == 0 || yield(n)
	}
	for _, child := range n.kids {
		if !child.walk(yield) {
			return false
		}
	}
	return true
}
