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

	"github.com/burnkey/burnkey/internal/loop"
)

const (
	// busyTimeout is how long a call waits for another process's transaction.
	busyTimeout = 10 * time.Second
	// busyPoll is how long the writer waits inside SQLite at a time. SQLite's own wait can't be cancelled, so
	// retryBusy repeats this short wait up to busyTimeout.
	busyPoll = 100 * time.Millisecond
)

// fullfsync matters only on macOS, where a plain fsync leaves the data in the drive's cache.
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

// readers returns the number of connections that read: more than there are processors, because a connection
// that streams a set can be waiting for its consumer.
func readers() int { return max(4, 2*runtime.GOMAXPROCS(0)) }

// ensureFile creates the file at path, 0600, if it is missing, and returns its absolute path, because
// connections are also opened later, perhaps in another working directory.
func ensureFile(path string) (string, error) {
	if path == "" || path == ":memory:" || strings.ContainsRune(path, 0) {
		return "", errors.New("a file name is required")
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
		// SQLite would treat a file shorter than its smallest page as an empty database.
		return "", errors.New("file is not a database")
	}
	return file, nil
}

// creating serializes calls of createFile: closing a file drops all POSIX locks that this process
// holds on it, including SQLite's.
var creating sync.Mutex

// createFile creates an empty file that only its owner can read, if it does not exist. SQLite syncs the
// directory with the first commit.
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

// dsn returns a data source name with a URI, whose path can contain any character. With mode=rw, SQLite does
// not silently create a deleted file again.
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

// useWAL turns on write-ahead logging. The setting is stored in the file.
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

// retryBusy calls do again while it fails because of another process's lock, until ctx ends or
// busyTimeout has passed.
func retryBusy(ctx context.Context, do func() error) error {
	deadline := time.Now().Add(busyTimeout)
	for {
		err := do()
		if !isCode(err, codes.SQLITE_BUSY) || time.Now().After(deadline) {
			return err
		}
		// Some statements do not wait inside SQLite.
		if loop.Sleep(ctx, 5*time.Millisecond) != nil {
			return ctx.Err()
		}
	}
}

const codeInterrupt = codes.SQLITE_INTERRUPT

// isCode reports whether err is an error of SQLite with this primary result code.
func isCode(err error, code int) bool {
	var e *driver.Error
	return errors.As(err, &e) && e.Code()&0xff == code
}
