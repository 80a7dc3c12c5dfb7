package mint

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// confine sets what the parent decides about a minting process.
func confine(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL, // never outlives the server
		Setpgid:   true,            // a Ctrl-C is for the server, which drains
	}
}

// sealDescriptors marks everything that is open as not to be inherited. Go does
// so with what it opens; what this process inherited itself may be otherwise.
func sealDescriptors() error {
	if unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) == nil {
		return nil
	}
	return sealEach() // before Linux 5.11, or where a sandbox does not know the call
}

func sealEach() error {
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
