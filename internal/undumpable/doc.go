// Package undumpable protects this process from other processes of the same user. On Linux, other processes
// can then neither trace it nor open its memory, environment or descriptors, and it leaves no core dump
// (man 2 PR_SET_DUMPABLE, man 5 proc). A child process is protected until it executes a program, so no
// process can attach to it between fork and exec. Root and processes with CAP_SYS_PTRACE in the initial
// user namespace keep their access.
//
// The package imports nothing that takes long to initialise: see package early.
package undumpable
