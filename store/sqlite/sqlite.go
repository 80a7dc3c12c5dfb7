// Package sqlite stores Burnkey's data in one SQLite file. It is the default backend.
//
// The database is in WAL mode with synchronous=FULL: a commit is on the disk before it is acknowledged. One
// connection writes, a few others read, and reads and writes do not wait for one another. Several processes may
// use one file on a local disk, but not on a network file system.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/burnkey/burnkey/store"
)

// Store is a store.Store in a file. It is safe for concurrent use.
type Store struct {
	file   string
	writer *sql.DB // a single connection: SQLite has one writer at a time
	reader *sql.DB
	gate   *store.Gate // by caller, before the writer: one caller does not delay all others
	writes statements
	reads  statements

	versions versions
}

var _ store.Store = (*Store)(nil)

// Open opens the database at path and brings its schema up to date. A missing file is created,
// readable only by its owner. Open fails, and changes nothing, if the path is not a regular file, the
// file is not a Burnkey database, or its schema is newer than this program. ":memory:" is refused,
// because nothing in it would be durable.
func Open(ctx context.Context, path string) (*Store, error) {
	s, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open %q: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string) (_ *Store, err error) {
	file, err := ensureFile(path)
	if err != nil {
		return nil, err
	}
	s := &Store{file: file, gate: store.NewGate(0)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.writer, err = openPool(file, writerPragmas, 1); err != nil {
		return nil, err
	}
	if err = setUp(ctx, s.writer); err != nil {
		return nil, err
	}
	if s.reader, err = openPool(file, readerPragmas, readers()); err != nil {
		return nil, err
	}
	if s.writes, err = prepare(ctx, s.writer, writeQueries); err != nil {
		return nil, err
	}
	s.reads, err = prepare(ctx, s.reader, readQueries)
	return s, err
}

// setUp makes the file a Burnkey database with the latest schema, in WAL mode.
func setUp(ctx context.Context, db *sql.DB) error {
	if err := claim(ctx, db); err != nil {
		return err
	}
	if err := useWAL(ctx, db); err != nil {
		return err
	}
	return migrate(ctx, db)
}

// Ping reads from the database.
func (s *Store) Ping(ctx context.Context) error {
	var n int
	err := s.reads.row(ctx, s.reader, `SELECT count(*) FROM (SELECT 1 FROM workspaces LIMIT 1)`).Scan(&n)
	return wrap(ctx, "ping", err)
}

// Close closes all connections, after the calls that use them. Closing twice is not an error.
func (s *Store) Close() error {
	s.versions.close()
	s.reads.close()
	s.writes.close()
	var errs []error
	// The writer is closed last, because only the writer can move the WAL into the database file.
	for _, db := range []*sql.DB{s.reader, s.writer} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("sqlite: close: %w", err)
	}
	return nil
}

// wrap adds to an error what the store was doing. If a transaction ended because the context ended, wrap
// returns the context's error.
func wrap(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if cause := ctx.Err(); cause != nil && (errors.Is(err, sql.ErrTxDone) || isCode(err, codeInterrupt)) {
		err = cause
	}
	return fmt.Errorf("sqlite: %s: %w", doing, err)
}
