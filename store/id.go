package store

import "github.com/google/uuid"

// ParseID reads an id in the form that all of ours are written in, in either case (RFC 9562
// section 4), and reports whether the text is one. Braces, a URN or no dashes make it none.
func ParseID(text string) (uuid.UUID, bool) {
	id, err := uuid.Parse(text)
	return id, err == nil && len(text) == len(uuid.UUID{}.String())
}
