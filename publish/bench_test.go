package publish

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/burnkey/burnkey/jwks"
)

// benchSizes are numbers of keys, up to the largest published set in one gateway.
var benchSizes = []int{1_000, 100_000, 1_138_688}

// seedOf makes a key from a number, so that benchmarks can sort and look up a million keys without storing
// them.
func seedOf(i uint64) jwks.Key {
	n := randomModulus(rand.NewPCG(i, 1))
	key, err := jwks.FromModulus(n[:])
	if err != nil {
		panic(err)
	}
	return key
}

var benchSets sync.Map // int → *Set: one for all benchmarks and all their rounds

func benchSet(b *testing.B, count int) *Set {
	b.Helper()
	if set, ok := benchSets.Load(count); ok {
		return set.(*Set)
	}
	set := buildBench(b, count)
	benchSets.Store(count, set)
	return set
}

func buildBench(b *testing.B, count int) *Set {
	b.Helper()
	type place struct {
		kid  jwks.KID
		seed uint64
	}
	order := make([]place, count)
	for i := range order {
		order[i] = place{kidOf(seedOf(uint64(i))), uint64(i)}
	}
	slices.SortFunc(order, func(a, b place) int { return bytes.Compare(a.kid[:], b.kid[:]) })
	var builder Builder
	for _, p := range order {
		if err := builder.Add(seedOf(p.seed), jwks.Attributes{}); err != nil {
			b.Fatal(err)
		}
	}
	set, err := builder.Set(0)
	if err != nil {
		b.Fatal(err)
	}
	return set
}

func atEachSize(b *testing.B, run func(b *testing.B, set *Set)) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprint("keys=", size), func(b *testing.B) {
			if testing.Short() && size > 100_000 {
				b.Skip("long")
			}
			set := benchSet(b, size)
			runtime.GC()
			b.ReportAllocs()
			b.ResetTimer()
			run(b, set)
		})
	}
}

// BenchmarkApply adds one key and removes another, as a rotation does, all over the set: with a million
// keys, most of the memory that it reads is not in a cache.
func BenchmarkApply(b *testing.B) {
	atEachSize(b, func(b *testing.B, set *Set) {
		b.StopTimer()
		in, out := make([]jwks.Key, min(set.Len()/2, 8192)), make([]jwks.Key, min(set.Len()/2, 8192))
		for i := range in {
			in[i], out[i] = seedOf(uint64(i)), seedOf(uint64(set.Len()+i))
		}
		index := NewIndex(set)
		runtime.GC()
		b.StartTimer()
		for i := range b.N {
			at := i % len(in)
			change := jwks.Change{Version: uint64(i) + 1, Add: out[at : at+1], Remove: []jwks.KID{in[at].KID()}}
			if err := index.Apply(change); err != nil {
				b.Fatal(err)
			}
			in[at], out[at] = out[at], in[at]
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	atEachSize(b, func(b *testing.B, set *Set) {
		b.StopTimer()
		kids := make([]jwks.KID, min(set.Len(), 8192))
		for i := range kids {
			kids[i] = kidOf(seedOf(uint64(i)))
		}
		b.StartTimer()
		for i := range b.N {
			if _, ok := set.Lookup(kids[i%len(kids)]); !ok {
				b.Fatal("a key is missing")
			}
		}
	})
}

// BenchmarkMemory measures the memory that a set uses before and after a request with gzip.
func BenchmarkMemory(b *testing.B) {
	heap := func() float64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.GC() // the first only marks the content of pools
		runtime.ReadMemStats(&stats)
		return float64(stats.HeapAlloc)
	}
	for _, size := range benchSizes {
		b.Run(fmt.Sprint("keys=", size), func(b *testing.B) {
			if testing.Short() && size > 100_000 {
				b.Skip("long")
			}
			benchSets.Delete(size)
			for range b.N {
				before := heap()
				set := buildBench(b, size)
				plain := heap()
				zipped := new(discard)
				if err := set.WriteGzip(zipped); err != nil {
					b.Fatal(err)
				}
				both := heap()
				b.ReportMetric((plain-before)/float64(size), "B/key")
				b.ReportMetric((both-before)/float64(size), "B/key+gzip")
				b.ReportMetric(float64(zipped.n)/float64(size), "gzip-B/key")
				runtime.KeepAlive(set)
			}
		})
	}
}

// BenchmarkServe is one request without the network.
func BenchmarkServe(b *testing.B) {
	set := benchSet(b, 8192)
	handler := handlerOf(set)
	for _, test := range []struct{ name, target, match, accept string }{
		{"set", "/", "", ""},
		{"gzip", "/", "", "gzip"},
		{"304", "/", jwks.ETag(set.Version(), set.Fingerprint()), ""},
		{"kid", "/?kid=" + kidOf(seedOf(1)).String(), "", ""},
		{"404", "/?kid=" + jwks.KID{}.String(), "", ""},
	} {
		b.Run(test.name, func(b *testing.B) {
			r := httptest.NewRequest("GET", test.target, nil)
			r.Header.Set("If-None-Match", test.match)
			r.Header.Set("Accept-Encoding", test.accept)
			w := &discard{head: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.head)
				w.n = 0
				handler.ServeHTTP(w, r)
			}
		})
	}
}

// BenchmarkBuild builds a set from its plain form.
func BenchmarkBuild(b *testing.B) {
	atEachSize(b, func(b *testing.B, set *Set) {
		text := plainBytes(b, set)
		b.ResetTimer()
		for b.Loop() {
			var builder Builder
			if err := jwks.ReadSet(bytes.NewReader(text), plain(&builder)); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(set.Len())*float64(b.N)/b.Elapsed().Seconds(), "keys/s")
	})
}
