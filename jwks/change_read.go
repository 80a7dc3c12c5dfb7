package jwks

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ErrChange is wrapped by every error about a change that cannot be read.
var ErrChange = errors.New("invalid change")

// UnmarshalJSON reads the form of MarshalJSON: exactly its three members, and a version above 0. If
// it fails, c remains as it was. Errors wrap ErrChange.
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
