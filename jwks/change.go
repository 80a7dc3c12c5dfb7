package jwks

import (
	"encoding/json"
	"errors"
)

// Change is the difference between a version of the published set and the one before. The versions of
// a workspace have no gaps and follow the order of commits.
type Change struct {
	Version uint64
	Add     []Key
	Remove  []KID
}

// MarshalJSON returns the form that is sent in the change stream.
func (c Change) MarshalJSON() ([]byte, error) {
	wire := struct {
		Version uint64   `json:"version"`
		Add     []Key    `json:"add"`
		Remove  []string `json:"remove"`
	}{c.Version, append([]Key{}, c.Add...), make([]string, 0, len(c.Remove))}
	for _, kid := range c.Remove {
		wire.Remove = append(wire.Remove, kid.String())
	}
	return json.Marshal(wire)
}

// Reasons to refuse a change. The set remains as it was.
var (
	ErrVersionGap   = errors.New("the change does not follow the set's version")
	ErrPublished    = errors.New("the key is already published")
	ErrNotPublished = errors.New("the key is not published")
)
