package gateway

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"

	"github.com/burnkey/burnkey/internal/atomicfile"
)

const listFile = "workspaces.json"

// savedList is the stored list. It is valid for one server only.
type savedList struct {
	Server     string   `json:"server"`
	Workspaces []string `json:"workspaces"`
}

// readList returns the stored list, or nil if there is no valid one.
func (g *Gateway) readList() ([]string, error) {
	file := g.stateFile(listFile)
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var saved savedList
	invalid := func(id string) bool { return !workspaceID.MatchString(id) }
	if !read(text, &saved) || saved.Server != g.o.Server || saved.Workspaces == nil || slices.ContainsFunc(saved.Workspaces, invalid) {
		g.o.Log.Warn("ignoring the stored list of workspaces: it is corrupt or of another server", "file", file)
		return nil, nil
	}
	return saved.Workspaces, nil
}

// writeList stores a list for the next start, atomically.
func (g *Gateway) writeList(list []string) error {
	file := g.stateFile(listFile)
	if file == "" {
		return nil
	}
	text, err := json.Marshal(savedList{g.o.Server, append([]string{}, list...)})
	if err != nil {
		return err
	}
	return atomicfile.Write(file, text)
}
