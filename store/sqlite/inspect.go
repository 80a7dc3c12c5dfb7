package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

// graceIndex is the index that moveLogos creates.
const graceIndex = "keys_in_grace"

// Inspect reports the state of the database at path. It changes nothing.
func Inspect(ctx context.Context, path string) (c store.Condition, err error) {
	defer func() { err = wrap(ctx, fmt.Sprintf("inspect %q", path), err) }()
	switch info, err := os.Stat(path); {
	case err != nil:
		return c, err
	case !info.Mode().IsRegular():
		return c, errors.New("not a regular file")
	}
	db, err := openReadOnly(path)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	provider, err := newProvider(db)
	if err != nil {
		return c, err
	}
	sources := provider.ListSources()
	c.Known = sources[len(sources)-1].Version
	var id int64
	if err := db.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&id); err != nil {
		return c, err
	}
	if id != applicationID {
		return c, errors.New("not a Burnkey database")
	}
	if err := db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version`).Scan(&c.Schema); err != nil {
		return c, err
	}
	if c.Schema >= store.FirstExpandOnly {
		if err := inspectInstallation(ctx, db, path, &c); err != nil {
			return c, err
		}
	}
	if c.Schema == c.Known {
		c.MissingIndexes, err = missingIndexes(ctx, db)
	}
	return c, err
}

func inspectInstallation(ctx context.Context, db *sql.DB, path string, c *store.Condition) error {
	here, err := inode(path)
	if err != nil {
		return err
	}
	var home string
	if err := db.QueryRowContext(ctx, selectHome).Scan(&home); err != nil {
		return err
	}
	c.Moved = home != "" && here != "" && home != here
	return db.QueryRowContext(ctx, selectNeeds).Scan(&c.Needs)
}

// openReadOnly opens a database. If no other process has it open, no further files are created.
func openReadOnly(path string) (*sql.DB, error) {
	file, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	options := url.Values{"mode": {"ro"}, "_pragma": {fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()), "query_only(1)"}}
	if _, err := os.Stat(file + "-wal"); errors.Is(err, fs.ErrNotExist) {
		options.Set("immutable", "1")
	}
	uri := url.URL{Scheme: "file", Path: filepath.ToSlash(file), RawQuery: options.Encode()}
	db, err := sql.Open("sqlite", uri.String())
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

func missingIndexes(ctx context.Context, db *sql.DB) ([]string, error) {
	var names []string
	found, err := db.QueryContext(ctx, `SELECT name FROM sqlite_schema WHERE type = 'index'`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var name string
		if err := found.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	if err := found.Err(); err != nil {
		return nil, err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return rows.MissingIndexes(files, names, graceIndex)
}
