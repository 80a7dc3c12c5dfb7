package jwks

import (
	"testing"
)

// While a set is read or replaced, all values that a Table reports belong to the set that the Table shows.
func TestTableIsSeenWhole(t *testing.T) {
	keys := testKeys(t, 165, 4*installPiece)
	table := new(Table)
	next := table.refresh()
	for _, key := range keys[:100] {
		if err := next.Add(key); err != nil {
			t.Fatal(err)
		}
		if table.Len() != 0 || table.Version() != 0 || table.state() != (setState{}) {
			t.Fatalf("version %d of %d keys while the first set is read", table.Version(), table.Len())
		}
	}
	if err := next.install(3, nil); err != nil {
		t.Fatal(err)
	}
	sets := map[uint64]*testSet{
		3: buildSet(t, 3, keys[:100]...), 4: buildSet(t, 4, keys...), 5: buildSet(t, 5, keys[:1]...),
		6: buildSet(t, 6, keys[1:3]...),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for version := uint64(4); version <= 5; version++ {
			refill(t, table, sets[version])
		}
		if err := table.Apply(Change{Version: 6, Add: keys[1:3], Remove: []KID{keys[0].kid}}); err != nil {
			t.Error(err)
		}
	}()
	for last := false; !last; {
		select {
		case <-done:
			last = true
		default:
		}
		got := table.state()
		if set := sets[got.version]; set == nil || got.keys != set.Len() || got.print != set.Fingerprint() {
			t.Fatalf("version %d has %d keys with the fingerprint %s", got.version, got.keys, got.print)
		}
	}
}
