package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/atomicfile"
	"github.com/burnkey/burnkey/jwks"
)

// bootstrap issues the first admin key of an empty database. It writes the token to the file before it stores
// the key, so that a crash cannot lose the token.
func (s *server) bootstrap(ctx context.Context, service *authz.Service, log *slog.Logger) error {
	undo := func() error { return nil }
	where, old := s.adminKeyFile, ""
	made, err := service.Bootstrap(ctx, func(token jwks.Token) (err error) {
		if s.adminKeyFile != "" {
			undo, old, err = writeSecret(s.adminKeyFile, token.Reveal()+"\n")
			return err
		}
		where = "standard output, this once"
		undo = func() error { return errors.New("the printed key is not valid") }
		_, err = fmt.Fprintln(s.stdout, token.Reveal())
		return err
	})
	switch {
	case err != nil:
		// The file stays, since the key may have been stored despite the error.
		return fmt.Errorf("first admin key: %w", err)
	case made:
		log.Info("new database: the first admin key was issued", "database", databaseName(s.database), "written_to", where)
		if old != "" {
			log.Warn("the former admin key file, perhaps of another database, was renamed", "file", old)
		}
		return nil
	}
	if err := undo(); err != nil {
		return fmt.Errorf("another server has just issued the first admin key: %w", err)
	}
	if _, err := os.Lstat(s.adminKeyFile); s.adminKeyFile != "" && errors.Is(err, fs.ErrNotExist) {
		log.Warn("no admin key was written, since the database already has keys; `burnkey admin issue` issues one", "file", s.adminKeyFile)
	}
	return nil
}

// writeSecret writes a file that only its owner can read, either completely or not at all. An existing file is
// renamed, since it may contain the key of another database; old is its new name. undo restores the previous
// state.
func writeSecret(path, content string) (undo func() error, old string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("--admin-key-file %s: %w", path, err)
		}
	}()
	restore := func() error { return os.Remove(path) }
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, "", err
	case !info.Mode().IsRegular():
		return nil, "", errors.New("must be a regular file")
	default:
		if old, err = renameOld(path); err != nil {
			return nil, "", err
		}
		restore = func() error { return os.Rename(old, path) }
	}
	undo = func() error {
		if have, err := os.ReadFile(path); err != nil || string(have) != content {
			return err // another server has written its own meanwhile
		}
		return restore()
	}
	return undo, old, atomicfile.Write(path, []byte(content))
}

// renameOld gives a file an additional, unused name.
func renameOld(path string) (string, error) {
	old := path + ".old"
	for n := 2; ; n++ {
		err := os.Link(path, old)
		if !errors.Is(err, fs.ErrExist) {
			return old, err
		}
		old = fmt.Sprintf("%s.old%d", path, n)
	}
}
