package jwks

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"time"
)

// A state file consists of (numbers are big-endian):
//   - the magic;
//   - a stamp: up to which length of the file the sets were current at a time, the time, a checksum. It is
//     overwritten in place;
//   - the owner and the number of whole sets that follow;
//   - records: first those whole sets, then a record for each later change or new set.
//
// Every checksum except the stamp's covers everything from the owner on, so a record is only valid in its place.
const (
	stateMagic = "burnkey-jwks/2\r\n"
	stampAt    = int64(len(stateMagic))
	stampLen   = 8 + 8 + sumLen
	ownerLen   = 32
	headLen    = ownerLen + 8
	headAt     = stampAt + stampLen
	sumLen     = 4
)

var (
	errNotState = errors.New("not a state file; it is not overwritten")
	errDamaged  = errors.New("the state file is damaged")
	errForeign  = errors.New("the state file is for another URL or from another version of Burnkey")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// owner identifies a Follower by the SHA-256 hash of its URL, since the URL can contain a password.
type owner [ownerLen]byte

// stamp is a time at which the sets in the first bytes of a file were current.
type stamp struct {
	end uint64
	at  time.Time
}

func (s stamp) append(dst []byte) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint64(dst, s.end)
	nanos := uint64(0) // unknown
	if !s.at.IsZero() {
		nanos = uint64(s.at.UnixNano())
	}
	dst = binary.BigEndian.AppendUint64(dst, nanos)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

func readStamp(b []byte) (s stamp, ok bool) {
	body := b[:stampLen-sumLen]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(b[len(body):]) {
		return stamp{}, false
	}
	nanos := int64(binary.BigEndian.Uint64(body[8:]))
	return stamp{binary.BigEndian.Uint64(body), time.Unix(0, nanos)}, nanos > 0
}

// Kinds of records.
const (
	wholeRecord  = 0
	changeRecord = 1
)

// recordHead is the beginning of a record. The body follows: the workspace's name, the keys (a modulus each;
// in a whole set followed by the length of the key's attributes and the attributes), the removed kids, and JSON:
// the unsigned part of a change, or that of a whole set without attributes.
type recordHead struct {
	kind    uint8
	name    uint8 // its length, as are text and body
	version uint64
	keys    uint64
	removed uint32
	text    uint32
	body    uint64 // 0 in the whole sets at the beginning, which are written without being in memory
}

const recordLen = 1 + 1 + 8 + 8 + 4 + 4 + 8 + sumLen // of a head

func (h *recordHead) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, h.kind, h.name), h.version)
	dst = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(dst, h.keys), h.removed)
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(dst, h.text), h.body)
}

func readHead(b []byte) recordHead {
	return recordHead{
		b[0], b[1], binary.BigEndian.Uint64(b[2:]), binary.BigEndian.Uint64(b[10:]), binary.BigEndian.Uint32(b[18:]),
		binary.BigEndian.Uint32(b[22:]), binary.BigEndian.Uint64(b[26:]),
	}
}

// stateWriter writes a state file and computes its checksum. It keeps the first error.
type stateWriter struct {
	w    io.Writer
	sum  uint32
	size int64
	err  error
}

// begin writes everything before the records. The stamp is empty and does not count in the checksum.
func (w *stateWriter) begin(who owner, sets int) {
	w.write(stamp{}.append([]byte(stateMagic)))
	w.sum = 0
	w.write(binary.BigEndian.AppendUint64(who[:], uint64(sets)))
}

func (w *stateWriter) write(b []byte) {
	if w.err != nil {
		return
	}
	w.sum = crc32.Update(w.sum, castagnoli, b)
	w.size += int64(len(b))
	_, w.err = w.w.Write(b)
}

// addSum writes the checksum of everything so far.
func (w *stateWriter) addSum() {
	if w.err == nil {
		_, w.err = w.w.Write(binary.BigEndian.AppendUint32(nil, w.sum))
		w.size += sumLen
	}
}

func (w *stateWriter) head(h recordHead) {
	w.write(h.append(nil))
	w.addSum()
}

// record writes a record whose body is in memory.
func (w *stateWriter) record(h recordHead, body []byte) {
	h.body = uint64(len(body))
	w.head(h)
	w.write(body)
	w.addSum()
}

// change writes the record of a change.
func (w *stateWriter) change(name string, c *Change) {
	body := []byte(name)
	for i := range c.Add {
		body = append(body, c.Add[i].n[:]...)
	}
	for i := range c.Remove {
		body = append(body, c.Remove[i][:]...)
	}
	var text []byte
	if !c.Unsigned.IsZero() {
		text = mustMarshal(&c.Unsigned)
	}
	w.record(recordHead{
		kind: changeRecord, name: uint8(len(name)), version: c.Version,
		keys: uint64(len(c.Add)), removed: uint32(len(c.Remove)), text: uint32(len(text)),
	}, append(body, text...))
}

// wholeHead returns the head of a whole set's record, and its JSON.
func wholeHead(name string, set *snapshot) (h recordHead, text []byte) {
	rest := set.rest
	for _, k := range set.imports {
		rest.Imported = append(rest.Imported, k.key())
	}
	if len(rest.Limits) > 0 || rest.Settings != nil || len(rest.Imported) > 0 {
		text = mustMarshal(&rest)
	}
	return recordHead{
		kind: wholeRecord, name: uint8(len(name)), version: set.version, keys: uint64(set.count), text: uint32(len(text)),
	}, text
}

// whole writes a set of any size, one of the first records.
func (w *stateWriter) whole(name string, set *snapshot) {
	h, text := wholeHead(name, set)
	w.head(h)
	w.write([]byte(name))
	var buf []byte
	_ = set.each(func(key *Key, attributes *Attributes) error {
		buf = appendEntry(buf[:0], key, attributes)
		w.write(buf)
		return w.err
	})
	w.write(text)
	w.addSum()
}

// newSet writes a set that is small enough for the memory, after the first records.
func (w *stateWriter) newSet(name string, set *snapshot) {
	h, text := wholeHead(name, set)
	body := []byte(name)
	_ = set.each(func(key *Key, attributes *Attributes) error {
		body = appendEntry(body, key, attributes)
		return nil
	})
	w.record(h, append(body, text...))
}

func appendEntry(dst []byte, key *Key, attributes *Attributes) []byte {
	dst = append(dst, key.n[:]...)
	if attributes == nil {
		return binary.BigEndian.AppendUint32(dst, 0)
	}
	text := mustMarshal(attributes)
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(text))), text...)
}
