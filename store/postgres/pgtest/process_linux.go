package pgtest

import "syscall"

// dieWithParent has the server end, at once and orderly, with the tests' process.
func dieWithParent(as *syscall.SysProcAttr) { as.Pdeathsig = syscall.SIGQUIT }
