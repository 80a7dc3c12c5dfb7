package limits

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
)

// A file of quotas consists of (numbers are little-endian):
//   - the magic, the hash key and a checksum of both;
//   - records: the number of entries, each entry's id and word, a checksum of all that. A later one replaces
//     earlier entries of the same id.
const (
	fileMagic = "burnkey-quotas/1\r\n"
	headLen   = len(fileMagic) + 16 + sumLen
	sumLen    = 4
	entryLen  = 8 + 8
	// recordMax is the maximum number of entries in a record.
	recordMax = 4096
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrNotQuotas says that the file of a Local was not written by one. It is not overwritten.
var ErrNotQuotas = errors.New("not a file of quotas; the file is not overwritten")

// load reads the file, if there is one, and rewrites it without what is out of date.
func (l *Local) load() error {
	file, err := os.Open(l.o.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		err = errors.Join(l.read(bufio.NewReaderSize(file, 1<<16)), file.Close())
		if errors.Is(err, errDamaged) {
			l.o.Log.Warn("a file of quotas is damaged; counts may be missing", "file", l.o.File)
			err = nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", l.o.File, err)
		}
	}
	for i := range l.shards {
		l.shards[i].isSaving = true
	}
	return l.Save()
}

var errDamaged = errors.New("damaged")

// read takes over the entries of a file. An incomplete record at the end is ignored, as a crash can leave one.
func (l *Local) read(in io.Reader) error {
	head := make([]byte, headLen)
	n, err := io.ReadFull(in, head)
	if err != nil && !isEnd(err) {
		return err
	}
	switch body := head[:headLen-sumLen]; {
	case n > 0 && isZero(head[:n]): // a power failure can leave a file of zeros
		return errDamaged
	case string(head[:min(n, len(fileMagic))]) != fileMagic[:min(n, len(fileMagic))]:
		return ErrNotQuotas
	case n < headLen || crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(head[len(body):]):
		return errDamaged
	}
	l.key = readHashKey(head[len(fileMagic):])
	at := l.instant(l.began)
	buf := make([]byte, recordLen(recordMax))
	for {
		switch entries, err := readRecord(in, buf); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		default:
			l.takeOver(entries, &at)
		}
	}
}

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

func recordLen(entries int) int { return 4 + entries*entryLen + sumLen }

// readRecord returns the entries of the next record, which are valid until buf is used again. It returns io.EOF
// for an incomplete one.
func readRecord(in io.Reader, buf []byte) ([]byte, error) {
	if _, err := io.ReadFull(in, buf[:4]); isEnd(err) {
		return nil, io.EOF
	} else if err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(buf)
	if n > recordMax {
		return nil, errDamaged
	}
	record := buf[:recordLen(int(n))]
	if _, err := io.ReadFull(in, record[4:]); isEnd(err) {
		return nil, io.EOF
	} else if err != nil {
		return nil, err
	}
	body := record[:len(record)-sumLen]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(record[len(body):]) {
		return nil, errDamaged
	}
	return body[4:], nil
}

// takeOver adds entries of a record, except those that are out of date.
func (l *Local) takeOver(entries []byte, at *instant) {
	for ; len(entries) > 0; entries = entries[entryLen:] {
		id, w := binary.LittleEndian.Uint64(entries), word(binary.LittleEndian.Uint64(entries[8:]))&^dirtyBit
		if id == 0 || !w.isQuota() || w.period() >= len(calendars) || w.isWorthless(at) {
			continue
		}
		s := &l.shards[shardOf(id)]
		_, place := s.find(id)
		s.put(id, place, w, at)
	}
}

// A record appends entries to out, as records.
type record struct {
	out   []byte
	begin int
	count uint32
}

func (r *record) add(e entry) {
	if r.count == recordMax {
		r.end()
	}
	if r.count == 0 {
		r.begin = len(r.out)
		r.out = append(r.out, 0, 0, 0, 0) // the number of entries
	}
	r.count++
	r.out = binary.LittleEndian.AppendUint64(r.out, e.id)
	r.out = binary.LittleEndian.AppendUint64(r.out, uint64(e.word))
}

// end completes the current record, and returns out.
func (r *record) end() []byte {
	if r.count > 0 {
		binary.LittleEndian.PutUint32(r.out[r.begin:], r.count)
		r.out = binary.LittleEndian.AppendUint32(r.out, crc32.Checksum(r.out[r.begin:], castagnoli))
		r.count = 0
	}
	return r.out
}
