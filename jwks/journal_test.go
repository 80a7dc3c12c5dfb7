package jwks

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const journalURL = "https://auth.example.com/v1/auth/oauth/acme"

// loaded is the content of a state file.
type loaded struct {
	set       *testSet // nil: nothing
	checked   time.Time
	base, end int64
}

// testJournal is a journal of one table.
type testJournal struct {
	*journal
	table   *Table
	section *section
}

func openTestJournal(tb testing.TB, path string) (*testJournal, loaded, error) {
	tb.Helper()
	table := new(Table)
	opened, checked, err := openJournal(path, journalURL, func(string) *Table { return table }, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, loaded{}, err
	}
	j := &testJournal{opened, table, opened.enter("", table)}
	j.times = journalTimes{sync: time.Millisecond, stamp: time.Millisecond, retry: time.Millisecond}
	j.retryAt = time.Time{}
	return j, loaded{setOf(tb, table), checked, j.base, j.size}, nil
}

// loadState reads a state file as at the next start.
func loadState(tb testing.TB, path string) loaded {
	tb.Helper()
	j, state, err := openTestJournal(tb, path)
	if err != nil {
		tb.Fatal(err)
	}
	j.unlock()
	return state
}

// writeJournal writes a state file with a set and changes, and returns the set after each change.
func writeJournal(tb testing.TB, path string, changes int, at time.Time) []*testSet {
	tb.Helper()
	j, _, err := openTestJournal(tb, path)
	if err != nil {
		tb.Fatal(err)
	}
	keys := testKeys(tb, 40, changes+2)
	sets := []*testSet{buildSet(tb, 5, keys[:2]...)}
	refill(tb, j.table, sets[0])
	j.setWhole(j.section, time.Time{})
	j.write(false)
	for i := range changes {
		c := Change{Version: uint64(6 + i), Add: keys[i+2 : i+3]}
		if i%2 == 1 {
			c = Change{Version: c.Version, Remove: []KID{keys[i+1].kid}}
		}
		set, err := sets[i].Apply(c)
		if err != nil {
			tb.Fatal(err)
		}
		sets = append(sets, set)
		applyTo(tb, j, c)
		j.confirm(at)
		j.write(i == changes-1)
	}
	j.unlock()
	if j.errors.Load() != 0 {
		tb.Fatal("the journal failed")
	}
	return sets
}

func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	at := time.Unix(1_700_000_000, 5)
	sets := writeJournal(t, path, 5, at)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	state := loadState(t, path)
	last := sets[len(sets)-1]
	if !bytes.Equal(plainBytes(t, state.set), plainBytes(t, last)) || state.set.version != last.version || !state.checked.Equal(at) {
		t.Errorf("version %d checked at %v reads back as %d at %v", last.version, at, state.set.version, state.checked)
	}
	if info.Size() != state.end || state.end == state.base {
		t.Errorf("%d bytes: %d, and %d with records", info.Size(), state.base, state.end)
	}
}

// wantOneOf fails the test unless a file either contains one of the sets or is refused.
func wantOneOf(tb testing.TB, path string, sets []*testSet) (state loaded, err error) {
	tb.Helper()
	j, state, err := openTestJournal(tb, path)
	if err != nil {
		return state, err
	}
	j.unlock()
	if state.set == nil {
		return state, errDamaged
	}
	for _, set := range sets {
		if set.version == state.set.version {
			if !bytes.Equal(plainBytes(tb, state.set), plainBytes(tb, set)) {
				tb.Errorf("a wrong set of version %d", set.version)
			}
			return state, nil
		}
	}
	tb.Errorf("a set of version %d, which never was", state.set.version)
	return state, nil
}

func TestJournalOnAnyDamage(t *testing.T) {
	folder := t.TempDir()
	at := time.Unix(1_700_000_000, 0)
	sets := writeJournal(t, filepath.Join(folder, "whole"), 4, at)
	last := sets[len(sets)-1].version
	text, err := os.ReadFile(filepath.Join(folder, "whole"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "state")
	write := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stampEnd := int(headAt)
	for i := range text {
		flipped := bytes.Clone(text)
		flipped[i] ^= 1 << (i % 8)
		write(flipped)
		state, err := wantOneOf(t, path, sets)
		switch inStamp := i >= int(stampAt) && i < stampEnd; {
		case i < int(stampAt) && !errors.Is(err, errDamaged):
			t.Errorf("byte %d of the magic: %v", i, err)
		case inStamp && (err != nil || state.set.version != last || !state.checked.IsZero()):
			t.Errorf("byte %d of the stamp: checked at %v, %v", i, state.checked, err)
		case !inStamp && err == nil && (state.set.version == last || !state.checked.IsZero()):
			t.Errorf("byte %d: version %d, checked at %v", i, state.set.version, state.checked)
		}
	}
	// A file that is truncated after the snapshot, perhaps with zeros added, still yields its complete
	// records and can be continued.
	base := int(loadState(t, filepath.Join(folder, "whole")).base)
	for end := base; end < len(text); end += 7 {
		for _, tail := range []int{0, 1, 3000} {
			write(append(bytes.Clone(text[:end]), make([]byte, tail)...))
			state, err := wantOneOf(t, path, sets)
			if err != nil && tail == 0 || state.set != nil && state.set.version == last {
				t.Errorf("cut off at %d with %d zeros: %v", end, tail, err)
			}
			if info, err2 := os.Stat(path); err == nil && (err2 != nil || info.Size() != state.end) {
				t.Errorf("cut off at %d with %d zeros: not truncated", end, tail)
			}
		}
	}
	for end := range base {
		write(text[:end])
		if state, err := wantOneOf(t, path, sets); err == nil {
			t.Errorf("cut off at %d: version %d", end, state.set.version)
		}
	}
	// Records in another place.
	write(append(bytes.Clone(text), text[base:]...))
	if state, err := wantOneOf(t, path, sets); err == nil && state.set.version != last {
		t.Errorf("records twice: version %d", state.set.version)
	}
}

func TestJournalGoesOnBehindACut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	sets := writeJournal(t, path, 3, time.Now())
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()-1); err != nil {
		t.Fatal(err)
	}
	j, state, err := openTestJournal(t, path)
	if err != nil || state.set.version != sets[2].version {
		t.Fatalf("version %d, %v", state.set.version, err)
	}
	c := Change{Version: sets[3].version, Add: testKeys(t, 41, 1)}
	set, err := state.set.Apply(c)
	if err != nil {
		t.Fatal(err)
	}
	applyTo(t, j, c)
	j.write(true)
	j.unlock()
	if got := loadState(t, path); !bytes.Equal(plainBytes(t, got.set), plainBytes(t, set)) {
		t.Error("a change written after a truncation is lost")
	}
}

func TestJournalIsWrittenAnewWhenItHasGrown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	j, _, err := openTestJournal(t, path)
	if err != nil {
		t.Fatal(err)
	}
	stop := j.start()
	keys := testKeys(t, 42, 300)
	set := buildSet(t, 1, keys...)
	refill(t, j.table, set)
	j.setWhole(j.section, time.Time{})
	most := int64(0)
	for range 60 { // 4.6 MB of records
		c := Change{Version: set.version + 1}
		for _, key := range keys {
			c.Remove = append(c.Remove, key.kid)
		}
		for _, change := range []Change{c, {Version: c.Version + 1, Add: keys}} {
			if set, err = set.Apply(change); err != nil {
				t.Fatal(err)
			}
			applyTo(t, j, change)
		}
		poll(t, func() bool { return j.section.written.Load() == set.version })
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, info.Size())
	}
	stop()
	if most < 1<<20 || most > 2<<20 {
		t.Errorf("the file grew to %d bytes", most)
	}
	if got := loadState(t, path); got.set.version != set.version || !bytes.Equal(plainBytes(t, got.set), plainBytes(t, set)) {
		t.Error("another set reads back")
	}
	if files, err := filepath.Glob(path + "*"); err != nil || len(files) != 2 {
		t.Errorf("there are %q, %v", files, err)
	}
}

func TestJournalRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	writeJournal(t, path, 1, time.Now())
	j, _, err := openTestJournal(t, path)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := openTestJournal(t, path); !errors.Is(err, ErrStateInUse) {
		t.Errorf("a second one: %v", err)
	}
	j.unlock()
	var table Table
	other, _, err := openJournal(path, journalURL+"2", func(string) *Table { return &table }, slog.New(slog.DiscardHandler))
	if err != nil || table.Version() != 0 || table.Len() != 0 {
		t.Errorf("another URL: version %d, %v", table.Version(), err)
	}
	other.unlock()
	if err := os.WriteFile(path, []byte("root:x:0:0:root:/root:/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := openTestJournal(t, path); !errors.Is(err, errNotState) {
		t.Errorf("some other file: %v", err)
	}
	for name, text := range map[string][]byte{
		"empty": nil, "cut short": []byte(stateMagic[:5]), "zeros": make([]byte, 5000), "few zeros": make([]byte, 3),
	} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if state := loadState(t, path); state.set != nil {
			t.Errorf("%s: a set", name)
		}
	}
}

// A new file does not inherit the mode of the existing file.
func TestJournalIsItsOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(path+".tmp", []byte("of a crash"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path+".tmp", 0o666); err != nil {
		t.Fatal(err)
	}
	writeJournal(t, path, 1, time.Now())
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// Disk errors are counted, and the journal recovers after they end.
func TestJournalRecovers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	j, _, err := openTestJournal(t, path)
	if err != nil {
		t.Fatal(err)
	}
	stop := j.start()
	defer stop()
	set := buildSet(t, 1, testKeys(t, 43, 3)...)
	refill(t, j.table, set)
	j.setWhole(j.section, time.Time{})
	poll(t, func() bool { return j.errors.Load() > 3 })
	for i := range maxQueued + 10 {
		c := Change{Version: set.version + 1, Remove: []KID{testKeys(t, 43, 3)[0].kid}}
		if i%2 == 1 {
			c = Change{Version: c.Version, Add: testKeys(t, 43, 3)[:1]}
		}
		if set, err = set.Apply(c); err != nil {
			t.Fatal(err)
		}
		applyTo(t, j, c)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	poll(t, func() bool { return j.section.written.Load() == set.version })
}

// A file that was removed or replaced is written again, and as long as that fails, the failures are counted.
func TestJournalWhoseFileGoes(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	path := filepath.Join(folder, "file")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	j, _, err := openTestJournal(t, path)
	if err != nil {
		t.Fatal(err)
	}
	stop := j.start()
	defer stop()
	refill(t, j.table, buildSet(t, 1, testKeys(t, 44, 3)...))
	j.setWhole(j.section, time.Time{})
	exists := func() bool { _, err := os.Stat(path); return err == nil }
	poll(t, exists)
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	poll(t, func() bool { return j.errors.Load() > 0 })
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	poll(t, exists)
}
