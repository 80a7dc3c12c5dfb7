package jwks

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ErrChange is what every refusal to read a Change wraps.
var ErrChange = errors.New("not a change of Burnkey's form")

// UnmarshalJSON reads the form that MarshalJSON gives: all three members, no
// other, none twice, a version above 0. Errors wrap ErrChange and leave c as it
// was.
func (c *Change) UnmarshalJSON(data []byte) error {
	var wire struct {
		Version uint64           `json:"version"`
		Add     []jsontext.Value `json:"add"`
		Remove  []string         `json:"remove"`
	}
	if err := json.Unmarshal(data, &wire, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("%w: it does not read", ErrChange)
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
