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
	"runtime"
	"strings"
	"sync"
	"time"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

const (
	// busyTimeout is how long a call waits for another process's transaction.
	busyTimeout = 10 * time.Second
	// busyPoll is how long the writer waits inside SQLite at a time. SQLite's own
	// wait can't be cancelled, so begin waits in these steps up to busyTimeout.
	busyPoll = 100 * time.Millisecond
)

// fullfsync matters on macOS alone, where a plain fsync leaves the data in the
// drive's cache.
var (
	writerPragmas = []string{
		fmt.Sprintf("busy_timeout(%d)", busyPoll.Milliseconds()),
		"foreign_keys(1)", "synchronous(full)", "fullfsync(1)", "checkpoint_fullfsync(1)",
		"cache_size(-16384)", "journal_size_limit(67108864)",
	}
	readerPragmas = []string{
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
		"foreign_keys(1)", "synchronous(full)", "fullfsync(1)", "checkpoint_fullfsync(1)",
		"cache_size(-4096)", "query_only(1)",
	}
)

// readers is how many connections read. A reader may wait for whoever consumes
// a streamed set, so there are some more than processors.
func readers() int { return max(4, 2*runtime.GOMAXPROCS(0)) }

// ensureFile creates the file at path, 0600, if nothing is there, and returns its
// absolute name, since connections are opened later, too.
func ensureFile(path string) (string, error) {
	if path == "" || path == ":memory:" || strings.ContainsRune(path, 0) {
		return "", errors.New("the name of a file is needed")
	}
	file, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err := createFile(file); err != nil {
		return "", err
	}
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return "", err
	case info.IsDir():
		return "", errors.New("is a directory")
	case !info.Mode().IsRegular():
		return "", errors.New("is not a regular file")
	case info.Size() > 0 && info.Size() < 512:
		// Shorter than SQLite's shortest page: it would take it for an empty file.
		return "", errors.New("file is not a database")
	}
	return file, nil
}

// creating makes a Store wait until another's createFile has closed its file:
// closing one drops all POSIX locks that this process holds on it, SQLite's too.
var creating sync.Mutex

// createFile makes an empty file that only its owner may read, unless something
// is there. SQLite syncs the directory with the first commit.
func createFile(file string) error {
	creating.Lock()
	defer creating.Unlock()
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// dsn names the file as a URI, in which any character may stand in a path.
// mode=rw: if the file goes away, it is not silently begun anew.
func dsn(file string, pragmas []string) string {
	file = filepath.ToSlash(file)
	if !strings.HasPrefix(file, "/") {
		file = "/" + file // a Windows drive
	}
	options := url.Values{
		"mode":      {"rw"},
		"_txlock":   {"immediate"},
		"_dqs":      {"0"},
		"_error_rc": {"1"},
		"_pragma":   pragmas,
	}
	uri := url.URL{Scheme: "file", Path: file, RawQuery: options.Encode()}
	return uri.String()
}

func openPool(file string, pragmas []string, size int) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn(file, pragmas))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}

// useWAL turns on write-ahead logging, which the file then remembers.
func useWAL(ctx context.Context, db *sql.DB) error {
	return retryBusy(ctx, func() error {
		var mode string
		if err := db.QueryRowContext(ctx, `PRAGMA journal_mode = wal`).Scan(&mode); err != nil {
			return err
		}
		if mode != "wal" {
			return fmt.Errorf("write-ahead logging does not work here: the journal mode stays %q", mode)
		}
		return nil
	})
}

// retryBusy calls do until it does not fail for another process's lock, ctx is
// done or busyTimeout is over.
func retryBusy(ctx context.Context, do func() error) error {
	deadline := time.Now().Add(busyTimeout)
	for {
		err := do()
		if !isCode(err, codes.SQLITE_BUSY) || time.Now().After(deadline) {
			return err
		}
		// Not every statement waits inside SQLite before it gives up.
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

const codeInterrupt = codes.SQLITE_INTERRUPT

// isCode reports whether err is one of SQLite's with this primary result code.
func isCode(err error, code int) bool {
	var e *driver.Error
	return errors.As(err, &e) && e.Code()&0xff == code
}
