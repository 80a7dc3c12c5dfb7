package jwks

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

func tableOf(tb testing.TB, version uint64, keys ...Key) *Table {
	tb.Helper()
	table, err := NewTable(version, keys)
	if err != nil {
		tb.Fatal(err)
	}
	return table
}

// checkTable checks that a Table has the expected keys and that its internal structures agree.
func checkTable(tb testing.TB, table *Table, version uint64, want model) {
	tb.Helper()
	set := setOf(tb, table)
	if !maps.Equal(set.keys, want) {
		tb.Fatalf("a snapshot has %d keys, want %d", set.Len(), len(want))
	}
	if table.Version() != version || table.Len() != len(want) || table.state().print != set.Fingerprint() {
		tb.Fatalf("version %d of %d keys with fingerprint %s, want %d of %d",
			table.Version(), table.Len(), table.state().print, version, len(want))
	}
	for kid, key := range want {
		if got, ok := table.Lookup(kid); !ok || got != key {
			tb.Fatalf("Lookup(%s) = %s, %v", kid, got.kid, ok)
		}
	}
	used := 0
	for number := range table.slots.High() {
		if table.slots.At(number).Used() {
			used++
		}
	}
	if used != len(want) || int(table.slots.High())-used != table.slots.Free() {
		tb.Fatalf("of %d slots %d are used and %d free", table.slots.High(), used, table.slots.Free())
	}
	checkPages(tb, table)
}

func checkPages(tb testing.TB, table *Table) {
	tb.Helper()
	entries := 0
	for i, p := range table.pages.dir {
		span := 1 << (table.pages.depth - p.depth)
		if i%span != 0 { // entered more than once
			if p != table.pages.dir[i-1] {
				tb.Fatalf("pointer %d is to another page than the one before", i)
			}
			continue
		}
		for ; p != nil; p = p.next {
			entries += int(p.count)
		}
	}
	if entries != table.Len() {
		tb.Fatalf("%d entries for %d keys", entries, table.Len())
	}
}

func TestTableOfEverySize(t *testing.T) {
	all := testKeys(t, 70, 5000)
	rand.New(rand.NewPCG(71, 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, size := range []int{0, 1, 15, 16, 17, pageLen, pageLen + 1, 2 * pageLen, 1000, 4096, 5000} {
		table := tableOf(t, 7, all[:size]...)
		if size == 0 {
			if table.Len() != 0 || table.Version() != 7 {
				t.Error("an empty set is not shown")
			}
			continue
		}
		checkTable(t, table, 7, modelOf(all[:size]))
		if _, ok := table.Lookup(KID{}); ok {
			t.Errorf("%d keys: Lookup finds a missing key", size)
		}
	}
}

// Lookup also finds kids that are not hashes, or that share a page by chance.
func TestTableOfKidsThatAgree(t *testing.T) {
	for _, bits := range []int{8, 24, 32, 160} {
		keys := alike(t, 5*pageLen, bits)
		table := new(Table)
		next := table.refresh()
		for _, key := range keys {
			if err := next.Add(key); err != nil {
				t.Fatal(err)
			}
		}
		if err := next.install(1, nil); err != nil {
			t.Fatal(err)
		}
		if len(table.pages.dir) > 1<<maxDepth {
			t.Errorf("%d bits: %d pages", bits, len(table.pages.dir))
		}
		for i, key := range keys {
			if got, ok := table.Lookup(key.kid); !ok || got != key {
				t.Fatalf("%d bits: a key is not found", bits)
			}
			if i%2 == 0 {
				if err := table.Apply(Change{Version: table.Version() + 1, Remove: []KID{key.kid}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, key := range keys {
			if _, ok := table.Lookup(key.kid); ok != (i%2 == 1) {
				t.Fatalf("%d bits: key %d is found: %v", bits, i, ok)
			}
		}
	}
}

func TestTableBeforeItsFirstSet(t *testing.T) {
	var table Table
	key := testKeys(t, 73, 1)[0]
	if err := table.Apply(Change{Version: 1, Add: []Key{key}}); !errors.Is(err, ErrVersionGap) {
		t.Error(err)
	}
	next := table.refresh()
	if err := next.Add(key); err != nil {
		t.Fatal(err)
	}
	if _, ok := table.Lookup(key.kid); ok || table.Version() != 0 {
		t.Error("a key is found before the set is complete")
	}
	next.abort()
	if table.Len() != 0 || table.state() != (setState{}) {
		t.Error("something is left of a set that was not completed")
	}
	refill(t, &table, buildSet(t, 3, key))
	checkTable(t, &table, 3, modelOf([]Key{key}))
}

// A change that can't be applied is refused with the right error, and leaves the Table unchanged.
func TestTableApplyErrors(t *testing.T) {
	keys := testKeys(t, 74, 500)
	in, out := keys[:200], keys[200:]
	table, set := tableOf(t, 5, in...), buildSet(t, 5, in...)
	for _, c := range []Change{
		{Version: 5},
		{Version: 7},
		{},
		{Version: 6, Add: in[:1]},
		{Version: 6, Add: slices.Concat(out, in[100:101])},
		{Version: 6, Add: []Key{out[0], out[1], out[0]}},
		{Version: 6, Remove: kids(out[:1])},
		{Version: 6, Remove: kids([]Key{in[0], out[0]})},
		{Version: 6, Remove: kids([]Key{in[0], in[0]})},
		{Version: 6, Add: out[:1], Remove: kids(out[:1])},
		{Version: 6, Remove: kids(in[:3]), Add: in[5:6]},
	} {
		_, want := set.Apply(c)
		err := table.Apply(c)
		if want == nil || !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
		checkTable(t, table, 5, modelOf(in))
	}
	if err := table.Apply(Change{Version: 6, Remove: kids(in[:1]), Add: in[:1]}); err != nil {
		t.Errorf("a key that comes again: %v", err)
	}
	checkTable(t, table, 6, modelOf(in))
}

// reading is a snapshot that is read while the Table changes.
type reading struct {
	snap *snapshot
	want *testSet
	keys []Key
}

func (r *reading) add(key *Key, _ *Attributes) error {
	r.keys = append(r.keys, *key)
	return nil
}

// Compare a Table with a model during random changes, whole sets that are installed or aborted, and
// concurrent snapshots.
func TestTableAgainstSet(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := newRand(75 + seed)
			keys := testKeys(t, 75+seed, 600)
			set := buildSet(t, 1, keys[:300]...)
			table := tableOf(t, 1, keys[:300]...)
			var readings []*reading
			for range 400 {
				c := Change{Version: set.version + 1}
				for range random.IntN(5) {
					key := keys[random.IntN(len(keys))]
					if _, ok := set.Lookup(key.kid); ok && !slices.Contains(c.Remove, key.kid) {
						c.Remove = append(c.Remove, key.kid)
					} else if !ok && !slices.Contains(c.Add, key) {
						c.Add = append(c.Add, key)
					}
				}
				var err error
				if set, err = set.Apply(c); err != nil {
					t.Fatal(err)
				}
				if err := table.Apply(c); err != nil {
					t.Fatal(err)
				}
				switch random.IntN(12) {
				case 0:
					readings = append(readings, &reading{snap: table.snapshot(), want: set})
				case 1:
					set = buildSet(t, uint64(1+random.IntN(500)), keys[random.IntN(300):300+random.IntN(300)]...)
					refill(t, table, set)
				case 2:
					next := table.refresh()
					_ = next.Add(keys[random.IntN(len(keys))])
					next.abort()
				}
				for _, r := range readings { // a piece each
					if r.snap.cursor < r.snap.end {
						_ = yieldAll(r.snap.read(nil), r.add)
					}
				}
			}
			checkTable(t, table, set.version, set.keys)
			for _, r := range readings {
				_ = r.snap.each(r.add)
				r.snap.close()
				got := buildSet(t, r.snap.version, r.keys...)
				if r.snap.version != r.want.version || !bytes.Equal(plainBytes(t, got), plainBytes(t, r.want)) {
					t.Errorf("a snapshot of version %d has %d keys, want %d", r.want.version, got.Len(), r.want.Len())
				}
			}
			if len(table.reading) != 0 {
				t.Error("closed snapshots are still kept")
			}
		})
	}
}

func TestTableRefreshRefusesAKeyTwice(t *testing.T) {
	keys := testKeys(t, 82, 10)
	for name, again := range map[string]Key{"of the table": keys[0], "new": keys[5]} {
		table := tableOf(t, 5, keys[:5]...)
		next := table.refresh()
		var err error
		for _, key := range append(slices.Clone(keys), again) {
			err = errors.Join(err, next.Add(key))
		}
		if err == nil {
			err = next.install(6, nil)
		}
		next.abort()
		if !errors.Is(err, ErrPublished) {
			t.Errorf("%s: %v", name, err)
		}
		checkTable(t, table, 5, modelOf(keys[:5]))
	}
}

// Readers do not wait for changes, and always find the keys that stay published throughout.
func TestTableUnderConcurrency(t *testing.T) {
	keys := testKeys(t, 83, 3000)
	stays, moves := keys[:1000], keys[1000:]
	table := tableOf(t, 1, stays...)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for i := range 4 {
		readers.Go(func() {
			for at := i; ; at = (at + 7) % len(stays) {
				select {
				case <-done:
					return
				default:
				}
				if key, ok := table.Lookup(stays[at].kid); !ok || key != stays[at] {
					t.Error("a key that is published is not found")
					return
				}
				d := digest{1, byte(at)}
				table.remember(&stays[at].kid, &d)
				moving := moves[at%len(moves)]
				if key, ok := table.Lookup(moving.kid); ok && key != moving {
					t.Error("a key is found in another's place")
					return
				}
			}
		})
	}
	for i, key := range moves {
		if err := table.Apply(Change{Version: uint64(i + 2), Add: []Key{key}}); err != nil {
			t.Fatal(err)
		}
	}
	refill(t, table, buildSet(t, 9000, stays...))
	close(done)
	readers.Wait()
	checkTable(t, table, 9000, modelOf(stays))
}

// A set without keys is replaced like any other set. No server publishes such a set, but a state file can
// contain one.
func TestTableRefreshOfNothing(t *testing.T) {
	keys := testKeys(t, 84, 3)
	table := new(Table)
	if err := table.refresh().install(5, nil); err != nil {
		t.Fatal(err)
	}
	next := table.refresh()
	if next.differs() {
		t.Error("nothing differs from nothing")
	}
	next.abort()
	refill(t, table, buildSet(t, 6, keys...))
	checkTable(t, table, 6, modelOf(keys))
}

// A snapshot has the keys of its version, even if another set is installed while it is read.
func TestTableSnapshotOfOneVersion(t *testing.T) {
	keys := testKeys(t, 85, 60000)
	sets := []*testSet{buildSet(t, 1, keys[:30000]...), buildSet(t, 2, keys[30000:]...)}
	table := tableOf(t, 1, keys[:30000]...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 6 {
			refill(t, table, sets[(i+1)%2])
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		snap := table.snapshot()
		var has int
		_ = snap.each(func(key *Key, _ *Attributes) error {
			if _, ok := sets[snap.version-1].Lookup(key.kid); ok {
				has++
			}
			return nil
		})
		snap.close()
		if has != 30000 || snap.count != 30000 {
			t.Fatalf("a snapshot of version %d has %d of its keys, of %d", snap.version, has, snap.count)
		}
	}
}
