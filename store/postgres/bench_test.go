package postgres

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/postgres/pgtest"
	"github.com/burnkey/burnkey/store/storetest"
)

// BenchmarkIssue measures eight writers that issue keys in one workspace or in eight. Commits to one workspace
// happen one after another; commits to several workspaces share syncs of the disk.
func BenchmarkIssue(b *testing.B) {
	server := pgtest.Start(b, map[string]string{"fsync": "on"})
	const writers = 8
	for _, workspaces := range []int{1, writers} {
		b.Run(fmt.Sprintf("workspaces=%d", workspaces), func(b *testing.B) {
			s, err := Open(b.Context(), server.Database(b), nil)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			for i := range workspaces {
				w := store.Workspace{ID: fmt.Sprint(i), CreatedAt: time.Now()}
				if _, err := s.CreateWorkspace(b.Context(), w, storetest.NewKey(b)); err != nil {
					b.Fatal(err)
				}
			}
			var (
				left atomic.Int64
				wg   sync.WaitGroup
			)
			left.Store(int64(b.N))
			b.ResetTimer()
			for i := range writers {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						k := storetest.NewRecord(fmt.Sprint(i%workspaces), "o")
						if _, err := s.Issue(b.Context(), k, storetest.NewKey(b), nil); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "issues/s")
		})
	}
}

// BenchmarkPublished measures reads of a whole published set.
func BenchmarkPublished(b *testing.B) {
	server := pgtest.Start(b, nil)
	url := server.Database(b)
	s, err := Open(b.Context(), url, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const size = 20000
	w := store.Workspace{ID: "acme", CreatedAt: time.Now()}
	if _, err := s.CreateWorkspace(b.Context(), w, storetest.NewKey(b)); err != nil {
		b.Fatal(err)
	}
	var rows [][]any
	for range size {
		key := storetest.NewKey(b)
		kid := key.KID()
		rows = append(rows, []any{"acme", kid[:], key.Modulus()})
	}
	if _, err := s.pool.CopyFrom(b.Context(), []string{"jwks"}, []string{"workspace", "kid", "n"}, pgx.CopyFromRows(rows)); err != nil {
		b.Fatal(err)
	}
	server.Exec(b, url, "ANALYZE")
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		if _, _, err := s.Published(b.Context(), "acme", func(jwks.Key, jwks.Attributes) error { n++; return nil }); err != nil || n != size+1 {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "keys/s")
}

func BenchmarkRetire(b *testing.B) {
	server := pgtest.Start(b, map[string]string{"fsync": "on"})
	storetest.BenchmarkRetire(b, func(b *testing.B) store.Store { return openBench(b, server.Database(b)) })
}

func BenchmarkLogo(b *testing.B) {
	server := pgtest.Start(b, map[string]string{"fsync": "on"})
	storetest.BenchmarkLogo(b, func(b *testing.B) store.Store { return openBench(b, server.Database(b)) })
}

func BenchmarkIssueRevoke(b *testing.B) {
	server := pgtest.Start(b, map[string]string{"fsync": "on"})
	storetest.BenchmarkIssueRevoke(b, func(b *testing.B) store.Store { return openBench(b, server.Database(b)) })
}

func openBench(b *testing.B, url string) *Store {
	b.Helper()
	s, err := Open(b.Context(), url, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}
