// Package confined starts child processes that hold private keys. They run this process's binary, see nothing of its
// environment and open files, and end with it. Package hardened is the other half, inside of such a process.
package confined

import (
	"context"
	"os/exec"
)

// Command returns the command of a child process that runs this binary with the one argument `subcommand`. It is killed
// when the context ends. The thread that starts it must not end before: the kernel would kill the process.
func Command(ctx context.Context, binary, subcommand string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, subcommand)
	cmd.Env = []string{} // nil would mean this process's environment
	cmd.Dir = "/"
	confine(cmd)
	return cmd
}
