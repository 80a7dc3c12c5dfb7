package doctor

import "context"

// lookAtHost examines the processes of burnkey on this machine.
func (e *exam) lookAtHost(ctx context.Context) {
	for _, text := range e.Variables {
		e.add("variable", "environment", text+".")
	}
	e.lookAtProcesses(ctx)
}
