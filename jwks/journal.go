package jwks

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// ErrStateInUse means that another Follower, perhaps in another process, uses the state file.
var ErrStateInUse = errors.New("the state file is in use")

// maxQueued is the number of changes that can wait to be written. If there are more, the file is rewritten.
const maxQueued = 4096

// journalTimes are durations that tests shorten.
type journalTimes struct {
	sync  time.Duration // longest time until a change is synced to disk
	stamp time.Duration // by how much Age can be too high after a restart
	retry time.Duration // after a failure
}

var defaultJournal = journalTimes{sync: time.Second, stamp: 10 * time.Second, retry: 10 * time.Second}

// maxAppended is the number of keys up to which a new set is appended to the file, as a record in memory.
const maxAppended = 4096

// section is one workspace's set in a state file.
type section struct {
	name    string // empty in the file of a single Follower
	table   *Table
	written atomic.Uint64 // the version in the file; 0: none
}

// journal stores sets on disk. Each change appends a record; when the records are larger than the sets, the
// file is rewritten. A separate goroutine writes, so the Follower never waits for the disk.
type journal struct {
	path  string
	who   owner
	log   *slog.Logger
	times journalTimes

	errors atomic.Uint64

	mu       sync.Mutex
	sections map[string]*section
	whole    bool     // the file must be rewritten
	queued   []queued // or these appended, which lead to the tables' sets
	known    time.Time
	wake     chan struct{}

	// Only the goroutine uses the rest.
	lock    *os.File
	file    *os.File // nil: must be rewritten
	base    int64    // its length without records
	size    int64
	sum     uint32
	failing bool
	retryAt time.Time
	dirty   bool // something is not synced
	synced  time.Time
	stamped stamp
	stampAt time.Time
}

// queued is a change of a section, or its whole new set if change is nil.
type queued struct {
	*section
	change *Change
}

// openJournal locks the state file and reads it into empty tables, which `open` returns by workspace, or nil for
// a workspace to be dropped. It returns when the sets were last known to be current, or the zero time.
func openJournal(path, url string, open func(name string) *Table, log *slog.Logger) (*journal, time.Time, error) {
	j := &journal{
		path: path, who: sha256.Sum256([]byte(url)), log: log,
		times: defaultJournal, sections: make(map[string]*section), wake: make(chan struct{}, 1),
	}
	var err error
	if j.lock, err = lockFile(path + ".lock"); errors.Is(err, ErrStateInUse) {
		return nil, time.Time{}, fmt.Errorf("%w: %s", err, path)
	} else if err != nil {
		j.failed(err) // the Follower works without a file
	}
	state, err := j.load(open)
	if err != nil {
		j.clear()
	}
	switch {
	case errors.Is(err, errNotState):
		j.unlock()
		return nil, time.Time{}, fmt.Errorf("%s: %w", path, err)
	case errors.Is(err, errDamaged), errors.Is(err, errForeign):
		log.Warn("ignoring the keys in the state file", "file", path, "error", err)
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		j.failed(err)
	}
	return j, state.checked, nil
}

// load reads the file and keeps it open. It treats an empty file like a missing file.
func (j *journal) load(open func(name string) *Table) (savedState, error) {
	file, err := os.OpenFile(j.path, os.O_RDWR, 0)
	if err != nil {
		return savedState{}, err
	}
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		_ = file.Close()
		return savedState{}, err
	}
	state, err := readState(file, info.Size(), j.who, func(name string) *Table { return j.section(name, open) })
	if err == nil && j.lock != nil && state.end < info.Size() {
		err = file.Truncate(state.end)
	}
	if err != nil || j.lock == nil {
		_ = file.Close()
		return state, err
	}
	j.file, j.base, j.size, j.sum = file, state.base, state.end, state.sum
	for _, s := range j.sections {
		s.written.Store(s.table.Version())
	}
	return state, nil
}

// section returns the table of a workspace that is in the file, or nil if it is to be dropped.
func (j *journal) section(name string, open func(name string) *Table) *Table {
	if s := j.sections[name]; s != nil {
		return s.table
	}
	table := open(name)
	if table != nil {
		j.sections[name] = &section{name: name, table: table}
	}
	return table
}

// clear empties all tables after the file could not be read.
func (j *journal) clear() {
	for _, s := range j.sections {
		s.table.clear()
	}
	clear(j.sections)
}

// enter returns the section of a workspace, and adds it if it is missing.
func (j *journal) enter(name string, table *Table) *section {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.sections[name]
	if s == nil {
		s = &section{name: name, table: table}
		j.sections[name] = s
	}
	return s
}

// drop removes a workspace from the file.
func (j *journal) drop(s *section) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.sections, s.name)
	j.whole, j.queued = true, nil
	j.stir()
}

// unlock releases the file.
func (j *journal) unlock() {
	for _, file := range []*os.File{j.file, j.lock} {
		if file != nil {
			_ = file.Close()
		}
	}
	j.file, j.lock = nil, nil
}

// setWhole requests that a section's new set be written. All sets were current at the time known, unless it is
// zero: then that time stays.
func (j *journal) setWhole(s *section, known time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !known.IsZero() {
		j.known = known
	}
	j.queue(queued{s, nil})
}

// add requests that a change be appended. The table must already contain the change.
func (j *journal) add(s *section, c Change) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.queue(queued{s, &c})
}

func (j *journal) queue(q queued) {
	if j.whole = j.whole || len(j.queued) >= maxQueued; j.whole {
		j.queued = nil
	} else {
		j.queued = append(j.queued, q)
	}
	j.stir()
}

// confirm requests a stamp: all sets were current at a time.
func (j *journal) confirm(at time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.known = at
}

func (j *journal) stir() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// start starts the writing goroutine. stop writes the pending work and releases the file.
func (j *journal) start() (stop func()) {
	end := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		defer j.unlock()
		tick := time.NewTicker(j.times.sync)
		defer tick.Stop()
		for {
			select {
			case <-end:
				j.write(true)
				return
			case <-j.wake:
			case <-tick.C:
			}
			j.write(false)
		}
	})
	return func() { close(end); done.Wait() }
}

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
		case q.change == nil && q.table.Len() > maxAppended:
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
