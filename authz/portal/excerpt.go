package portal

import (
	"bytes"
	"encoding/json"
	"strings"
)

// excerptMost is how many bytes of a JSON text a page shows. All JSON accepted by this version fits, but
// earlier versions accepted longer texts.
const excerptMost = 32 << 10

// excerpt is a JSON object as pages show it: at most a small multiple of the stored text, even if deeply
// nested.
type excerpt struct {
	Text string // empty for an empty object
	Left int    // bytes not shown
}

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

// indentedLen returns an upper bound of the length of a compact JSON text after indentation by two spaces
// per level.
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
