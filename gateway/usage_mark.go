package gateway

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/burnkey/burnkey/internal/atomicfile"
)

// usageMarkFile, the marker for unreported key usage, is in StateDir while the server lacks uses. If this Gateway is killed
// then, the next one reports the gap.
const usageMarkFile = "usage-untold"

func (g *Gateway) isMarked() bool {
	file := g.stateFile(usageMarkFile)
	if file == "" {
		return false
	}
	_, err := os.Stat(file)
	return !errors.Is(err, fs.ErrNotExist)
}

// mark writes or removes the marker for unreported key usage.
func (r *reporter) mark(ctx context.Context, unreported bool) {
	file := r.stateFile(usageMarkFile)
	if file == "" || r.marked == unreported {
		return
	}
	var err error
	if unreported {
		err = atomicfile.Write(file, nil)
	} else if err = os.Remove(file); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		r.o.Log.WarnContext(ctx, "cannot write the marker for unreported key usage", "error", err)
		return
	}
	r.marked = unreported
}
