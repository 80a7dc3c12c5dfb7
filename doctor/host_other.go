//go:build !linux

package doctor

// lookAtProcesses does nothing on this system.
func (e *exam) lookAtProcesses() {}
