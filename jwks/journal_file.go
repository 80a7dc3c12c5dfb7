package jwks

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

// A state file consists of (numbers are big-endian):
//   - the magic;
//   - a stamp: the version that was last known to be current, the time, a checksum. It is overwritten in
//     place;
//   - the head: the owner, the version and the number of keys;
//   - the moduli and a checksum. Kids are computed when the file is read;
//   - a record for each later change: version, numbers of added and removed keys, a checksum, the moduli,
//     the kids, a checksum.
//
// Every checksum except the stamp's covers everything from the head on, so a record is only valid in its place.
const (
	stateMagic = "burnkey-jwks/1\r\n"
	stampAt    = int64(len(stateMagic))
	stampLen   = 8 + 8 + sumLen
	ownerLen   = 32
	headLen    = ownerLen + 8 + 8
	headAt     = stampAt + stampLen
	recordLen  = 8 + 4 + 4 + sumLen // of a record's head
	sumLen     = 4
)

var (
	errNotState = errors.New("not a state file; it is not overwritten")
	errDamaged  = errors.New("the state file is damaged")
	errForeign  = errors.New("the state file is for another URL")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// owner identifies a Follower by the SHA-256 hash of its URL, since the URL can contain a password.
type owner [ownerLen]byte

// stamp is a time at which a version was current.
type stamp struct {
	version uint64
	at      time.Time
}

func (s stamp) append(dst []byte) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint64(dst, s.version)
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

// appendRecord appends the record of a change to dst. sum is the checksum of everything before the record,
// and is returned including the record.
func appendRecord(dst []byte, c Change, sum uint32) ([]byte, uint32) {
	start := len(dst)
	dst = binary.BigEndian.AppendUint64(dst, c.Version)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(c.Add)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(c.Remove)))
	sum = crc32.Update(sum, castagnoli, dst[start:])
	dst = binary.BigEndian.AppendUint32(dst, sum)
	start = len(dst)
	for i := range c.Add {
		dst = append(dst, c.Add[i].n[:]...)
	}
	for i := range c.Remove {
		dst = append(dst, c.Remove[i][:]...)
	}
	sum = crc32.Update(sum, castagnoli, dst[start:])
	return binary.BigEndian.AppendUint32(dst, sum), sum
}

// writeState writes a state file without records, and returns the file's length and checksum.
func writeState(w io.Writer, who owner, set *snapshot, st stamp) (size int64, sum uint32, err error) {
	out := bufio.NewWriterSize(w, 1<<16)
	if _, err := out.Write(st.append([]byte(stateMagic))); err != nil {
		return 0, 0, err
	}
	head := append(make([]byte, 0, headLen), who[:]...)
	head = binary.BigEndian.AppendUint64(head, set.version)
	head = binary.BigEndian.AppendUint64(head, uint64(set.count))
	sum = crc32.Update(0, castagnoli, head)
	if _, err := out.Write(head); err != nil {
		return 0, 0, err
	}
	err = set.each(func(key *Key, _ *Attributes) error {
		sum = crc32.Update(sum, castagnoli, key.n[:])
		_, err := out.Write(key.n[:])
		return err
	})
	if err == nil {
		_, err = out.Write(binary.BigEndian.AppendUint32(nil, sum))
	}
	if err == nil {
		err = out.Flush()
	}
	return headAt + headLen + int64(set.count)*ModulusLen + sumLen, sum, err
}

// savedState describes the contents of a file.
type savedState struct {
	checked time.Time // when the set was current; zero if unknown
	base    int64     // length without records
	end     int64     // length with complete records
	sum     uint32
}

// readState reads a state file into an empty table. It ignores an incomplete record at the end, which a
// crash can leave, and returns errDamaged for any other damage. After an error the table is empty.
func readState(r io.Reader, size int64, who owner, table *Table) (s savedState, err error) {
	defer func() {
		if err != nil {
			table.clear()
		}
	}()
	in := &stateReader{in: bufio.NewReaderSize(r, 1<<16), left: size}
	magic, err := in.take(min(len(stateMagic), int(min(size, 1<<10))))
	if err != nil || !isMagic(magic) {
		return savedState{}, errNotState
	}
	if string(magic) != stateMagic {
		return savedState{}, errDamaged
	}
	text, err := in.take(stampLen)
	if err != nil {
		return savedState{}, err
	}
	checked, known := readStamp(text)
	if err := in.snapshot(who, table.refresh()); err != nil {
		return savedState{}, err
	}
	s.base = size - in.left
	for {
		s.end, s.sum = size-in.left, in.sum
		c, err := in.record()
		if errors.Is(err, io.EOF) { // the end, or an incomplete record
			break
		}
		if err != nil {
			return savedState{}, err
		}
		if err := table.Apply(c); err != nil {
			return savedState{}, fmt.Errorf("%w: %w", errDamaged, err)
		}
	}
	// A stamp with a later version than the table's belongs to a lost record.
	if known && checked.version <= table.Version() {
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
func (r *stateReader) sumFits() (bool, error) {
	b, err := r.take(sumLen)
	return err == nil && binary.BigEndian.Uint32(b) == r.sum, err
}

// snapshot reads everything before the records.
func (r *stateReader) snapshot(who owner, set *refresh) error {
	head, err := r.summed(headLen)
	if err != nil {
		return err
	}
	if owner(head[:ownerLen]) != who {
		return errForeign
	}
	version, count := binary.BigEndian.Uint64(head[ownerLen:]), binary.BigEndian.Uint64(head[ownerLen+8:])
	for ; count > 0; count-- {
		n, err := r.summed(ModulusLen)
		if err != nil {
			return err
		}
		key, err := FromModulus(n)
		if err == nil {
			err = set.Add(key)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
	}
	if ok, err := r.sumFits(); !ok {
		return errors.Join(errDamaged, err)
	}
	return set.install(version, nil)
}

// record reads the next record. It returns io.EOF at the end of the file and for an incomplete last record.
func (r *stateReader) record() (Change, error) {
	if r.left < recordLen {
		return Change{}, io.EOF
	}
	head, err := r.summed(recordLen - sumLen)
	if err != nil {
		return Change{}, err
	}
	c := Change{Version: binary.BigEndian.Uint64(head)}
	adds, removes := int64(binary.BigEndian.Uint32(head[8:])), int64(binary.BigEndian.Uint32(head[12:]))
	zero := c.Version == 0 && adds == 0 && removes == 0
	if ok, err := r.sumFits(); !ok {
		if zero && r.onlyZeros() { // the power failed after the file was extended
			return Change{}, io.EOF
		}
		return Change{}, errors.Join(errDamaged, err)
	}
	if r.left < adds*ModulusLen+removes*int64(len(KID{}))+sumLen {
		return Change{}, io.EOF
	}
	return c, r.body(&c, adds, removes)
}

func (r *stateReader) body(c *Change, adds, removes int64) error {
	for ; adds > 0; adds-- {
		n, err := r.summed(ModulusLen)
		if err != nil {
			return err
		}
		key, err := FromModulus(n)
		if err != nil {
			return r.unlessLast(err, adds*ModulusLen-ModulusLen+removes*int64(len(KID{}))+sumLen)
		}
		c.Add = append(c.Add, key)
	}
	for ; removes > 0; removes-- {
		kid, err := r.summed(len(KID{}))
		if err != nil {
			return err
		}
		c.Remove = append(c.Remove, KID(kid))
	}
	if ok, err := r.sumFits(); !ok {
		return r.unlessLast(err, 0)
	}
	return nil
}

// unlessLast returns io.EOF if the damaged record is the last one, since a crash can cause that. rest is
// the number of its bytes still to read.
func (r *stateReader) unlessLast(err error, rest int64) error {
	if r.left == rest {
		return io.EOF
	}
	return errors.Join(errDamaged, err)
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
