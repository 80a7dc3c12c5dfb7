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

// bootstrap hands out the first admin key of an empty database. The token is
// handed out before the key comes to be, so that no crash can lose it.
func (s *server) bootstrap(ctx context.Context, service *authz.Service, log *slog.Logger) error {
	undo := func() error { return nil }
	where, kept := s.adminKeyFile, ""
	made, err := service.Bootstrap(ctx, func(token jwks.Token) (err error) {
		if s.adminKeyFile != "" {
			undo, kept, err = writeSecret(s.adminKeyFile, token.Reveal()+"\n")
			return err
		}
		where = "standard output, this once"
		undo = func() error { return errors.New("the key that was printed is void") }
		_, err = fmt.Fprintln(s.stdout, token.Reveal())
		return err
	})
	switch {
	case err != nil:
		// What was handed out stays: the database may have the key all the same.
		return fmt.Errorf("first admin key: %w", err)
	case made:
		log.Info("a new database: the first admin key was made", "database", databaseName(s.database), "written_to", where)
		if kept != "" {
			log.Warn("there was an admin key already, perhaps another database's: it was kept", "file", kept)
		}
		return nil
	}
	if err := undo(); err != nil {
		return fmt.Errorf("another server was quicker to make the first admin key: %w", err)
	}
	if _, err := os.Lstat(s.adminKeyFile); s.adminKeyFile != "" && errors.Is(err, fs.ErrNotExist) {
		log.Warn("the database has keys already: no admin key was written; `burnkey admin issue` makes one", "file", s.adminKeyFile)
	}
	return nil
}

// writeSecret makes a file that its owner alone can read, whole or not at all,
// and returns how to take it back. What was there is kept beside it, since it may
// be another database's key; what is there and is no file is refused.
func writeSecret(path, content string) (undo func() error, kept string, err error) {
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
		return nil, "", errors.New("what is there is not a regular file")
	default:
		if kept, err = keepOld(path); err != nil {
			return nil, "", err
		}
		restore = func() error { return os.Rename(kept, path) }
	}
	undo = func() error {
		if have, err := os.ReadFile(path); err != nil || string(have) != content {
			return err // another has written his since
		}
		return restore()
	}
	return undo, kept, atomicfile.Write(path, []byte(content))
}

// keepOld gives a file a second name, which none has yet.
func keepOld(path string) (string, error) {
	old := path + ".old"
	for n := 2; ; n++ {
		err := os.Link(path, old)
		if !errors.Is(err, fs.ErrExist) {
			return old, err
		}
		old = fmt.Sprintf("%s.old%d", path, n)
	}
}
