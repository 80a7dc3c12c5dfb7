package store

import (
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/burnkey/burnkey/jwks"
)

// Fold returns a text such that two which differ in case alone (Unicode Standard section
// 3.13, full folding), or in how characters are composed (Annex 15), are one.
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

// Search is what Filter.Query and WorkspaceFilter.Query mean. For backends, which may leave
// texts out that are ASCII alone and, in lower case, without Folded.
type Search struct {
	Folded string
	kid    jwks.KID
	id     uuid.UUID
	isKID  bool
	isID   bool
}

// NewSearch reads a query.
func NewSearch(query string) *Search {
	s := &Search{Folded: Fold(query)}
	kid, err := jwks.ParseKID(query)
	s.kid, s.isKID = kid, err == nil
	s.id, s.isID = ParseID(query)
	return s
}

// KID returns the kid that the query is, if it is one.
func (s *Search) KID() (jwks.KID, bool) { return s.kid, s.isKID }

// ID returns the id that the query is, if it is one.
func (s *Search) ID() (uuid.UUID, bool) { return s.id, s.isID }

// Names reports whether one of the texts contains the query.
func (s *Search) Names(texts ...string) bool {
	for _, text := range texts {
		if strings.Contains(Fold(text), s.Folded) {
			return true
		}
	}
	return false
}

// Picker picks the items of one page out of rows that come in the list's order, by their
// sizes, before any of them is read whole. For backends.
type Picker[ID any] struct {
	IDs  []ID // that are on it
	More bool // there are others behind them
	// Limit and Bytes are the filter's.
	Limit, Bytes int

	size int
}

// Add offers the next row and reports whether the page has room for others.
func (p *Picker[ID]) Add(id ID, size int) bool {
	p.size += size
	if len(p.IDs) >= p.Limit || p.Bytes > 0 && len(p.IDs) > 0 && p.size > p.Bytes {
		p.More = true
		return false
	}
	p.IDs = append(p.IDs, id)
	return true
}

// Next returns behind which id the list goes on: the last on the page, or the last that was
// looked at if the look ended there; the zero id where there is nothing behind.
func (p *Picker[ID]) Next(lookedTo ID) (none ID) {
	if p.More {
		return p.IDs[len(p.IDs)-1]
	}
	return lookedTo
}
