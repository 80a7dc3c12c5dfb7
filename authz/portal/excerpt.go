package portal

import (
	"bytes"
	"encoding/json"
	"strings"
)

// excerptMost is how much of a JSON text a page shows, in bytes: all that is taken today,
// but not all that earlier versions took.
const excerptMost = 32 << 10

// excerpt is a JSON object as pages show it: no longer than a small multiple of what is
// kept, however that is nested.
type excerpt struct {
	Text string // empty: there is nothing in it
	Left int    // bytes that are not shown
}

// shownExcerpt is what the template of an excerpt sees.
type shownExcerpt struct {
	*view
	excerpt
}

// Excerpt prepares one to be shown.
func (p *view) Excerpt(e excerpt) shownExcerpt { return shownExcerpt{p, e} }

func excerptOf(text []byte) excerpt {
	if string(text) == "{}" {
		return excerpt{}
	}
	if most := 3*len(text) + 1024; indentedLen(text) <= min(most, excerptMost) {
		var b bytes.Buffer
		if json.Indent(&b, text, "", "  ") == nil {
			return excerpt{Text: b.String()}
		}
	}
	if len(text) <= excerptMost {
		return excerpt{Text: string(text)}
	}
	return excerpt{strings.ToValidUTF8(string(text[:excerptMost]), "") + "…", len(text) - excerptMost}
}

// indentedLen bounds the length of a compact JSON text once it is indented by two spaces
// a level.
func indentedLen(text []byte) int {
	n, depth, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		n++
		switch c := text[i]; {
		case quoted && c == '\\':
			i, n = i+1, n+1
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
			n += 1 + 2*depth
		case c == '}' || c == ']':
			depth--
			n += 1 + 2*depth
		case c == ',':
			n += 1 + 2*depth
		case c == ':':
			n++
		}
	}
	return n
}
