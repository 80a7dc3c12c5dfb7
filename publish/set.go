package publish

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/burnkey/burnkey/jwks"
)

// Set is one version of a workspace's published keys. It does not change:
// Apply returns another Set, sharing all but what the change touched. A Set is
// safe for concurrent use.
//
// Its JSON form has the keys in the order of the kids: equal keys give equal bytes,
// whatever the order in which they came and went, on every server. It is rendered
// chunk by chunk, and a chunk at most once after a change, save that the plain form
// of more than maxKept keys is not kept.
type Set struct {
	version uint64
	print   jwks.Fingerprint
	root    *node
	last    lastForm
	heads   heads
	whole   whole
	wholes  *wholes // shared by all versions of the set
}

const setHead, setTail = `{"keys":[`, `]}`

// Version returns the version that the set shows.
func (s *Set) Version() uint64 { return s.version }

// Fingerprint returns that of the set's keys.
func (s *Set) Fingerprint() jwks.Fingerprint { return s.print }

// Len returns the number of keys.
func (s *Set) Len() int { return s.root.count }

// Lookup returns the key with this kid. Its cost does not grow with the set
// beyond the depth of a trie over hashes: 7 steps at a million keys.
func (s *Set) Lookup(kid jwks.KID) (jwks.Key, bool) {
	key := s.root.lookup(&kid)
	if key == nil {
		return jwks.Key{}, false
	}
	return *key, true
}

// KIDs yields the kids of all keys in their order.
func (s *Set) KIDs(yield func(jwks.KID) bool) {
	for leaf := range s.root.leaves {
		for i := range leaf.count {
			if !yield(leaf.keys[i].KID()) {
				return
			}
		}
	}
}

// Apply returns the set behind c. The set itself stays as it is, also on error:
// ErrVersionGap, ErrNotPublished, ErrPublished.
func (s *Set) Apply(c jwks.Change) (*Set, error) {
	if c.Version != s.version+1 {
		return nil, fmt.Errorf("%w: version %d behind %d", jwks.ErrVersionGap, c.Version, s.version)
	}
	root, print := s.root, s.print
	var err error
	for i := range c.Remove {
		print.Toggle(&c.Remove[i])
		if root, err = root.remove(&c.Remove[i], 0); err != nil {
			return nil, fmt.Errorf("version %d: %w", c.Version, err)
		}
	}
	if root, err = root.add(c.Add); err != nil {
		return nil, fmt.Errorf("version %d: %w", c.Version, err)
	}
	for i := range c.Add {
		kid := c.Add[i].KID()
		print.Toggle(&kid)
	}
	return &Set{version: c.Version, print: print, root: root, wholes: s.wholes}, nil
}

// Builder makes a Set of keys that come one by one. In the order of their kids
// they cost least. The zero Builder is ready; it is not safe for concurrent use.
type Builder struct {
	root  *node
	print jwks.Fingerprint
	wait  []jwks.Key
}

const buildBatch = 1024

// Add adds a key; ErrPublished if a kid comes twice, perhaps from a later call.
func (b *Builder) Add(key jwks.Key) error {
	b.wait = append(b.wait, key)
	kid := key.KID()
	b.print.Toggle(&kid)
	if len(b.wait) < buildBatch {
		return nil
	}
	return b.flush()
}

func (b *Builder) flush() error {
	if b.root == nil {
		b.root = emptyLeaf
	}
	root, err := b.root.add(b.wait)
	if err != nil {
		return err
	}
	b.root, b.wait = root, b.wait[:0]
	return nil
}

// Set returns the keys so far as the set of a version. Errors as of Add.
func (b *Builder) Set(version uint64) (*Set, error) {
	if err := b.flush(); err != nil {
		return nil, err
	}
	return &Set{version: version, print: b.print, root: b.root, wholes: new(wholes)}, nil
}

// Size returns the length of the JSON form in bytes.
func (s *Set) Size() int64 {
	return int64(len(setHead)+len(setTail)) + int64(max(0, s.Len()*entryLen-1))
}

// maxKept is the largest set, in keys, whose plain form is kept: 60 MB of text.
const maxKept = 1 << 17

// WriteTo writes the JSON form (RFC 7517 section 5): chunk by chunk, or in one
// Write where it has been kept whole.
func (s *Set) WriteTo(w io.Writer) (int64, error) {
	if text := s.whole.of(s); text != nil {
		n, err := w.Write(text)
		return int64(n), err
	}
	buf := textBuffers.Get().(*[]byte)
	defer textBuffers.Put(buf)
	out := counting{w: w}
	out.write([]byte(setHead))
	left := s.Len()
	for leaf := range s.root.leaves {
		left -= leaf.count
		text := leaf.leafText(s.Len() <= maxKept, *buf)
		if left == 0 {
			text = text[:len(text)-1] // no comma behind the last
		}
		if out.write(text); out.err != nil {
			break
		}
	}
	out.write([]byte(setTail))
	return out.n, out.err
}

// gzipHead: deflate, no name, no time, system unknown (RFC 1952 section 2.3).
var gzipHead = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}

// WriteGzip writes the JSON form as one gzip member. Each chunk was compressed
// once, when it was first asked for after the change that made it.
func (s *Set) WriteGzip(w io.Writer) error {
	out := counting{w: w}
	out.write(gzipHead)
	out.write(headGz())
	crc := crc32.ChecksumIEEE([]byte(setHead))
	left := s.Len()
	for leaf := range s.root.leaves {
		if left -= leaf.count; left > 0 {
			deflated, leafCRC := leaf.leafGzip()
			crc = crcTimes(crcPast()[leaf.count], crc) ^ leafCRC
			out.write(deflated)
		} else {
			deflated, text := s.last.of(leaf)
			crc = crc32.Update(crc, crc32.IEEETable, text)
			out.write(deflated)
		}
		if out.err != nil {
			return out.err
		}
	}
	crc = crc32.Update(crc, crc32.IEEETable, []byte(setTail))
	out.write(endGz())
	var sums [8]byte
	binary.LittleEndian.PutUint32(sums[:4], crc)
	binary.LittleEndian.PutUint32(sums[4:], uint32(s.Size())) // modulo 2^32, as RFC 1952 has it
	out.write(sums[:])
	return out.err
}

// lastForm is that of the last leaf, behind whose last key no comma is.
type lastForm struct {
	once     sync.Once
	text     []byte
	deflated []byte
}

func (f *lastForm) of(leaf *node) (deflated, text []byte) {
	f.once.Do(func() {
		text := leaf.appendTo(make([]byte, 0, leaf.count*entryLen))
		f.text = text[:len(text)-1]
		f.deflated = deflate(f.text)
	})
	return f.deflated, f.text
}

var (
	headGz = sync.OnceValue(func() []byte { return deflate([]byte(setHead)) })
	// The last block is an empty one with the final bit (RFC 1951 section 3.2.3).
	endGz = sync.OnceValue(func() []byte { return append(deflate([]byte(setTail)), 0x03, 0x00) })
)

// counting writes until the first error and keeps it.
type counting struct {
	w   io.Writer
	n   int64
	err error
}

func (c *counting) write(b []byte) {
	if c.err != nil || len(b) == 0 {
		return
	}
	n, err := c.w.Write(b)
	c.n += int64(n)
	c.err = err
}
