// Package publish serves the published keys of workspaces: a Set is one version of a workspace's keys, an
// Index holds the current Set, a Handler serves the Set and a Stream serves its changes.
package publish

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/burnkey/burnkey/jwks"
)

// Set is one version of a workspace's published keys. It is immutable: Apply returns another Set, which
// shares everything that the change does not affect. A Set is safe for concurrent use.
//
// The JSON form has the keys in the order of their kids, so equal keys give equal bytes on every server,
// whatever their history. It is rendered in chunks, each at most once after a change; but the plain form of
// more than maxKept keys is not cached.
//
// A Set also has what is not public: attributes of keys, limits that keys share, the workspace's settings, and imported
// keys. Only the forms of the feed contain them.
type Set struct {
	version   uint64
	print     jwks.Fingerprint
	feedPrint jwks.Fingerprint
	root      *node
	shared    []*jwks.LimitSet // in order; immutable
	settings  jwks.Settings
	imports   *imports
	rendered  *rendered // shared by versions with the same keys
	heads     heads
	wholes    *wholes // shared by all versions of the set
}

// rendered are the forms of a set's keys that no leaf has.
type rendered struct {
	last  lastForm
	whole whole
}

const setHead, setTail = `{"keys":[`, `]}`

// Version returns the version of the set.
func (s *Set) Version() uint64 { return s.version }

// Fingerprint returns the fingerprint of the set's keys.
func (s *Set) Fingerprint() jwks.Fingerprint { return s.print }

// FeedFingerprint returns the fingerprint of the keys, their attributes, the shared limits, the settings and
// the imported keys.
func (s *Set) FeedFingerprint() jwks.Fingerprint { return s.feedPrint }

// Len returns the number of keys.
func (s *Set) Len() int { return s.root.count }

// Lookup returns the key with this kid. The number of steps is the depth of the trie: 7 for a million keys.
func (s *Set) Lookup(kid jwks.KID) (jwks.Key, bool) {
	key := s.root.lookup(&kid)
	if key == nil {
		return jwks.Key{}, false
	}
	return *key, true
}

// KIDs yields the kids of all keys in order.
func (s *Set) KIDs(yield func(jwks.KID) bool) {
	for leaf := range s.root.leaves {
		for i := range leaf.count {
			if !yield(leaf.keys[i].KID()) {
				return
			}
		}
	}
}

// Apply returns the set after c. It returns jwks.ErrVersionGap, jwks.ErrNotPublished or jwks.ErrPublished
// if c can't be applied.
func (s *Set) Apply(c jwks.Change) (*Set, error) {
	if c.Version != s.version+1 {
		return nil, fmt.Errorf("%w: version %d after %d", jwks.ErrVersionGap, c.Version, s.version)
	}
	next := &Set{
		version: c.Version, print: s.print, feedPrint: s.feedPrint, root: s.root, shared: s.shared,
		settings: s.settings, imports: s.imports, rendered: s.rendered, wholes: s.wholes,
	}
	if err := next.change(c); err != nil {
		return nil, fmt.Errorf("version %d: %w", c.Version, err)
	}
	return next, nil
}

// change applies c to a Set that nobody else has yet.
func (s *Set) change(c jwks.Change) (err error) {
	if len(c.Add)+len(c.Remove) > 0 {
		s.rendered = new(rendered)
	}
	for i := range c.Remove {
		assigned{c.Remove[i], s.root.attributes(&c.Remove[i])}.toggle(&s.feedPrint)
		if s.root, err = s.root.remove(&c.Remove[i], 0); err != nil {
			return err
		}
	}
	if s.root, err = s.root.add(c.Add); err != nil {
		return err
	}
	toggleKeys(&s.print, c)
	toggleKeys(&s.feedPrint, c)
	set := make([]assigned, len(c.Unsigned.Set))
	for i, k := range c.Unsigned.Set {
		set[i] = assign(k)
	}
	if s.root, err = s.root.assign(set, &s.feedPrint); err != nil {
		return err
	}
	for i := range c.Unsigned.Limits {
		s.shared = withShared(s.shared, &c.Unsigned.Limits[i], &s.feedPrint)
	}
	if next := c.Unsigned.Settings; next != nil {
		settle(&s.settings, *next, &s.feedPrint)
	}
	s.imports, err = s.imports.change(&c.Unsigned, &s.feedPrint)
	return err
}

// Builder builds a Set. It is fastest if the keys are added in the order of their kids. The zero Builder
// is ready to use. It is not safe for concurrent use.
type Builder struct {
	root      *node
	print     jwks.Fingerprint
	feedPrint jwks.Fingerprint
	wait      []jwks.Key
	set       []assigned // attributes of keys in wait
	shared    []*jwks.LimitSet
	settings  jwks.Settings
	imports   *imports
}

const buildBatch = 1024

// Add adds a key with its attributes. If a kid is added twice, this or a later call returns jwks.ErrPublished.
func (b *Builder) Add(key jwks.Key, attributes jwks.Attributes) error {
	b.wait = append(b.wait, key)
	kid := key.KID()
	b.print.Toggle(&kid)
	b.feedPrint.Toggle(&kid)
	if !attributes.IsZero() {
		b.set = append(b.set, assigned{kid, &attributes})
	}
	if len(b.wait) < buildBatch {
		return nil
	}
	return b.flush()
}

// Share adds limits that keys share.
func (b *Builder) Share(limits jwks.LimitSet) { b.shared = withShared(b.shared, &limits, &b.feedPrint) }

// Settle sets the workspace's settings.
func (b *Builder) Settle(settings jwks.Settings) { settle(&b.settings, settings, &b.feedPrint) }

func (b *Builder) flush() error {
	if b.root == nil {
		b.root = emptyLeaf
	}
	root, err := b.root.add(b.wait)
	if err != nil {
		return err
	}
	if root, err = root.assign(b.set, &b.feedPrint); err != nil {
		return err
	}
	clear(b.set)
	b.root, b.wait, b.set = root, b.wait[:0], b.set[:0]
	return nil
}

// Set returns the keys added so far as a Set with the given version. Its errors are those of Add.
func (b *Builder) Set(version uint64) (*Set, error) {
	if err := b.flush(); err != nil {
		return nil, err
	}
	return &Set{
		version: version, print: b.print, feedPrint: b.feedPrint, root: b.root, shared: b.shared,
		settings: b.settings, imports: cmp.Or(b.imports, noImports), rendered: new(rendered), wholes: new(wholes),
	}, nil
}

// Size returns the length of the JSON form, in bytes.
func (s *Set) Size() int64 {
	return int64(len(setHead)+len(setTail)) + int64(max(0, s.Len()*entryLen-1))
}

// maxKept is the largest number of keys for which the plain form is cached (60 MB).
const maxKept = 1 << 17

// tail yields what follows the keys of a form in pieces, and ends when yield returns false.
type tail func(yield func([]byte) bool)

// publicTail is the tail of the public form.
func publicTail(yield func([]byte) bool) { yield([]byte(setTail)) }

// WriteTo writes the JSON form (RFC 7517 section 5): at once if cached in one piece, otherwise in chunks.
func (s *Set) WriteTo(w io.Writer) (int64, error) {
	if text := s.rendered.whole.of(s); text != nil {
		n, err := w.Write(text)
		return int64(n), err
	}
	return s.writePlain(w, publicTail)
}

func (s *Set) writePlain(w io.Writer, rest tail) (int64, error) {
	buf := textBuffers.Get().(*[]byte)
	defer textBuffers.Put(buf)
	out := counting{w: w}
	out.write([]byte(setHead))
	left := s.Len()
	for leaf := range s.root.leaves {
		left -= leaf.count
		text := leaf.leafText(s.Len() <= maxKept, *buf)
		if left == 0 {
			text = text[:len(text)-1] // no comma after the last key
		}
		if out.write(text); out.err != nil {
			break
		}
	}
	rest(func(piece []byte) bool { out.write(piece); return out.err == nil })
	return out.n, out.err
}

// gzipHead is a gzip header: deflate, no name, no time, unknown system (RFC 1952 section 2.3).
var gzipHead = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}

// WriteGzip writes the JSON form as one gzip member. Each chunk is compressed once, at the first request after
// its change.
func (s *Set) WriteGzip(w io.Writer) error { return s.writeGzip(w, publicTail) }

func (s *Set) writeGzip(w io.Writer, rest tail) error {
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
			deflated, text := s.rendered.last.of(leaf)
			crc = crc32.Update(crc, crc32.IEEETable, text)
			out.write(deflated)
		}
		if out.err != nil {
			return out.err
		}
	}
	size := s.Size() - int64(len(setTail))
	rest(func(piece []byte) bool {
		crc = crc32.Update(crc, crc32.IEEETable, piece)
		size += int64(len(piece))
		if string(piece) == setTail {
			out.write(tailGz())
		} else {
			out.write(deflate(piece))
		}
		return out.err == nil
	})
	out.write(gzipEnd)
	var sums [8]byte
	binary.LittleEndian.PutUint32(sums[:4], crc)
	binary.LittleEndian.PutUint32(sums[4:], uint32(size)) // modulo 2^32 (RFC 1952)
	out.write(sums[:])
	return out.err
}

// lastForm is the rendered form of the last leaf, which has no comma after its last key.
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
	tailGz = sync.OnceValue(func() []byte { return deflate([]byte(setTail)) })
	// gzipEnd is an empty block that has the final bit (RFC 1951 section 3.2.3).
	gzipEnd = []byte{0x03, 0x00}
)

// counting is a writer that counts bytes and stops at the first error.
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
