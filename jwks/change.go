package jwks

import (
	stdjson "encoding/json"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ErrChange is wrapped by every error about an invalid change.
var ErrChange = errors.New("invalid change")

// Reasons to refuse a change. A refused change leaves the set as it was.
var (
	ErrVersionGap   = errors.New("the change does not follow the set's version")
	ErrPublished    = errors.New("the key is already published")
	ErrNotPublished = errors.New("the key is not published")
)

// Change is the difference between one version of the published set and the next. The versions of a
// workspace have no gaps and follow the order of commits.
type Change struct {
	Version  uint64
	Add      []Key
	Remove   []KID
	Unsigned Unsigned
}

// MarshalJSON returns the JSON form that the public change stream sends, without the unsigned part.
func (c Change) MarshalJSON() ([]byte, error) {
	wire := struct {
		Version uint64   `json:"version"`
		Add     []Key    `json:"add"`
		Remove  []string `json:"remove"`
	}{c.Version, append([]Key{}, c.Add...), make([]string, 0, len(c.Remove))}
	for _, kid := range c.Remove {
		wire.Remove = append(wire.Remove, kid.String())
	}
	return stdjson.Marshal(wire)
}

// UnmarshalJSON reads the form that MarshalJSON returns: exactly three members, and a version above 0.
// After an error, c is unchanged. Errors wrap ErrChange.
func (c *Change) UnmarshalJSON(data []byte) error {
	var wire struct {
		Version uint64           `json:"version"`
		Add     []jsontext.Value `json:"add"`
		Remove  []string         `json:"remove"`
	}
	if err := json.Unmarshal(data, &wire, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("%w: not an object with exactly version, add and remove", ErrChange)
	}
	if wire.Version == 0 || wire.Add == nil || wire.Remove == nil {
		return fmt.Errorf("%w: version, add or remove is missing", ErrChange)
	}
	read := Change{Version: wire.Version}
	for _, jwk := range wire.Add {
		key, err := readKey(jwk)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrChange, err)
		}
		read.Add = append(read.Add, key)
	}
	for _, text := range wire.Remove {
		kid, err := ParseKID(text)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrChange, err)
		}
		read.Remove = append(read.Remove, kid)
	}
	*c = read
	return nil
}
