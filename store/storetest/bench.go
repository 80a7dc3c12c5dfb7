package storetest

import (
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// BenchmarkRetire retires ten thousand due keys, one or many per version. Each run opens a new store.
func BenchmarkRetire(b *testing.B, open func(b *testing.B) store.Store) {
	const keys, issuers = 10_000, 8
	for _, atOnce := range []int{1, 500} {
		b.Run(fmt.Sprintf("keys=%d/at_once=%d", keys, atOnce), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				s := open(b)
				if _, err := s.CreateWorkspace(b.Context(), store.Workspace{ID: "acme", CreatedAt: now}, NewKey(b)); err != nil {
					b.Fatal(err)
				}
				var wg sync.WaitGroup
				for range issuers {
					wg.Go(func() {
						for range keys / issuers {
							if _, err := s.Issue(b.Context(), NewRecord("acme", "o"), NewKey(b), nil); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.StartTimer()
				if n := retireAll(b, s, atOnce); n != keys {
					b.Fatalf("%d keys were retired", n)
				}
			}
		})
	}
}

func retireAll(b *testing.B, s store.Store, atOnce int) (n int) {
	at := now.Add(time.Hour)
	for {
		due, err := s.Due(b.Context(), store.DuePlace{}, at, 500)
		if err != nil || len(due) == 0 {
			return n
		}
		for len(due) > 0 {
			var ids []uuid.UUID
			for _, k := range due[:min(atOnce, len(due))] {
				ids = append(ids, k.ID)
			}
			due = due[len(ids):]
			retired, err := s.Retire(b.Context(), "acme", ids, at)
			if err != nil {
				b.Fatal(err)
			}
			n += len(retired)
		}
	}
}

// BenchmarkLogo issues keys in a workspace without a logo and in one with the longest logo.
func BenchmarkLogo(b *testing.B, open func(b *testing.B) store.Store) {
	for _, size := range []int{0, 64 << 10} {
		b.Run(fmt.Sprintf("logo=%d", size), func(b *testing.B) {
			s := open(b)
			w := store.Workspace{ID: "acme", CreatedAt: now}
			w.Portal.Logo = make([]byte, size)
			_, _ = rand.Read(w.Portal.Logo) // never fails
			if _, err := s.CreateWorkspace(b.Context(), w, NewKey(b)); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Workspace(b.Context(), "acme"); err != nil {
					b.Fatal(err)
				}
				if _, err := s.Issue(b.Context(), NewRecord("acme", "o"), NewKey(b), nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkIssueRevoke(b *testing.B, open func(b *testing.B) store.Store) {
	s := open(b)
	if _, err := s.CreateWorkspace(b.Context(), store.Workspace{ID: "acme", CreatedAt: now}, NewKey(b)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		k, err := s.Issue(b.Context(), NewRecord("acme", "o"), NewKey(b), nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Revoke(b.Context(), "acme", k.ID, now); err != nil {
			b.Fatal(err)
		}
	}
}
