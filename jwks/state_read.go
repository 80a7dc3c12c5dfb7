package jwks

import (
	"errors"
	"fmt"
	"os"
)

// ReadState returns the sets in a state file of a Follower or a Feed, by workspace; the workspace of a Follower's file is
// empty. It reads files for any server, changes nothing, and can be called while the file is in use.
func ReadState(path string) (map[string]*Table, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	sets := make(map[string]*Table)
	_, err = readState(file, info.Size(), owner{}, func(name string) *Table {
		if sets[name] == nil {
			sets[name] = new(Table)
		}
		return sets[name]
	})
	if info.Size() == 0 || errors.Is(err, errNotState) {
		err = errors.New("not a state file")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return sets, nil
}
