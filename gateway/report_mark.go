package gateway

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/burnkey/burnkey/internal/atomicfile"
)

// markFile is in StateDir for as long as the server does not know of uses that it should:
// should this Gateway be killed then, the next one says so.
const markFile = "usage-untold"

func (g *Gateway) isMarked() bool {
	file := g.stateFile(markFile)
	if file == "" {
		return false
	}
	_, err := os.Stat(file)
	return !errors.Is(err, fs.ErrNotExist)
}

// mark keeps that uses are untold, or that none are.
func (r *reporter) mark(ctx context.Context, untold bool) {
	file := r.stateFile(markFile)
	if file == "" || r.marked == untold {
		return
	}
	var err error
	if untold {
		err = atomicfile.Write(file, nil)
	} else if err = os.Remove(file); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		r.o.Log.WarnContext(ctx, "cannot keep that the use of keys is untold", "err", err)
		return
	}
	r.marked = untold
}
