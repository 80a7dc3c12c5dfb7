//go:build !(aix || darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package jwks

import "os"

// lockFile opens the file without a lock: this system has no locks that end with the process.
func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}
