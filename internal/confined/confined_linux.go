package confined

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// confine sets the process attributes of a child process.
func confine(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL, // never outlives the server
		Setpgid:   true,            // Ctrl-C only reaches the server, which drains
	}
}

// Seal marks all open files as close-on-exec. Go itself does not do so for inherited files.
func Seal() error {
	if unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) == nil {
		return nil
	}
	return SealEach() // before Linux 5.11, or in a sandbox that does not know the call
}

// SealEach does the same as Seal, one file at a time.
func SealEach() error {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, entry := range open {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}
