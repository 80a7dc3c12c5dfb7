// Package hardened protects the memory of a process that holds private keys. Package confined starts such processes.
// It imports as little as possible, since they begin their work before most packages are initialised.
package hardened

// Exit statuses of a process that holds private keys.
const (
	StatusUnhardened = 3 // hardening failed, so no key was made
	StatusRefused    = 4 // the request was invalid or missing, or its work failed
)
