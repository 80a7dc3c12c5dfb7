package publish

import (
	"bytes"
	"io"
	"runtime"
	"sync"
	"testing"
	"unsafe"

	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

// writes counts calls of Write and stores the text.
type writes struct {
	bytes.Buffer
	n int
}

func (w *writes) Write(b []byte) (int, error) { w.n++; return w.Buffer.Write(b) }

func TestWholeFromTheSecondTimeOn(t *testing.T) {
	keys := testKeys(t, 40, 300)
	for _, test := range []struct {
		name string
		keys []jwks.Key
	}{{"none", nil}, {"one", keys[:1]}, {"a leaf", keys[:leafMax]}, {"leaves", keys}} {
		set := buildSet(t, 3, test.keys...)
		var first writes
		if _, err := set.WriteTo(&first); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			var again writes
			if n, err := set.WriteTo(&again); err != nil || n != set.Size() {
				t.Fatalf("%s: %d bytes, %v", test.name, n, err)
			}
			if again.n != 1 || !bytes.Equal(again.Bytes(), first.Bytes()) {
				t.Errorf("%s: %d writes of %d bytes, the first time %d", test.name, again.n, again.Len(), first.Len())
			}
		}
	}
}

func TestWholeOfALargeSetIsNotKept(t *testing.T) {
	set := largeSet()
	for range 3 {
		if _, err := set.WriteTo(io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	if set.Len() <= maxWhole || set.rendered.whole.text.Load() != nil {
		t.Errorf("%d keys are kept whole", set.Len())
	}
}

// The whole form of each version is right, whichever forms of the same leaves were rendered before: the
// last leaf of one version can be in the middle of another version.
func TestWholeOfEachVersion(t *testing.T) {
	keys := testKeys(t, 41, 400)
	set := buildSet(t, 1, keys[:200]...)
	versions := []*Set{set}
	for i, key := range keys[200:] {
		change := jwks.Change{Version: set.Version() + 1, Add: []jwks.Key{key}, Remove: []jwks.KID{keys[i].KID()}}
		next, err := set.Apply(change)
		if err != nil {
			t.Fatal(err)
		}
		set = next
		versions = append(versions, set)
		for range 1 + i%3 {
			if _, err := set.WriteTo(io.Discard); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, version := range versions {
		want := plainBytes(t, buildSet(t, version.Version(), keys[i:200+i]...))
		for range 2 {
			if got := plainBytes(t, version); !bytes.Equal(got, want) {
				t.Fatalf("version %d: %d bytes, want %d", version.Version(), len(got), len(want))
			}
		}
	}
}

func TestWholeByManyAtOnce(t *testing.T) {
	keys := testKeys(t, 42, 300)
	set := buildSet(t, 1, keys...)
	next, err := set.Apply(jwks.Change{Version: 2, Remove: []jwks.KID{keys[0].KID()}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[*Set][]byte{
		set: plainBytes(t, buildSet(t, 1, keys...)), next: plainBytes(t, buildSet(t, 2, keys[1:]...)),
	}
	var all sync.WaitGroup
	for range 8 {
		for s := range want {
			all.Go(func() {
				for range 10 {
					var got bytes.Buffer
					if _, err := s.WriteTo(&got); err != nil || !bytes.Equal(got.Bytes(), want[s]) {
						t.Errorf("version %d: %d bytes, %v", s.Version(), got.Len(), err)
					}
				}
			})
		}
	}
	all.Wait()
}

// The JWKs of the leaves are stored as parts of the newest whole form, so that an older form is freed with
// its version and no JWKs are stored twice.
func TestLeavesShareTheWhole(t *testing.T) {
	keys := testKeys(t, 43, 300)
	set := buildSet(t, 1, keys...)
	plainBytes(t, set)
	plainBytes(t, set)
	gone := make(chan struct{})
	runtime.AddCleanup(&(*set.rendered.whole.text.Load())[0], func(c chan struct{}) { close(c) }, gone)
	next, err := set.Apply(jwks.Change{Version: 2, Remove: []jwks.KID{keys[0].KID()}})
	if err != nil {
		t.Fatal(err)
	}
	plainBytes(t, next)
	plainBytes(t, next)
	text, left := *next.rendered.whole.text.Load(), next.Len()
	for leaf := range next.root.leaves {
		part := leaf.forms.text.Load()
		if left -= leaf.count; left == 0 {
			if part != nil {
				t.Error("the last leaf keeps a text of its own")
			}
			break
		}
		if part == nil || !within(*part, text) {
			t.Fatal("a leaf keeps a text of its own")
		}
	}
	set = nil
	testkit.Eventually(t, "the older whole is collected", func() bool {
		runtime.GC()
		select {
		case <-gone:
			return true
		default:
			return false
		}
	})
	runtime.KeepAlive(next)
}

func within(part, all []byte) bool {
	at, from := uintptr(unsafe.Pointer(&part[0])), uintptr(unsafe.Pointer(&all[0]))
	return at >= from && at+uintptr(len(part)) <= from+uintptr(len(all))
}
