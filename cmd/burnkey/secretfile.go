package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/burnkey/burnkey/gateway"
	"github.com/burnkey/burnkey/jwks"
)

const (
	maxSecretFile = 1 << 20 // bytes

	groupWrites  fs.FileMode = 0o020
	othersRead   fs.FileMode = 0o004
	othersWrite  fs.FileMode = 0o002
	othersAccess fs.FileMode = 0o007
)

var byteOrderMark = []byte("\ufeff")

// readSecret reads a file and removes a byte order mark. It refuses a file that other users can read or write.
// A group can have read access, which pods with an fsGroup need. Errors do not quote the content.
func readSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// The check is only for regular files: other users cannot read from this process's terminal or pipe,
	// whatever its mode.
	if mode := info.Mode(); mode.IsRegular() && mode&(othersAccess|groupWrites) != 0 {
		return nil, fmt.Errorf("%s: mode %04o lets others read or change it; make it 0600, or 0640 for a group to read",
			path, mode.Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err == nil && len(text) > maxSecretFile {
		err = fmt.Errorf("%s: must be at most %d bytes", path, maxSecretFile)
	}
	return bytes.TrimPrefix(text, byteOrderMark), err
}

// readKeyFile returns the management key in a file, ignoring any text around it.
func readKeyFile(flag, file string) (string, error) {
	content, err := readSecret(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	if len(bytes.TrimSpace(content)) == 0 {
		return "", fmt.Errorf("%s: %s is empty", flag, file)
	}
	return readKey(flag, string(content))
}

// readKey returns the management key in a text. A single word that is not a token is returned unchanged, and
// the server refuses it.
func readKey(from, text string) (string, error) {
	token, err := jwks.ReadPasted(text)
	if err == nil {
		return token.Reveal(), nil
	}
	word := strings.TrimSpace(text)
	if strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", fmt.Errorf("%s: holds no management key: %w", from, err)
	}
	return word, nil
}

// makeStateDir creates a gateway's state folder if it is missing. It refuses a folder or files that other users
// can write, since the files determine which tokens are accepted. Write access for a group is allowed, as
// Kubernetes volumes often have it.
func makeStateDir(dir string) error {
	if err := gateway.MakeStateDir(dir); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode()&othersWrite != 0 {
		return writable(dir, info, "make it 0700 if only the gateway uses it, or name a folder inside it, which will be created")
	}
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		file, statErr := entry.Info()
		if statErr == nil && file.Mode().IsRegular() && file.Mode()&othersWrite != 0 {
			return writable(filepath.Join(dir, entry.Name()), file, "chmod o-w it, or remove it if it can't be trusted")
		}
	}
	return err
}

func writable(path string, info fs.FileInfo, advice string) error {
	return fmt.Errorf("%s: mode %04o lets others change it; %s", path, info.Mode().Perm(), advice)
}

// checkDatabaseFile refuses an SQLite database that other users can write, since they could insert keys. It
// only warns if they can read the file or write to its folder: container volumes are often writable for all
// users.
func checkDatabaseFile(path string, log *slog.Logger) error {
	for _, file := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case info.Mode().IsRegular() && info.Mode()&othersWrite != 0:
			return writable(file, info, "chmod o-w it")
		case info.Mode().IsRegular() && info.Mode()&othersRead != 0:
			log.Warn("others can read the database, with owners, names and metadata of keys", "file", file, "mode", info.Mode().Perm())
		}
	}
	folder := filepath.Dir(path)
	if info, err := os.Stat(folder); err == nil && info.Mode()&othersWrite != 0 {
		log.Warn("others can write the database's folder and thus replace the database", "folder", folder, "mode", info.Mode().Perm())
	}
	return nil
}
