package store

import "github.com/google/uuid"

// ParseID parses an id in its usual form, in upper or lower case (RFC 9562 section 4). It
// refuses braces, URNs and ids without dashes.
func ParseID(text string) (uuid.UUID, bool) {
	id, err := uuid.Parse(text)
	return id, err == nil && len(text) == len(uuid.UUID{}.String())
}
