package jwks

import (
	"bytes"
	"compress/flate"
	"slices"
	"sort"
	"sync"
)

// The set is kept as it is served: JWKs of one fixed length, in the order of
// their kids, in chunks that are the leaves of a trie over the kid's bits. Kids
// are hashes, so chunks fill evenly. A change copies the one chunk that it
// touches and the few nodes above; every other byte is shared with the version
// before, which its readers go on reading.
const (
	entryLen = jwkLen + 1 // a JWK and the comma behind it
	leafMax  = 64         // keys; fuller leaves are split
	fanBits  = 2
	fan      = 1 << fanBits
)

type node struct {
	count int
	kids  *[fan]*node // nil in a leaf
	// body of a leaf: count entries. Never written once the node is in a Set.
	body     []byte
	once     sync.Once
	deflated []byte
}

var emptyLeaf = &node{}

// branch returns which child the kid belongs to at a depth.
func branch(kid *KID, depth int) int {
	bit := depth * fanBits
	return int(kid[bit/8]>>(8-fanBits-bit%8)) & (fan - 1)
}

func (n *node) entry(i int) []byte { return n.body[i*entryLen : (i+1)*entryLen-1] }

func entryKID(entry []byte) (kid KID) {
	mustDecode(kid[:], entry[kidStart:kidStart+KIDTextLen])
	return kid
}

func entryKey(entry []byte) (key Key) {
	key.kid = entryKID(entry)
	mustDecode(key.n[:], entry[modStart:modStart+modText])
	return key
}

// mustDecode reads back what AppendJWK wrote into this process's own memory.
func mustDecode(dst, src []byte) {
	if n, err := b64.Decode(dst, src); err != nil || n != len(dst) {
		panic("jwks: a rendered key does not read back")
	}
}

// search returns where in a leaf the kid is, or belongs.
func (n *node) search(kid *KID) (at int, found bool) {
	at = sort.Search(n.count, func(i int) bool {
		have := entryKID(n.entry(i))
		return bytes.Compare(have[:], kid[:]) >= 0
	})
	if at < n.count {
		have := entryKID(n.entry(at))
		found = have == *kid
	}
	return at, found
}

func (n *node) lookup(kid *KID) (entry []byte, ok bool) {
	for depth := 0; n.kids != nil; depth++ {
		n = n.kids[branch(kid, depth)]
	}
	at, ok := n.search(kid)
	if !ok {
		return nil, false
	}
	return n.entry(at), true
}

// add returns a copy of the trie n with the keys added, or ErrPublished where a
// kid is there already or comes twice.
func (n *node) add(keys []Key) (*node, error) {
	byKID := func(a, b Key) int { return bytes.Compare(a.kid[:], b.kid[:]) }
	if !slices.IsSortedFunc(keys, byKID) {
		keys = slices.Clone(keys)
		slices.SortFunc(keys, byKID)
	}
	for i := 1; i < len(keys); i++ {
		if keys[i].kid == keys[i-1].kid {
			return nil, ErrPublished
		}
	}
	return n.insert(keys, 0)
}

// insert is add for keys in the order of their kids, each but once.
func (n *node) insert(keys []Key, depth int) (*node, error) {
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
	grown := &node{kids: new([fan]*node)}
	for i, child := range kids {
		end := sort.Search(len(keys), func(j int) bool { return branch(&keys[j].kid, depth) > i })
		var err error
		if grown.kids[i], err = child.insert(keys[:end], depth+1); err != nil {
			return nil, err
		}
		grown.count += grown.kids[i].count
		keys = keys[end:]
	}
	return grown, nil
}

// merge returns a leaf with the sorted keys among the entries of n.
func (n *node) merge(keys []Key) (*node, error) {
	body := make([]byte, 0, (n.count+len(keys))*entryLen)
	from := 0
	for i := range keys {
		at, found := n.search(&keys[i].kid)
		if found {
			return nil, ErrPublished
		}
		body = append(body, n.body[from*entryLen:at*entryLen]...)
		body = append(keys[i].AppendJWK(body), ',')
		from = at
	}
	body = append(body, n.body[from*entryLen:]...)
	return &node{count: n.count + len(keys), body: body}, nil
}

// split cuts a leaf's entries into those of its children to be.
func (n *node) split(depth int) *[fan]*node {
	var kids [fan]*node
	start := 0
	for i := range kids {
		end := start + sort.Search(n.count-start, func(j int) bool {
			kid := entryKID(n.entry(start + j))
			return branch(&kid, depth) > i
		})
		// A copy, so that the parts can be freed one by one.
		kids[i] = &node{count: end - start, body: bytes.Clone(n.body[start*entryLen : end*entryLen])}
		start = end
	}
	return &kids
}

// remove returns a copy of n without the key; ErrNotPublished where it is not.
// What fits into a leaf folds into one, so that the form of a trie depends on its
// keys alone and not on what it once held: gzip shows where the leaves end.
func (n *node) remove(kid *KID, depth int) (*node, error) {
	if n.kids == nil {
		at, found := n.search(kid)
		if !found {
			return nil, ErrNotPublished
		}
		body := make([]byte, 0, (n.count-1)*entryLen)
		body = append(body, n.body[:at*entryLen]...)
		body = append(body, n.body[(at+1)*entryLen:]...)
		return &node{count: n.count - 1, body: body}, nil
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
	folded := &node{count: n.count - 1}
	for leaf := range (&node{kids: &kids}).leaves {
		folded.body = append(folded.body, leaf.body...)
	}
	return folded, nil
}

// leaves yields the leaves that hold entries, in order.
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

var flateWriters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.DefaultCompression)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

// deflate compresses b so that it ends on a byte boundary and refers to nothing
// before it: such pieces can be joined in any order (RFC 1951 section 3.2.4).
func deflate(b []byte) []byte {
	var buf bytes.Buffer
	w := flateWriters.Get().(*flate.Writer)
	defer flateWriters.Put(w)
	w.Reset(&buf)
	_, _ = w.Write(b) // a bytes.Buffer does not fail
	_ = w.Flush()
	return bytes.Clone(buf.Bytes())
}

// gzipped returns the leaf's body deflated, which is done once for its life.
func (n *node) gzipped() []byte {
	n.once.Do(func() { n.deflated = deflate(n.body) })
	return n.deflated
}
