// Package undumpable protects this process from other processes of the same user. On Linux they
// can then neither trace it nor open its memory, environment or descriptors, and it leaves no
// core dump (man 2 PR_SET_DUMPABLE, man 5 proc). A child inherits this until it executes a
// program, so it can't be attached to between fork and exec. It does not protect from root and
// from processes with CAP_SYS_PTRACE in the initial user namespace.
//
// It imports nothing that takes long to initialise: see package early.
package undumpable
