package confined

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/burnkey/burnkey/internal/hardened"
)

// self is the running binary, even after an upgrade has replaced its file.
const self = "/proc/self/exe"

// Binary returns the path of the file that child processes execute: a copy of the running binary, in memory,
// with permission to execute but not to read it. The kernel makes a process of an unreadable file undumpable
// from its first instruction; before that, between fork and exec, the process inherits this from its parent
// (package undumpable). If instead the process made itself undumpable, another process of the same user could
// open its memory just before, and continue to read it. (Root can read every file, so this does not protect
// against root.) If no copy can be made or executed, for example because the binary itself is unreadable, the
// path of the binary is returned.
//
// The path is valid only in child processes. The copy lasts as long as this process, even if the binary is
// upgraded. To check that the copy runs, Binary runs it once with the subcommand, which can be that of any child process.
func Binary(subcommand string) string {
	once.Do(func() {
		copied, err := unreadable()
		if path = copied; err != nil || !executes(copied, subcommand) {
			path = self
		}
	})
	return path
}

var (
	once sync.Once
	path string
)

func unreadable() (path string, err error) {
	source, err := os.Open(self)
	if err != nil {
		return "", err
	}
	defer func() { _ = source.Close() }()
	fd, err := unix.MemfdCreate("burnkey", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3, where each may be executed
		fd, err = unix.MemfdCreate("burnkey", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return "", err
	}
	target = os.NewFile(uintptr(fd), "burnkey")
	if _, err := io.Copy(target, source); err != nil {
		return "", err
	}
	const seals = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return "", err
	}
	return fmt.Sprintf("/proc/self/fd/%d", fd), target.Chmod(0o111)
}

// target is the open file of the copy. The variable keeps the garbage collector from closing it.
var target *os.File

// executes reports whether this process can execute the file with the subcommand, which exits with
// hardened.StatusRefused if it gets no request.
func executes(path, subcommand string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, subcommand)
	cmd.Env = []string{}
	var exit *exec.ExitError
	return errors.As(cmd.Run(), &exit) && exit.ExitCode() == hardened.StatusRefused
}
