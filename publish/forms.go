package publish

import (
	"bytes"
	"compress/flate"
	"hash/crc32"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/burnkey/burnkey/jwks"
)

// entryLen is the length of a JWK followed by a comma.
const entryLen = jwks.JWKLen + 1

// forms are the rendered forms of a leaf. After a change, each form is rendered on the first request for it and
// then kept.
type forms struct {
	text     atomic.Pointer[[]byte] // the keys as entries, perhaps a part of whole.text
	gzipOnce sync.Once
	gzip     []byte // of the entries
	crc      uint32 // of the entries
}

// leafText returns a leaf's JWKs, each with a comma. For a large set, it renders them into buf each time: a
// cache would use more memory than the keys, and sending takes longer than rendering.
func (n *node) leafText(keep bool, buf []byte) []byte {
	if !keep {
		return n.appendTo(buf[:0])
	}
	if text := n.forms.text.Load(); text != nil {
		return *text
	}
	// Concurrent requests can each render the leaf, which is rare and harmless.
	text := n.appendTo(make([]byte, 0, n.count*entryLen))
	n.forms.text.Store(&text)
	return text
}

func (n *node) appendTo(buf []byte) []byte {
	for i := range n.keys {
		buf = append(n.keys[i].AppendJWK(buf), ',')
	}
	return buf
}

// leafGzip returns the compressed JWKs of a leaf, and the checksum of the uncompressed JWKs.
func (n *node) leafGzip() (deflated []byte, crc uint32) {
	n.forms.gzipOnce.Do(func() {
		buf := textBuffers.Get().(*[]byte)
		defer textBuffers.Put(buf)
		text := n.appendTo((*buf)[:0])
		n.forms.gzip, n.forms.crc = deflate(text), crc32.ChecksumIEEE(text)
	})
	return n.forms.gzip, n.forms.crc
}

// textBuffers are buffers for the uncompressed JWKs of a leaf.
var textBuffers = sync.Pool{New: func() any { b := make([]byte, 0, leafMax*entryLen); return &b }}

var flateWriters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.DefaultCompression)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

// deflate compresses b to a piece that ends on a byte boundary and does not refer to earlier pieces, so
// that pieces can be joined in any order (RFC 1951 section 3.2.4).
func deflate(b []byte) []byte {
	var buf bytes.Buffer
	w := flateWriters.Get().(*flate.Writer)
	defer flateWriters.Put(w)
	w.Reset(&buf)
	_, _ = w.Write(b) // a bytes.Buffer does not fail
	_ = w.Flush()
	return bytes.Clone(buf.Bytes())
}

// The checksum of two joined strings is computed from their two checksums, like crc32_combine in zlib: multiply
// the first checksum by x to the power of the second string's length in bits, modulo the CRC polynomial, and
// add the second checksum. A number stands for a polynomial, with the lowest power in its highest bit.

// crcPast contains the factor for each number of JWKs in a leaf.
var crcPast = sync.OnceValue(func() *[leafMax + 1]uint32 {
	past := [leafMax + 1]uint32{1 << 31}
	entry := past[0]
	for range entryLen {
		entry = crcTimes(entry, 1<<(31-8))
	}
	for i := 1; i < len(past); i++ {
		past[i] = crcTimes(past[i-1], entry)
	}
	return &past
})

func crcTimes(a, b uint32) (product uint32) {
	for bit := uint32(1 << 31); bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		low := b & 1
		b >>= 1
		if low != 0 {
			b ^= crc32.IEEE
		}
	}
	return product
}

// maxWhole is the largest number of keys for which the plain form is cached in one piece (7.4 MB).
const maxWhole = 1 << 14

// wholesMost is the maximum number of whole forms of one set's versions in memory (30 MB), since slow
// readers can each need a different version.
const wholesMost = 4

// wholes counts the whole forms that are not garbage collected yet.
type wholes struct{ n atomic.Int32 }

func (w *wholes) enter() bool {
	if w.n.Add(1) <= wholesMost {
		return true
	}
	w.n.Add(-1)
	return false
}

func (w *wholes) leave() { w.n.Add(-1) }

// whole is the plain form of a set in one piece. Writing one piece takes half the time of writing hundreds
// of chunks. It is rendered at the second request for a version, so that a set that changes between any two
// requests is not copied each time.
type whole struct {
	asked atomic.Bool
	text  atomic.Pointer[[]byte]
}

// of returns the plain form of the set, or nil if the form is not cached in one piece.
func (w *whole) of(s *Set) []byte {
	if text := w.text.Load(); text != nil {
		return *text
	}
	if s.Len() > maxWhole || !w.asked.Swap(true) || !s.wholes.enter() {
		return nil
	}
	text := s.join()
	runtime.AddCleanup(&text[0], (*wholes).leave, s.wholes) // later Sets may use parts of the text
	w.text.Store(&text)
	return text
}

// join joins the JWKs of all leaves and makes the leaves refer to parts of the result, so that their JWKs
// are stored only once. The last leaf gets no such part, since the result has no comma after the last key.
func (s *Set) join() []byte {
	text := append(make([]byte, 0, s.Size()), setHead...)
	left := s.Len()
	for leaf := range s.root.leaves {
		from := len(text)
		if kept := leaf.forms.text.Load(); kept != nil {
			text = append(text, *kept...)
		} else {
			text = leaf.appendTo(text)
		}
		if left -= leaf.count; left == 0 {
			leaf.forms.text.Store(nil)
			text = text[:len(text)-1]
			break
		}
		part := text[from:len(text):len(text)]
		leaf.forms.text.Store(&part)
	}
	return append(text, setTail...)
}
