package pgtest

import "syscall"

// dieWithParent makes the kernel end the server at once when the tests' process dies.
func dieWithParent(as *syscall.SysProcAttr) { as.Pdeathsig = syscall.SIGQUIT }
