package mint

import (
	"context"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/burnkey/burnkey/authz/mint/burn"
	"github.com/burnkey/burnkey/internal/confined"
)

// Before Harden has run, a minting process is protected only by its unreadable file, so this test uses a
// process that does not harden itself. Files below /proc of a process that is not dumpable belong to root: no
// other process of the user can open them.
func TestNotDumpableFromTheFirst(t *testing.T) {
	if confined.Binary(burn.Subcommand) == self {
		t.Fatal("no copy that can be executed and not read: minting processes run the file itself")
	}
	const nobody = 65534
	user := os.Getuid()
	of := func(path string) uint32 {
		cmd, _ := waiting(t, func(ctx context.Context) *exec.Cmd {
			cmd := exec.CommandContext(ctx, path)
			cmd.Args[0] = "idle"
			if user == 0 { // whom no file mode keeps out
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			}
			return cmd
		}, io.Discard)
		info, err := os.Stat("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/mem")
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t).Uid
	}
	if user == 0 {
		user = nobody
	}
	if got := of(confined.Binary(burn.Subcommand)); got != 0 {
		t.Errorf("its memory is user %d's to open", got)
	}
	if got := of(self); got != uint32(user) {
		t.Errorf("that of any process is user %d's, not %d's: this shows nothing", got, user)
	}
}
