package hardened

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/burnkey/burnkey/internal/undumpable"
)

// Harden keeps other processes from reading this process's memory, and keeps the memory off the disk. It must
// be called before the memory contains a secret.
func Harden() error {
	if err := undumpable.Set(); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	// confine has already set this signal, but it is reset if the executed file has capabilities.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("end with the server: %w", err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err == nil && limit.Cur == unix.RLIM_INFINITY {
		// Locked memory is not swapped out. With a finite limit, an allocation could fail during a computation.
		_ = unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT)
	}
	return nil
}
