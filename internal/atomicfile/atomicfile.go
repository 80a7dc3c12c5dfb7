// Package atomicfile writes files that have either their old or their new content, even after a power failure.
package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// Write creates or replaces a file that only its owner can access. Once it returns nil, the content is on
// disk. After an error, the file has either its old or its new content.
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

// syncFolder makes renames in a folder survive a power failure, if the file system supports it.
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
