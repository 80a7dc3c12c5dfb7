// Package atomicfile writes files that are never seen half-written, whenever power fails.
package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// Write makes or replaces a file that its owner alone can access. When it returns nil, the content
// is on disk; after an error, the file is the old one or the new one.
func Write(path string, content []byte) error {
	folder := filepath.Dir(path)
	temp, err := os.CreateTemp(folder, ".burnkey-*") // 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(content)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return syncFolder(folder)
}

// syncFolder makes the names in a folder durable, where the file system can.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	err = folder.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, folder.Close())
}
