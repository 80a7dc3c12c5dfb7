package publish

import (
	"bytes"
	"compress/flate"
	"hash/crc32"
	"sync"
	"sync/atomic"

	"github.com/burnkey/burnkey/jwks"
)

// entryLen is the length of a JWK and the comma behind it.
const entryLen = jwks.JWKLen + 1

// forms are what a leaf is served as, each rendered when it is first asked for:
// once after the change that made the leaf, and not once for each request.
type forms struct {
	text     atomic.Pointer[[]byte] // its keys as entries, perhaps a part of a whole
	gzipOnce sync.Once
	gzip     []byte // of the same
	crc      uint32 // of the same
}

// leafText returns a leaf's keys as entries. Those of a large set are rendered
// into buf each time: kept, they would take more memory than the keys, and the
// time to send so much is longer than that to render it.
func (n *node) leafText(keep bool, buf []byte) []byte {
	if !keep {
		return n.appendTo(buf[:0])
	}
	if text := n.forms.text.Load(); text != nil {
		return *text
	}
	// Two who come at once both render it, which is rare and does no harm.
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

// leafGzip returns a leaf's entries deflated, and the checksum of their text.
func (n *node) leafGzip() (deflated []byte, crc uint32) {
	n.forms.gzipOnce.Do(func() {
		buf := textBuffers.Get().(*[]byte)
		defer textBuffers.Put(buf)
		text := n.appendTo((*buf)[:0])
		n.forms.gzip, n.forms.crc = deflate(text), crc32.ChecksumIEEE(text)
	})
	return n.forms.gzip, n.forms.crc
}

// textBuffers hold a leaf's text.
var textBuffers = sync.Pool{New: func() any { b := make([]byte, 0, leafMax*entryLen); return &b }}

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

// A checksum of two texts, one behind the other, is made of theirs: that of the
// first is multiplied by x to the power of the second's length in bits, modulo the
// checksum's polynomial (as zlib's crc32_combine does). Numbers stand for
// polynomials with the lowest power in the highest bit.

// crcPast is by what to multiply for so many entries.
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
