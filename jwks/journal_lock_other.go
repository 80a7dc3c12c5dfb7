//go:build !(aix || darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package jwks

import "os"

// lockFile has no lock to take here that a crash would free.
func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}
