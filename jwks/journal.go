package jwks

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
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
