package jwks

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is the number of levels to which objects and lists may be nested in any JSON, whatever its
// source: parsers recurse, and indented text grows with the square of the depth.
const MaxDepth = 32

// TooDeep reports whether JSON is nested deeper than limit levels, and in which member of the outermost object
// ("" if it is not an object). It stops there, or at a syntax error, which it leaves to the parser to report.
func TooDeep(text []byte, limit int) (member string, deep bool) {
	in := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	object := in.PeekKind() == '{'
	for {
		if _, err := in.ReadToken(); err != nil {
			return "", false
		}
		if in.StackDepth() > limit {
			break
		}
	}
	if object {
		member, _, _ = strings.Cut(strings.TrimPrefix(string(in.StackPointer()), "/"), "/")
		member = strings.NewReplacer("~1", "/", "~0", "~").Replace(member)
	}
	return member, true
}
