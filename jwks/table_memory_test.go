package jwks

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
	"time"
)

// resident returns the memory of this process, also outside of Go's heap.
func resident(tb testing.TB) int {
	tb.Helper()
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		tb.Skip(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		tb.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// fakeKey returns the i-th key with a kid that is spread like a hash.
func fakeKey(i int) (key Key) {
	random := newRand(uint64(i))
	for at := 0; at < len(key.kid); at += 8 {
		binary.BigEndian.PutUint64(key.kid[at:], random.Uint64())
	}
	key.n[0] = 0x80
	return key
}

// BenchmarkTableMemory reports the bytes of a key: BURNKEY_TABLE_KEYS=1138688 go test -bench TableMemory -benchtime 1x
func BenchmarkTableMemory(b *testing.B) {
	count, err := strconv.Atoi(os.Getenv("BURNKEY_TABLE_KEYS"))
	if err != nil {
		count = 100_000
	}
	for name, a := range map[string]Attributes{"without": {}, "with attributes": typical} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(float64(tableMemory(b, count, a))/float64(count), "B/key")
			}
		})
	}
}

func tableMemory(tb testing.TB, count int, a Attributes) int {
	tb.Helper()
	before := resident(tb)
	table := new(Table)
	set := table.refresh()
	for i := range count {
		key := fakeKey(i)
		if err := set.Add(key); err != nil {
			tb.Fatal(err)
		}
		a.ExpiresAt = a.ExpiresAt.Add(time.Second)
		if a.Plan == "" {
			continue
		}
		if err := set.Set(KeyAttributes{key.kid, a}); err != nil {
			tb.Fatal(err)
		}
	}
	if err := set.install(1, nil); err != nil {
		tb.Fatal(err)
	}
	set = nil
	after := resident(tb)
	runtime.KeepAlive(table)
	table.clear()
	return after - before
}

// A gateway can have ten thousand workspaces with a few keys.
func TestTableOfOneKeyIsSmall(t *testing.T) {
	const tables = 500
	heap := func() uint64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	key, all := testKeys(t, 330, 1), make([]*Table, tables)
	before := heap()
	for i := range all {
		all[i] = tableOf(t, 1, key...)
	}
	each := int(heap()-before) / tables
	runtime.KeepAlive(all)
	if t.Logf("%d bytes", each); each > 2048 {
		t.Errorf("a table of one key uses %d bytes", each)
	}
}
