//go:build unix

package sqlite

import (
	"os"
	"strconv"
	"syscall"
)

// inode returns the number of a file within its file system. The number of the device is left out: it can change
// whenever the machine starts.
func inode(file string) (string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", nil
	}
	return "inode " + strconv.FormatUint(uint64(stat.Ino), 10), nil
}
