package undumpable

import (
	"fmt"
	"syscall"
)

// Set makes this process undumpable. It does not affect child processes that already exist. After exec,
// later children keep only the core limit of 0.
func Set() error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, 0, 0); errno != 0 {
		return fmt.Errorf("set PR_SET_DUMPABLE to 0: %w", errno)
	}
	// The limit alone does not suffice: the kernel ignores it if core dumps are piped to a
	// program (man 5 core).
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("set RLIMIT_CORE to 0: %w", err)
	}
	return nil
}
