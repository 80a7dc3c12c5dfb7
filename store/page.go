package store

import (
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/burnkey/burnkey/jwks"
)

// Fold normalizes a string for comparison: strings that differ only in case (Unicode Standard section 3.13,
// full folding) or in the composition of characters (Annex 15) become equal.
func Fold(text string) string {
	if isASCII(text) {
		return strings.ToLower(text)
	}
	return norm.NFC.String(cases.Fold().String(norm.NFD.String(text)))
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Search is a parsed Filter.Query or WorkspaceFilter.Query, for backends. The database must only exclude a
// string if it is ASCII and, in lower case, does not contain Folded. Names checks the others.
type Search struct {
	Folded string
	kid    jwks.KID
	id     uuid.UUID
	isKID  bool
	isID   bool
}

// NewSearch parses a query.
func NewSearch(query string) *Search {
	s := &Search{Folded: Fold(query)}
	kid, err := jwks.ParseKID(query)
	s.kid, s.isKID = kid, err == nil
	s.id, s.isID = ParseID(query)
	return s
}

// KID returns the query as a kid, if it is one.
func (s *Search) KID() (jwks.KID, bool) { return s.kid, s.isKID }

// ID returns the query as an id, if it is one.
func (s *Search) ID() (uuid.UUID, bool) { return s.id, s.isID }

// IsKey reports whether the query is a key's id or kid.
func (s *Search) IsKey(id uuid.UUID, kid []byte) bool {
	return s.isID && id == s.id || s.isKID && string(kid) == string(s.kid[:])
}

// Names reports whether one of the strings contains the query.
func (s *Search) Names(texts ...string) bool {
	for _, text := range texts {
		if strings.Contains(Fold(text), s.Folded) {
			return true
		}
	}
	return false
}

// Picker chooses the items of one page by their sizes, from rows in the list's order, so that a backend reads
// only these items completely. For backends.
type Picker[ID any] struct {
	IDs  []ID // of the page
	More bool // more rows follow
	// Limit and Bytes of the filter.
	Limit, Bytes int

	size int
}

// Add offers the next row and reports whether the page has room for more.
func (p *Picker[ID]) Add(id ID, size int) bool {
	p.size += size
	if len(p.IDs) >= p.Limit || p.Bytes > 0 && len(p.IDs) > 0 && p.size > p.Bytes {
		p.More = true
		return false
	}
	p.IDs = append(p.IDs, id)
	return true
}

// Next returns the id after which the next page starts: the last id of the page if more rows follow, or else
// lookedTo, the last row that the backend examined (the zero id at the end of the list).
func (p *Picker[ID]) Next(lookedTo ID) (none ID) {
	if p.More {
		return p.IDs[len(p.IDs)-1]
	}
	return lookedTo
}
