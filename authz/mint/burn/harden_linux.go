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

// harden keeps other processes and the disk from reading this process's memory, before it contains a secret.
func harden() error {
	if err := undumpable.Set(); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	// confine has set this, too, but executing a file with capabilities resets it.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("end with the server: %w", err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err == nil && limit.Cur == unix.RLIM_INFINITY {
		// This keeps the pages out of swap space. With a lower limit it could fail in the middle of a computation.
		_ = unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT)
	}
	GiveWay(0)
	return nil
}

// GiveWay lowers the priority of a thread (0: this one) and of the threads that it starts below that of all
// other programs. The class SCHED_IDLE would be lower still, but starves on a busy machine. It ignores
// errors, such as those of a sandbox.
func GiveWay(pid int) {
	_ = unix.Setpriority(unix.PRIO_PROCESS, pid, Niceness)
	_ = unix.SchedSetAttr(pid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: Niceness, Runtime: slice}, 0)
}
