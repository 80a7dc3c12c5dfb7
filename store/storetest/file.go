package storetest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/burnkey/burnkey/store"
)

// Files returns a function that creates a file of an empty database and returns its path. The function calls open once, and all files
// are copies of what open creates: the migrations of each would take longer than most tests.
func Files(open func(ctx context.Context, path string) (store.Store, error)) func(testing.TB) string {
	content := sync.OnceValues(func() ([]byte, error) { return migrated(open) })
	return func(t testing.TB) string {
		t.Helper()
		empty, err := content()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "burnkey.db")
		if err := os.WriteFile(path, empty, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
}

func migrated(open func(ctx context.Context, path string) (store.Store, error)) (content []byte, err error) {
	dir, err := os.MkdirTemp("", "burnkey-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // nothing depends on it
	path := filepath.Join(dir, "burnkey.db")
	s, err := open(context.Background(), path)
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}
