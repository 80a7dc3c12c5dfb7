package burn

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/burnkey/burnkey/internal/undumpable"
)

// A minting process uses a whole core, so its priority is lower than that of the server.
const (
	Niceness = 10     // a tenth of a core if other processes are busy
	slice    = 100000 // ns that it may run after another process has become ready, since Linux 6.12
)

// harden keeps other processes from reading this process's memory, and keeps the memory off the disk. It must
// be called before the memory contains a secret.
func harden() error {
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
	GiveWay(0)
	return nil
}

// GiveWay lowers the priority of a thread (0: the current one), and of threads that it starts later, below that
// of all other programs. The class SCHED_IDLE would be lower still, but gets no time on a busy machine. Errors,
// such as those of a sandbox, are ignored.
func GiveWay(pid int) {
	_ = unix.Setpriority(unix.PRIO_PROCESS, pid, Niceness)
	_ = unix.SchedSetAttr(pid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: Niceness, Runtime: slice}, 0)
}
