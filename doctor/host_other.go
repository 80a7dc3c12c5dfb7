//go:build !linux

package doctor

import "context"

// lookAtProcesses does nothing on this system.
func (e *exam) lookAtProcesses(context.Context) {}
