package undumpable

import (
	"fmt"
	"syscall"
)

// Set shuts this process off. What it already started keeps what it has, and what it
// starts from now on inherits the core limit (0) but not the rest, which ends with exec.
func Set() error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, 0, 0); errno != 0 {
		return fmt.Errorf("set PR_SET_DUMPABLE to 0: %w", errno)
	}
	// This would not do alone: where a program gets the dump, the kernel ignores the limit
	// (man 5 core).
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("set RLIMIT_CORE to 0: %w", err)
	}
	return nil
}
