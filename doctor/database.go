package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

func (e *exam) lookAtDatabase(ctx context.Context) {
	target := "database " + e.DatabaseName
	c, err := e.Database(ctx)
	for _, host := range c.Plaintext {
		e.add("plain_database", target, "Connections to "+host+" without TLS are possible.")
	}
	if c.Pooled {
		e.add("pooler_mode", target, "A pooler gives the statements of one session to several connections.")
	}
	if c.Standby {
		e.add("standby", target, "It accepts no writes.")
	}
	if len(c.Unsafe) > 0 {
		e.add("unsafe_database", target, "These settings are off: "+strings.Join(c.Unsafe, ", ")+".")
	}
	if c.LaxCommits {
		e.add("lax_commits", target, "synchronous_commit is off by default.")
	}
	e.reportClock(target, c.Ahead)
	if err != nil {
		e.add("unreachable", target, "It can't be examined: "+err.Error()+".")
		return
	}
	if c.Moved {
		e.add("database_copied", target, "A server last used it somewhere else.")
	}
	switch {
	case c.Schema > c.Known && (c.Needs == 0 || c.Needs > c.Known):
		e.add("schema_newer", target, fmt.Sprintf("Its schema has version %d, and this program knows %d.", c.Schema, c.Known))
	case c.Schema < c.Known:
		e.add("schema_older", target, fmt.Sprintf("Its schema has version %d, and this program needs %d.", c.Schema, c.Known))
	case len(c.MissingIndexes) > 0:
		e.add("missing_index", target, "Indexes are missing or unusable: "+strings.Join(c.MissingIndexes, ", ")+".")
	}
}

const (
	othersWrite fs.FileMode = 0o002
	othersRead  fs.FileMode = 0o004
	groupWrites fs.FileMode = 0o020
)

// lookAtFiles examines the modes of files and folders that decide which tokens are accepted, or hold secrets.
func (e *exam) lookAtFiles(context.Context) {
	for _, file := range e.KeyFiles {
		e.checkMode(Error, file, othersRead|othersWrite|groupWrites, "others read or change the key")
	}
	for _, dir := range e.StateDirs {
		e.checkMode(Error, dir, othersWrite, "others change which tokens are accepted")
		entries, _ := os.ReadDir(dir) // a missing folder was reported
		for _, entry := range entries {
			if entry.Type().IsRegular() {
				e.checkMode(Error, filepath.Join(dir, entry.Name()), othersWrite, "others change which tokens are accepted")
			}
		}
	}
	if e.SQLite == "" {
		return
	}
	for _, file := range []string{e.SQLite, e.SQLite + "-wal", e.SQLite + "-shm"} {
		if _, err := os.Stat(file); err != nil {
			continue // the database itself was reported
		}
		if !e.checkMode(Error, file, othersWrite, "others insert keys") {
			e.checkMode(Warning, file, othersRead, "others read owners, names and metadata of keys")
		}
	}
	if info, err := os.Stat(filepath.Dir(e.SQLite)); err == nil && info.Mode()&fs.ModeSticky == 0 {
		e.checkMode(Warning, filepath.Dir(e.SQLite), othersWrite, "others replace the database")
	}
}

// checkMode adds a finding if the mode of a file has any of these bits, or cannot be read. It returns whether it did.
func (e *exam) checkMode(severity Severity, path string, bits fs.FileMode, lets string) bool {
	info, err := os.Stat(path)
	if err != nil {
		e.add("unreachable", "file "+path, "Its mode can't be read: "+err.Error()+".")
		return true
	}
	if info.Mode()&bits == 0 || info.Mode()&(fs.ModeNamedPipe|fs.ModeCharDevice) != 0 {
		return false
	}
	e.addAs(severity, "file_mode", "file "+path, fmt.Sprintf("Mode %04o lets %s.", info.Mode().Perm(), lets))
	return true
}
