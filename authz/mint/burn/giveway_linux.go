package burn

import "golang.org/x/sys/unix"

// A minting process uses a whole core, so its priority is lower than that of the server.
const (
	Niceness = 10     // a tenth of a core if other processes are busy
	slice    = 100000 // ns that it may run after another process has become ready, since Linux 6.12
)

// GiveWay lowers the priority of a thread (0: the current one), and of threads that it starts later, below that
// of all other programs. The class SCHED_IDLE would be lower still, but gets no time on a busy machine. Errors,
// such as those of a sandbox, are ignored.
func GiveWay(pid int) {
	_ = unix.Setpriority(unix.PRIO_PROCESS, pid, Niceness)
	_ = unix.SchedSetAttr(pid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: Niceness, Runtime: slice}, 0)
}
