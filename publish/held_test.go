package publish

import (
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"

	"github.com/burnkey/burnkey/jwks"
)

// held is a writer that blocks after `room` bytes until it is released.
type held struct {
	discard
	room    int
	waits   *sync.WaitGroup
	release <-chan struct{}
}

func (h *held) Write(b []byte) (int, error) {
	if h.n += len(b); h.n <= h.room {
		return len(b), nil
	}
	h.waits.Done()
	<-h.release
	return 0, http.ErrAbortHandler
}

func heapInUse() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC() // the first run only marks the contents of pools
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// hold serves requests, each in a goroutine, for readers that stop after room bytes. It returns the memory
// that the requests use together.
func hold(t *testing.T, h http.Handler, requests, room int, ask func(i int) *http.Request, between func(i int)) int64 {
	t.Helper()
	release := make(chan struct{})
	var waits, ends sync.WaitGroup
	before := heapInUse()
	for i := range requests {
		waits.Add(1)
		ends.Go(func() { h.ServeHTTP(&held{discard{head: http.Header{}}, room, &waits, release}, ask(i)) })
		waits.Wait()
		between(i)
	}
	kept := heapInUse() - before
	close(release)
	ends.Wait()
	return kept
}

// wideSet is the largest set that is cached in one piece. As in largeSet, its kids are not hashes.
func wideSet(t *testing.T) *Set {
	t.Helper()
	random := newRand(171)
	var b Builder
	for i := range uint64(maxWhole) {
		var kid jwks.KID
		binary.BigEndian.PutUint64(kid[:], i<<50)
		if err := b.Add(forged(kid, randomModulus(random)), jwks.Attributes{}); err != nil {
			t.Fatal(err)
		}
	}
	set, err := b.Set(1)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// Slow readers of different versions of a large set use the memory of a few copies and of the differences,
// not of one copy per reader.
func TestSlowReadersOfManyVersions(t *testing.T) {
	const versions, each = 60, 128 << 10
	index := NewIndex(wideSet(t))
	size := index.Set().Size()
	h := &Handler{Set: func(*http.Request) (*Set, bool) { return index.Set(), true }}
	for accept, most := range map[string]int64{
		"":     wholesMost*size + versions*each,
		"gzip": size + versions*each, // each leaf is compressed once
	} {
		kept := hold(t, h, 2*versions, 3<<20, func(int) *http.Request {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Accept-Encoding", accept)
			return r
		}, func(i int) {
			if i%2 == 0 {
				return // the second reader of a version causes the copy in one piece
			}
			now := index.Set()
			var kid jwks.KID
			binary.BigEndian.PutUint64(kid[:], uint64(i/2*240)<<50)
			if accept != "" {
				binary.BigEndian.PutUint64(kid[:], uint64(i/2*240+1)<<50)
			}
			if err := index.Apply(jwks.Change{Version: now.Version() + 1, Remove: []jwks.KID{kid}}); err != nil {
				t.Error(err)
			}
		})
		t.Logf("Accept-Encoding %q: %d readers of %d versions of a set of %d bytes keep %d", accept, 2*versions, versions, size, kept)
		if kept > most {
			t.Errorf("Accept-Encoding %q: they keep %d bytes, more than %d", accept, kept, most)
		}
	}
}

// Concurrent requests for the gzip form of one version share its memory.
func TestGzipOfOneVersionIsShared(t *testing.T) {
	set := wideSet(t)
	kept := hold(t, handlerOf(set), 500, 3<<20, func(int) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Encoding", "gzip")
		return r
	}, func(int) {})
	t.Logf("500 readers keep %d bytes", kept)
	if most := set.Size() + 500*16<<10; kept > most {
		t.Errorf("they keep %d bytes, more than %d", kept, most)
	}
}

// A reader that stalls while reading the log uses little memory, however large the changes are.
func TestStalledReadersOfTheLog(t *testing.T) {
	const readers, each = 200, 64 << 10
	changes := make([]jwks.Change, 200)
	keys := testKeys(t, 172, 40)
	for i := range changes {
		changes[i] = jwks.Change{Version: uint64(i) + 2, Add: keys}
	}
	index := NewIndex(buildSet(t, 202, keys...))
	s := NewStream(func(*http.Request) (*Index, bool) { return index, true },
		func(_ *http.Request, after uint64, limit int) ([]jwks.Change, error) {
			return changes[after-1 : min(int(after)-1+limit, len(changes))], nil
		})
	kept := hold(t, s, readers, 0, func(int) *http.Request { return httptest.NewRequest(http.MethodGet, "/?after=1", nil) }, func(int) {})
	t.Logf("%d readers keep %d bytes", readers, kept)
	if kept > readers*each {
		t.Errorf("%d readers keep %d bytes, more than %d each", readers, kept, each)
	}
}
