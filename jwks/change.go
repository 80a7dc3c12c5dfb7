package jwks

import (
	"encoding/json"
	"errors"
)

// Change is what one version added to and removed from the published set.
// Versions of a workspace have no gaps and follow the order of commits.
type Change struct {
	Version uint64
	Add     []Key
	Remove  []KID
}

// MarshalJSON gives the form in which the change stream carries a change.
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

// Errors of applying a change; the set stays as it was.
var (
	ErrVersionGap   = errors.New("the change does not follow the set's version")
	ErrPublished    = errors.New("the key is published already")
	ErrNotPublished = errors.New("the key is not published")
)
