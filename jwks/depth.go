package jwks

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how deep objects and lists may be nested in any JSON that is read, from any
// source: parsers recurse, and indented text grows with the square of the depth.
const MaxDepth = 32

// TooDeep reports whether JSON is nested deeper than most, and in which member of the outermost
// object ("" if that is no object). It stops reading there, and at a syntax error, which the
// later parser will report.
func TooDeep(text []byte, most int) (member string, deep bool) {
	in := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	object := in.PeekKind() == '{'
	for {
		if _, err := in.ReadToken(); err != nil {
			return "", false
		}
		if in.StackDepth() > most {
			break
		}
	}
	if object {
		member, _, _ = strings.Cut(strings.TrimPrefix(string(in.StackPointer()), "/"), "/")
		member = strings.NewReplacer("~1", "/", "~0", "~").Replace(member)
	}
	return member, true
}
