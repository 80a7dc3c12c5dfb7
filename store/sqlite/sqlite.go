// Package sqlite keeps Burnkey's data in one SQLite file, the embedded default.
//
// The database is in WAL mode with synchronous=FULL: a commit is on the disk
// before it is acknowledged. One connection writes, a few others read, and
// neither waits for the other. Several processes may use one file on a local
// disk; a network file system won't do.
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
	writer *sql.DB // a single connection: SQLite has one writer at a time
	reader *sql.DB
	gate   *store.Gate // by caller, before the writer: other callers' writes come in between
	writes statements
	reads  statements
}

var _ store.Store = (*Store)(nil)

// Open opens the database at path and brings its schema up to date. A file that
// is not there is created, readable by its owner alone. It is an error if the
// path is not a file, the file not a database, the database not Burnkey's or its
// schema newer than this program; it is then left as it was. ":memory:" is
// refused, since nothing in it would be durable.
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
	s := &Store{gate: store.NewGate(0)}
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

// setUp makes the file a Burnkey database of the newest schema, in WAL mode.
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

// Close closes all connections; those in use are closed by the calls that use
// them. Closing twice is no error.
func (s *Store) Close() error {
	s.reads.close()
	s.writes.close()
	var errs []error
	// The writer is the last, since only it may move the WAL into the file.
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

// wrap says what was being done. Where the end of a context ended the
// transaction under us, that is the error to tell.
func wrap(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if cause := ctx.Err(); cause != nil && (errors.Is(err, sql.ErrTxDone) || isCode(err, codeInterrupt)) {
		err = cause
	}
	return fmt.Errorf("sqlite: %s: %w", doing, err)
}
