package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/storetest"
)

func BenchmarkRetire(b *testing.B) {
	storetest.BenchmarkRetire(b, func(b *testing.B) store.Store { return openBench(b) })
}

func BenchmarkLogo(b *testing.B) {
	storetest.BenchmarkLogo(b, func(b *testing.B) store.Store { return openBench(b) })
}

func BenchmarkIssueRevoke(b *testing.B) {
	storetest.BenchmarkIssueRevoke(b, func(b *testing.B) store.Store { return openBench(b) })
}

func openBench(b *testing.B) *Store {
	b.Helper()
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "burnkey.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}
