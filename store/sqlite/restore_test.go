package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/storetest"
)

func TestMigrationsOnlyExpand(t *testing.T) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	storetest.ExpandOnly(t, files)
}

func TestALaterSchemaThatOnlyExpands(t *testing.T) {
	path := filepath.Join(t.TempDir(), "burnkey.db")
	open := func(ctx context.Context) (store.Store, error) { return Open(ctx, path) }
	storetest.LaterSchema(t, open, func(query string) {
		execute(t, path, query+`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)`)
	})
	if c, err := Inspect(t.Context(), path); err != nil || c.Schema != 99999 || c.Needs > c.Known || c.Needs == 0 {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestACopyOfTheFileIsNoticed(t *testing.T) {
	dir := t.TempDir()
	path, copied := filepath.Join(dir, "burnkey.db"), filepath.Join(dir, "copy.db")
	s := openTest(t, path)
	for range 2 {
		if err := s.Settle(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	execute(t, path, `VACUUM INTO '`+copied+`'`)
	moved := func(path string) bool {
		t.Helper()
		c, err := Inspect(t.Context(), path)
		if err != nil {
			t.Error(err)
		}
		return c.Moved
	}
	c := openTest(t, copied)
	if err := c.Settle(t.Context(), false); !errors.Is(err, store.ErrMoved) || !moved(copied) || moved(path) {
		t.Errorf("the copy: %v", err)
	}
	if err := c.Settle(t.Context(), true); err != nil || moved(copied) {
		t.Errorf("the copy that is accepted: %v", err)
	}
	if err := c.Settle(t.Context(), false); err != nil {
		t.Errorf("later: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	renamed := filepath.Join(dir, "renamed.db")
	if err := os.Rename(copied, renamed); err != nil {
		t.Fatal(err)
	}
	if err := openTest(t, renamed).Settle(t.Context(), false); err != nil {
		t.Errorf("a renamed file: %v", err)
	}
}
