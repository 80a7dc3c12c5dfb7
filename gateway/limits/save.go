package limits

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/burnkey/burnkey/internal/atomicfile"
	"github.com/burnkey/burnkey/internal/loop"
)

// saveEvery is the interval at which changed quotas are appended.
const saveEvery = time.Second

// A quotaFile is the file of a Local's quotas.
type quotaFile struct {
	mu       sync.Mutex
	open     *os.File // nil: it must be rewritten
	size     int64
	base     int64 // size after it was last rewritten
	failures atomic.Uint64
}

// Run saves quotas every second until ctx ends, and then once more. A process that is killed loses what was counted
// in the last second; after a power failure it can be more, since the system decides when to write the file to the disk.
func (l *Local) Run(ctx context.Context) {
	if l.o.File == "" {
		return
	}
	save := func(context.Context) error {
		err := l.Save()
		if err != nil {
			l.file.failures.Add(1)
		}
		return err
	}
	loop.Loop{
		Every: saveEvery, WaitFirst: true, Log: l.o.Log, Level: slog.LevelError,
		Failure: "cannot save quotas; a restart may forget what was used",
	}.Run(ctx, save)
	if err := save(ctx); err != nil {
		l.o.Log.ErrorContext(ctx, "cannot save quotas at the end", "error", err)
	}
	l.Close()
}

// Close releases the file of a Local that Run does not run.
func (l *Local) Close() {
	l.file.mu.Lock()
	defer l.file.mu.Unlock()
	l.file.close()
}

// Save appends the quotas that have changed to the file, or rewrites it if it has doubled.
func (l *Local) Save() error {
	f := &l.file
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil || f.size > 2*f.base+1<<16 || f.isGone(l.o.File) {
		return l.rewrite()
	}
	out, complete := []byte(nil), true
	for i := range l.shards {
		var all bool
		out, all = l.shards[i].appendChanged(out)
		complete = complete && all
	}
	if !complete {
		return l.rewrite()
	}
	n, err := f.open.Write(out)
	f.size += int64(n)
	if err != nil {
		f.close() // the next Save rewrites it
	}
	return err
}

// isGone reports whether the open file is no longer the one at the path: the folder was removed or replaced.
func (f *quotaFile) isGone(path string) bool {
	now, err := os.Stat(path)
	if err != nil {
		return true
	}
	was, err := f.open.Stat()
	return err == nil && !os.SameFile(was, now)
}

func (f *quotaFile) close() {
	if f.open != nil {
		_ = f.open.Close()
		f.open = nil
	}
}

// rewrite writes all quotas to a new file.
func (l *Local) rewrite() error {
	f := &l.file
	f.close()
	out := l.key.append([]byte(fileMagic))
	out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(out, castagnoli))
	for i := range l.shards {
		out = l.shards[i].appendAll(out)
	}
	err := atomicfile.Write(l.o.File, out)
	if err == nil {
		f.open, err = os.OpenFile(l.o.File, os.O_WRONLY|os.O_APPEND, 0)
	}
	f.size, f.base = int64(len(out)), int64(len(out))
	return err
}

// appendChanged appends the quotas that have changed since the last time as records. It reports whether they are
// all.
func (s *shard) appendChanged(out []byte) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	complete := len(s.changed) < s.bound
	r := record{out: out}
	for _, id := range s.changed {
		if _, i := s.find(id); s.entries[i].id == id { // it may have been evicted
			s.entries[i].word &^= dirtyBit
			r.add(s.entries[i])
		}
	}
	s.changed = s.changed[:0]
	return r.end(), complete
}

// appendAll appends all quotas as records.
func (s *shard) appendAll(out []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed = s.changed[:0]
	r := record{out: out}
	for i := range s.entries {
		if e := &s.entries[i]; e.word.isQuota() {
			e.word &^= dirtyBit
			r.add(*e)
		}
	}
	return r.end()
}
