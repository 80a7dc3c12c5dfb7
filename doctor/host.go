package doctor

import (
	"context"
	"strings"
)

// lookAtHost examines the environment, and the processes of burnkey on this machine.
func (e *exam) lookAtHost(ctx context.Context) {
	e.lookAtVariables()
	e.lookAtProcesses(ctx)
}

func (e *exam) lookAtVariables() {
	for _, text := range e.Variables {
		if !strings.HasSuffix(text, "?") {
			text += "."
		}
		e.add("variable", "environment", text)
	}
}
