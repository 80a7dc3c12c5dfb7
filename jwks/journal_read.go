package jwks

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/go-json-experiment/json"
)

// savedState describes the contents of a file.
type savedState struct {
	checked time.Time // when the sets were current; zero if unknown
	base    int64     // length without later records
	end     int64     // length with complete records
	sum     uint32
}

// readState reads the state file of an owner, or of any owner if who is zero. The tables are empty; `open` returns them by
// name, or nil for a workspace that has no place here. readState ignores an incomplete record at the end, which a crash can
// leave, and returns errDamaged for any other damage. After an error, the caller must clear the tables.
func readState(r io.Reader, size int64, who owner, open func(name string) *Table) (s savedState, err error) {
	in := &stateReader{in: bufio.NewReaderSize(r, 1<<16), left: size, open: open}
	magic, err := in.take(min(len(stateMagic), int(min(size, 1<<10))))
	if err != nil || !isMagic(magic) {
		return savedState{}, errNotState
	}
	if string(magic) != stateMagic {
		return savedState{}, errForeign
	}
	text, err := in.take(stampLen)
	if err != nil {
		return savedState{}, err
	}
	checked, known := readStamp(text)
	sets, err := in.owner(who)
	if err != nil {
		return savedState{}, err
	}
	for range sets {
		if err := in.first(); err != nil {
			return savedState{}, err
		}
	}
	s.base = size - in.left
	for {
		s.end, s.sum = size-in.left, in.sum
		err := in.later()
		if errors.Is(err, io.EOF) { // the end, or an incomplete record
			break
		}
		if err != nil {
			return savedState{}, err
		}
	}
	if known && checked.end <= uint64(s.end) { // otherwise it belongs to a lost record
		s.checked = checked.at
	}
	return s, nil
}

// isMagic reports whether a file with this beginning is a state file, perhaps truncated, zeroed by a crash
// or with a few flipped bits. A file of any other kind must not be overwritten.
func isMagic(begin []byte) bool {
	same, zeros := 0, 0
	for i, c := range begin {
		if c == stateMagic[i] {
			same++
		}
		if c == 0 {
			zeros++
		}
	}
	return same >= len(begin)-2 && same > 0 || zeros == len(begin)
}

// stateReader reads a state file and computes its checksum.
type stateReader struct {
	in   *bufio.Reader
	left int64
	sum  uint32
	buf  []byte
	open func(name string) *Table
}

// take returns the next n bytes. They are valid until the next call of take.
func (r *stateReader) take(n int) ([]byte, error) {
	if int64(n) > r.left {
		return nil, errDamaged
	}
	if cap(r.buf) < n {
		r.buf = make([]byte, n)
	}
	b := r.buf[:n]
	if _, err := io.ReadFull(r.in, b); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	r.left -= int64(n)
	return b, nil
}

// summed returns the next n bytes and adds them to the checksum.
func (r *stateReader) summed(n int) ([]byte, error) {
	b, err := r.take(n)
	r.sum = crc32.Update(r.sum, castagnoli, b)
	return b, err
}

// sumFits reads a checksum and reports whether it equals the computed checksum.
func (r *stateReader) sumFits() bool {
	b, err := r.take(sumLen)
	return err == nil && binary.BigEndian.Uint32(b) == r.sum
}

// owner reads the owner, which must be who unless that is zero, and returns the number of first records.
func (r *stateReader) owner(who owner) (sets uint64, err error) {
	head, err := r.summed(headLen)
	if err != nil {
		return 0, err
	}
	if who != (owner{}) && owner(head[:ownerLen]) != who {
		return 0, errForeign
	}
	return binary.BigEndian.Uint64(head[ownerLen:]), nil
}

// first reads one of the first records, a whole set.
func (r *stateReader) first() error {
	text, err := r.summed(recordLen - sumLen)
	if err != nil {
		return err
	}
	h := readHead(text)
	if !r.sumFits() || h.kind != wholeRecord {
		return errDamaged
	}
	name, err := r.summed(int(h.name))
	if err != nil {
		return err
	}
	set := r.refresh(string(name))
	if err := readSetRecord(h, r.summed, set); err != nil {
		return err
	}
	if !r.sumFits() {
		return errDamaged
	}
	return damaged(set.install(h.version, nil))
}

// refresh starts to read a set, which is dropped if its workspace has no place here.
func (r *stateReader) refresh(name string) *refresh {
	if table := r.open(name); table != nil {
		return table.refresh()
	}
	return new(Table).refresh()
}

// later reads the next record after the first ones. It returns io.EOF at the end of the file and for an
// incomplete last record.
func (r *stateReader) later() error {
	if r.left < recordLen {
		return io.EOF
	}
	text, err := r.summed(recordLen - sumLen)
	if err != nil {
		return err
	}
	h := readHead(text)
	if !r.sumFits() {
		if h == (recordHead{}) && r.onlyZeros() { // the power failed after the file was extended
			return io.EOF
		}
		return errDamaged
	}
	if uint64(r.left) < h.body+sumLen {
		return io.EOF
	}
	body, err := r.summed(int(h.body))
	if err != nil {
		return err
	}
	rest := append([]byte(nil), body...)
	if !r.sumFits() {
		if r.left == 0 { // the last record, as a crash can leave it
			return io.EOF
		}
		return errDamaged
	}
	return r.apply(h, rest)
}

// apply applies a complete record.
func (r *stateReader) apply(h recordHead, body []byte) error {
	next := func(n int) ([]byte, error) {
		if n > len(body) {
			return nil, errDamaged
		}
		b := body[:n]
		body = body[n:]
		return b, nil
	}
	name, err := next(int(h.name))
	if err != nil {
		return err
	}
	table := r.open(string(name))
	switch {
	case table == nil:
		return nil
	case h.kind == wholeRecord:
		set := table.refresh()
		if err := readSetRecord(h, next, set); err != nil {
			set.abort()
			return err
		}
		return damaged(set.install(h.version, nil))
	}
	c, err := readChangeRecord(h, next)
	if err != nil {
		return err
	}
	return damaged(table.Apply(c))
}

func damaged(err error) error {
	if err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return nil
}

// readSetRecord reads the body of a whole set after its name. `next` returns the next n bytes.
func readSetRecord(h recordHead, next func(n int) ([]byte, error), set *refresh) error {
	for range h.keys {
		b, err := next(ModulusLen)
		if err != nil {
			return err
		}
		key, err := FromModulus(b)
		if err == nil {
			err = set.Add(key)
		}
		if err != nil {
			return damaged(err)
		}
		if err := readEntry(key.kid, next, set); err != nil {
			return err
		}
	}
	text, err := next(int(h.text))
	if err != nil || len(text) == 0 {
		return err
	}
	var rest Unsigned
	if err := rest.UnmarshalJSON(text); err != nil {
		return damaged(err)
	}
	for _, l := range rest.Limits {
		set.Share(l)
	}
	if rest.Settings != nil {
		set.Settle(*rest.Settings)
	}
	for _, k := range rest.Imported {
		if err := set.Import(k); err != nil {
			return damaged(err)
		}
	}
	return nil
}

// readEntry reads the attributes of a key in a whole set.
func readEntry(kid KID, next func(n int) ([]byte, error), set *refresh) error {
	size, err := next(4)
	if err != nil {
		return err
	}
	text, err := next(int(binary.BigEndian.Uint32(size)))
	if err != nil || len(text) == 0 {
		return err
	}
	k := KeyAttributes{KID: kid}
	if err := json.Unmarshal(text, &k.Attributes, json.RejectUnknownMembers(true)); err != nil {
		return damaged(err)
	}
	return damaged(set.Set(k))
}

// readChangeRecord reads the body of a change after its name.
func readChangeRecord(h recordHead, next func(n int) ([]byte, error)) (Change, error) {
	c := Change{Version: h.version}
	for range h.keys {
		b, err := next(ModulusLen)
		if err != nil {
			return c, err
		}
		key, err := FromModulus(b)
		if err != nil {
			return c, damaged(err)
		}
		c.Add = append(c.Add, key)
	}
	for range h.removed {
		kid, err := next(len(KID{}))
		if err != nil {
			return c, err
		}
		c.Remove = append(c.Remove, KID(kid))
	}
	text, err := next(int(h.text))
	if err == nil && len(text) > 0 {
		err = damaged(c.Unsigned.UnmarshalJSON(text))
	}
	return c, err
}

func (r *stateReader) onlyZeros() bool {
	for {
		b, err := r.in.ReadByte()
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		if b != 0 {
			return false
		}
	}
}
