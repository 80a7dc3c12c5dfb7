// Package undumpable keeps other processes of the same user out of this one. On Linux
// they can then neither trace it nor open its memory, environment or descriptors, and it
// leaves no core dump (man 2 PR_SET_DUMPABLE, man 5 proc). A child shares this until it
// executes a program, so that none can be caught between fork and exec. root, and whoever
// has CAP_SYS_PTRACE over the whole machine, is kept from nothing.
//
// It imports nothing that takes time to initialise: see package early.
package undumpable
