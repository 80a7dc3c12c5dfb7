package sqlite_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/sqlite"
	"github.com/burnkey/burnkey/store/storetest"
)

// Versions notices changes by this store, and by another process with the same file.
func TestVersionsNoticeEveryChange(t *testing.T) {
	file := filepath.Join(t.TempDir(), "burnkey.db")
	open := func() *sqlite.Store {
		s, err := sqlite.Open(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	own, other := open(), open()
	create := func(s *sqlite.Store, id string) {
		t.Helper()
		if _, err := s.CreateWorkspace(t.Context(), store.Workspace{ID: id, CreatedAt: time.Now()}, storetest.NewKey(t)); err != nil {
			t.Fatal(err)
		}
	}
	read := func(s *sqlite.Store) map[string]uint64 {
		t.Helper()
		versions := map[string]uint64{}
		if err := s.Versions(t.Context(), func(id string, version uint64, _ jwks.Fingerprint) error {
			versions[id] = version
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return versions
	}
	for i := range 20 {
		by := []*sqlite.Store{own, other}[i%2]
		create(by, fmt.Sprint("w", i))
		if i > 2 {
			if _, err := by.Issue(t.Context(), storetest.NewRecord("w2", "o"), storetest.NewKey(t), nil); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // also if nothing changes in between
			for _, s := range []*sqlite.Store{own, other} {
				if got := read(s); len(got) != i+1 || i > 2 && got["w2"] != uint64(i-1) {
					t.Fatalf("after %d workspaces: %d, w2 at version %d", i+1, len(got), got["w2"])
				}
			}
		}
	}
}
