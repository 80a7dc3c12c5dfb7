package jwks

import (
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

// journal stores a Follower's set on disk. Each change appends a record; when the records are larger than
// the set, the file is rewritten. A separate goroutine writes, so the Follower never waits for the disk.
type journal struct {
	path  string
	who   owner
	table *Table // the content of the file
	log   *slog.Logger
	times journalTimes

	errors  atomic.Uint64
	written atomic.Uint64 // the version in the file

	mu     sync.Mutex
	whole  bool     // the file must be rewritten
	queued []Change // or these changes appended, which lead to the table's set
	known  stamp
	wake   chan struct{}

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

// openJournal locks the state file and reads it into an empty table. It returns when the set was last known
// to be current, or the zero time.
func openJournal(path, url string, table *Table, log *slog.Logger) (*journal, time.Time, error) {
	j := &journal{
		path: path, who: sha256.Sum256([]byte(url)), table: table, log: log,
		times: defaultJournal, wake: make(chan struct{}, 1),
	}
	var err error
	if j.lock, err = lockFile(path + ".lock"); errors.Is(err, ErrStateInUse) {
		return nil, time.Time{}, fmt.Errorf("%w: %s", err, path)
	} else if err != nil {
		j.failed(err) // the Follower works without a file
	}
	state, err := j.load()
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
func (j *journal) load() (savedState, error) {
	file, err := os.OpenFile(j.path, os.O_RDWR, 0)
	if err != nil {
		return savedState{}, err
	}
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		_ = file.Close()
		return savedState{}, err
	}
	state, err := readState(file, info.Size(), j.who, j.table)
	if err == nil && j.lock != nil && state.end < info.Size() {
		err = file.Truncate(state.end)
	}
	if err != nil || j.lock == nil {
		_ = file.Close()
		return state, err
	}
	j.file, j.base, j.size, j.sum = file, state.base, state.end, state.sum
	j.written.Store(j.table.Version())
	return state, nil
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

// setWhole requests a rewrite of the file with the table's set, which was current at the time in known.
func (j *journal) setWhole(known stamp) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.whole, j.queued, j.known = true, nil, known
	j.stir()
}

// add requests that a change be appended. The table must already contain the change.
func (j *journal) add(c Change) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.whole = j.whole || len(j.queued) >= maxQueued; j.whole {
		j.queued = nil
	} else {
		j.queued = append(j.queued, c)
	}
	j.stir()
}

// confirm requests a stamp: the version was current at a time.
func (j *journal) confirm(version uint64, at time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.known = stamp{version, at}
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
	whole   bool
	changes []Change
	known   stamp
}

func (j *journal) take() batch {
	j.mu.Lock()
	defer j.mu.Unlock()
	b := batch{j.whole, j.queued, j.known}
	j.whole, j.queued = false, nil
	return b
}

// write writes the pending work. After a failure it waits and then rewrites the file.
func (j *journal) write(last bool) {
	now := time.Now()
	if j.failing && now.Before(j.retryAt) && !last {
		return
	}
	if j.table.Version() == 0 {
		return
	}
	b := j.take()
	err := j.put(b, now, last)
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
	if err := j.putSet(b); err != nil {
		return err
	}
	if j.dirty && (last || now.Sub(j.synced) >= j.times.sync) {
		if err := j.file.Sync(); err != nil {
			return err
		}
		j.dirty, j.synced = false, now
	}
	// Write the stamp only after its set is synced: the power can fail in between.
	due := last || j.stamped.at.IsZero() || now.Sub(j.stampAt) >= j.times.stamp
	if due && !j.dirty && b.known != j.stamped && !b.known.at.IsZero() {
		if _, err := j.file.WriteAt(b.known.append(nil), stampAt); err != nil {
			return err
		}
		j.stamped, j.stampAt = b.known, now
	}
	return nil
}

func (j *journal) putSet(b batch) error {
	if b.whole || j.file == nil {
		return j.rewrite(b)
	}
	if len(b.changes) == 0 {
		return nil
	}
	var records []byte
	sum, version := j.sum, j.written.Load()
	for _, c := range b.changes {
		if c.Version > version { // otherwise the rewritten file already has it
			records, sum = appendRecord(records, c, sum)
			version = c.Version
		}
	}
	if j.size-j.base+int64(len(records)) > max(1<<20, j.base) {
		return j.rewrite(b)
	}
	if _, err := j.file.WriteAt(records, j.size); err != nil {
		return err
	}
	j.size, j.sum, j.dirty = j.size+int64(len(records)), sum, true
	j.written.Store(version)
	return nil
}

// rewrite replaces the file atomically.
func (j *journal) rewrite(b batch) (err error) {
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
	set := j.table.snapshot()
	size, sum, err := writeState(file, j.who, set, b.known)
	set.close()
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
	j.file, j.base, j.size, j.sum = file, size, size, sum
	j.dirty, j.synced, j.stamped, j.stampAt = false, time.Now(), b.known, time.Now()
	j.written.Store(set.version)
	syncFolder(filepath.Dir(j.path))
	return nil
}

// syncFolder makes a rename durable if the system can sync folders. Otherwise a power failure can bring
// back the old file, which is still valid.
func syncFolder(path string) {
	if folder, err := os.Open(path); err == nil {
		_ = folder.Sync()
		_ = folder.Close()
	}
}
