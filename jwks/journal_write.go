package jwks

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// batch is the pending work.
type batch struct {
	whole  bool
	queued []queued
	known  time.Time
}

func (j *journal) take(last bool) batch {
	j.mu.Lock()
	defer j.mu.Unlock()
	b := batch{whole: j.whole || j.file == nil && (len(j.queued) > 0 || last && len(j.sections) > 0), queued: j.queued, known: j.known}
	j.whole, j.queued = false, nil
	return b
}

// write writes the pending work. After a failure it waits and then rewrites the file.
func (j *journal) write(last bool) {
	now := time.Now()
	if j.failing && now.Before(j.retryAt) && !last {
		return
	}
	err := j.put(j.take(last), now, last)
	switch {
	case err != nil:
		j.failed(err)
	case j.failing:
		j.failing = false
		j.log.Info("storing the keys on disk again", "file", j.path)
	}
}

func (j *journal) failed(err error) {
	j.errors.Add(1)
	if !j.failing {
		j.log.Warn("cannot store the keys on disk; the Follower continues without", "file", j.path, "error", err)
	}
	if j.file != nil {
		_ = j.file.Close()
	}
	j.file, j.failing, j.retryAt = nil, true, time.Now().Add(j.times.retry)
}

func (j *journal) put(b batch, now time.Time, last bool) error {
	if err := j.putSets(b); err != nil || j.file == nil {
		return err
	}
	if j.dirty && (last || now.Sub(j.synced) >= j.times.sync) {
		if err := j.file.Sync(); err != nil {
			return err
		}
		j.dirty, j.synced = false, now
	}
	// Write the stamp only after its sets are synced: the power can fail in between.
	due := last || j.stamped.at.IsZero() || now.Sub(j.stampAt) >= j.times.stamp
	if s := (stamp{uint64(j.size), b.known}); due && !j.dirty && s != j.stamped && !b.known.IsZero() {
		if _, err := j.file.WriteAt(s.append(nil), stampAt); err != nil {
			return err
		}
		j.stamped, j.stampAt = s, now
	}
	return nil
}

// putSets appends the queued work to the file, or rewrites the file.
func (j *journal) putSets(b batch) error {
	if b.whole || j.failing || j.isGone() {
		return j.rewrite(b.known)
	}
	if j.file == nil {
		return nil
	}
	var records bytes.Buffer
	w := &stateWriter{w: &records, sum: j.sum}
	written := make(map[*section]uint64)
	for _, q := range b.queued {
		before, is := written[q.section]
		if !is {
			before = q.written.Load()
		}
		switch {
		case q.table.Version() == 0: // unknown: the set could not be resumed
		case q.change == nil && q.table.Len()+q.table.ImportedLen() > maxAppended:
			return j.rewrite(b.known)
		case q.change == nil:
			set := q.table.snapshot()
			w.newSet(q.name, set)
			set.close()
			written[q.section] = set.version
		case q.change.Version > before: // otherwise the set in the file already has it
			w.change(q.name, q.change)
			written[q.section] = q.change.Version
		}
	}
	if records.Len() == 0 {
		return nil
	}
	if j.size-j.base+w.size > max(1<<20, j.base) {
		return j.rewrite(b.known)
	}
	if _, err := j.file.WriteAt(records.Bytes(), j.size); err != nil {
		return err
	}
	j.size, j.sum, j.dirty = j.size+w.size, w.sum, true
	for s, version := range written {
		s.written.Store(version)
	}
	return nil
}

// isGone reports whether the open file is no longer the one at the path: the folder was removed or replaced.
func (j *journal) isGone() bool {
	if j.file == nil {
		return false
	}
	now, err := os.Stat(j.path)
	if err != nil {
		return true
	}
	was, err := j.file.Stat()
	return err == nil && !os.SameFile(was, now)
}

// rewrite replaces the file atomically.
func (j *journal) rewrite(known time.Time) (err error) {
	if j.lock == nil {
		if j.lock, err = lockFile(j.path + ".lock"); err != nil {
			return err
		}
	}
	temp := j.path + ".tmp"
	// A crash can leave this file, or another user can have created it with a wrong mode.
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w, versions, err := j.writeAll(file, known)
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = os.Rename(temp, j.path)
	}
	if err != nil {
		_ = file.Close()
		return errors.Join(err, os.Remove(temp))
	}
	if j.file != nil {
		_ = j.file.Close()
	}
	j.file, j.base, j.size, j.sum = file, w.size, w.size, w.sum
	j.dirty, j.synced, j.stamped, j.stampAt = false, time.Now(), stamp{uint64(w.size), known}, time.Now()
	for s, version := range versions {
		s.written.Store(version)
	}
	syncFolder(filepath.Dir(j.path))
	return nil
}

// writeAll writes a new file with the present sets and returns their versions.
func (j *journal) writeAll(file *os.File, known time.Time) (*stateWriter, map[*section]uint64, error) {
	var sections []*section
	j.mu.Lock()
	for _, s := range j.sections {
		if s.table.Version() != 0 { // otherwise the set could not be resumed
			sections = append(sections, s)
		}
	}
	j.mu.Unlock()
	out := bufio.NewWriterSize(file, 1<<16)
	w := &stateWriter{w: out}
	w.begin(j.who, len(sections))
	versions := make(map[*section]uint64, len(sections))
	for _, s := range sections {
		set := s.table.snapshot()
		w.whole(s.name, set)
		set.close()
		versions[s] = set.version
	}
	if w.err == nil {
		w.err = out.Flush()
	}
	if w.err == nil {
		_, w.err = file.WriteAt(stamp{uint64(w.size), known}.append(nil), stampAt)
	}
	return w, versions, w.err
}

// syncFolder makes a rename durable if the system can sync folders. Otherwise a power failure can bring
// back the old file, which is still valid.
func syncFolder(path string) {
	if folder, err := os.Open(path); err == nil {
		_ = folder.Sync()
		_ = folder.Close()
	}
}
