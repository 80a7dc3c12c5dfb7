package burn

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/burnkey/burnkey/internal/undumpable"
)

// A minting process can take whole cores, and gives way to the server, which is waited for by everybody else.
const (
	Niceness = 10     // a tenth of a core where others want all of it
	slice    = 100000 // ns that it goes on for when another wakes up, where Linux is 6.12 or later
)

// harden shuts the ways by which another process or the disk could get at this
// one's memory, before there is anything in it to get at.
func harden() error {
	if err := undumpable.Set(); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	// As confine asked for already; executing a file with capabilities undoes that.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("end with the server: %w", err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err == nil && limit.Cur == unix.RLIM_INFINITY {
		// Keeps the pages off the swap. Where the limit is lower, locking would
		// fail half-way through a computation, so it is not tried.
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
