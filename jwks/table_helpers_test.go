package jwks

import "testing"

// setOf returns the set that a Table shows, read by a snapshot, or nil before the first set.
func setOf(tb testing.TB, table *Table) *testSet {
	tb.Helper()
	snap := table.snapshot()
	defer snap.close()
	if snap.version == 0 {
		return nil
	}
	var keys []Key
	_ = snap.each(func(key *Key, _ *Attributes) error { keys = append(keys, *key); return nil })
	if len(keys) != snap.count {
		tb.Fatalf("%d keys in a snapshot of %d", len(keys), snap.count)
	}
	return buildSet(tb, snap.version, keys...)
}

// refill makes a Table show a set, like a Follower that has fetched it.
func refill(tb testing.TB, table *Table, set *testSet) {
	tb.Helper()
	next := table.refresh()
	for _, key := range set.keys {
		if err := next.Add(key); err != nil {
			tb.Fatal(err)
		}
	}
	if err := next.install(set.version, nil); err != nil {
		tb.Fatal(err)
	}
}

// applyTo applies a change to the Table of a journal and then adds it to the journal.
func applyTo(tb testing.TB, j *testJournal, c Change) {
	tb.Helper()
	if err := j.table.Apply(c); err != nil {
		tb.Fatal(err)
	}
	j.add(j.section, c)
}
