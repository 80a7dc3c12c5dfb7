package jwks

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/go-json-experiment/json/jsontext"
)

// The form in which Burnkey writes claims is read without a parser: their members
// in order, without spaces, the caller's own last. Those are not looked into, so
// that a token with any is parsed at first, and read here once it is known to say
// the same.

// isKnownForm reports whether readKnown gives the same claims.
func (c *Claims) isKnownForm(payload string) bool {
	var again Claims
	return again.readKnown(payload) == nil &&
		again.Issuer == c.Issuer && again.Subject == c.Subject && slices.Equal(again.Audience, c.Audience) &&
		again.ID == c.ID && again.IssuedAt == c.IssuedAt && again.Expiry == c.Expiry && again.Scope == c.Scope &&
		bytes.Equal(again.Extra, c.Extra)
}

// readOwn reads claims that need no parser, and reports whether they are such. It
// accepts nothing that Parsed.Claims does not.
func (c *Claims) readOwn(payload string) bool {
	return c.readKnown(payload) == nil && c.Extra == nil && c.complete()
}

// readKnown reads the payload of a token. What it returns lies in one new piece of
// memory, save what was escaped and the array behind Audience.
func (c *Claims) readKnown(payload string) error {
	decoded, err := decodePayload(payload)
	if err != nil {
		return err
	}
	// Nothing writes to the memory any more but the last line, before the extra.
	in := known{rest: unsafe.String(unsafe.SliceData(decoded), len(decoded))}
	*c = Claims{Audience: c.Audience[:0]}
	c.Issuer = in.text(`{"iss":`)
	c.Subject = in.text(`,"sub":`)
	c.Audience = in.list(`,"aud":[`, c.Audience)
	c.ID = in.text(`,"jti":`)
	c.IssuedAt = in.number(`,"iat":`)
	if in.has(`,"exp":`) {
		c.Expiry = in.number(`,"exp":`)
		in.bad = in.bad || c.Expiry == 0
	}
	if in.has(`,"scope":`) {
		c.Scope = in.text(`,"scope":`)
	}
	switch {
	case in.bad:
		return ErrClaims
	case in.rest == "}":
		return nil
	case !in.has(","):
		return ErrClaims
	}
	c.Extra = decoded[len(decoded)-len(in.rest):]
	c.Extra[0] = '{' // in the place of the comma
	return nil
}

// known reads what stands in a known form, up to what does not.
type known struct {
	rest string
	bad  bool
}

func (k *known) has(prefix string) bool { return strings.HasPrefix(k.rest, prefix) }

func (k *known) skip(prefix string) {
	rest, ok := strings.CutPrefix(k.rest, prefix)
	k.rest, k.bad = rest, k.bad || !ok
}

// text reads a string.
func (k *known) text(name string) string {
	k.skip(name)
	quoted := k.rest
	k.skip(`"`)
	end := strings.IndexByte(k.rest, '"')
	if k.bad || end < 0 {
		k.bad = true
		return ""
	}
	if strings.IndexByte(k.rest[:end], '\\') >= 0 {
		return k.escaped(quoted)
	}
	text := k.rest[:end]
	k.rest, k.bad = k.rest[end+1:], !isPlain(text)
	return text
}

// isPlain reports whether a string may hold the text as it is (RFC 8259 section 7).
func isPlain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' {
			return false
		}
	}
	return utf8.ValidString(text)
}

func (k *known) escaped(quoted string) string {
	end := 1
	for end < len(quoted) && quoted[end] != '"' {
		if quoted[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(quoted) {
		k.bad = true
		return ""
	}
	text, err := jsontext.AppendUnquote(nil, quoted[:end+1])
	k.rest, k.bad = quoted[end+1:], k.bad || err != nil
	return string(text)
}

// list reads the strings of an array.
func (k *known) list(name string, into []string) []string {
	into = append(into, k.text(name))
	for k.has(",") && !k.bad {
		into = append(into, k.text(","))
	}
	k.skip("]")
	return into
}

// number reads a whole number.
func (k *known) number(name string) (n int64) {
	k.skip(name)
	digits := 0
	for ; digits < len(k.rest) && k.rest[digits] >= '0' && k.rest[digits] <= '9'; digits++ {
		n = n*10 + int64(k.rest[digits]-'0')
	}
	k.bad = k.bad || digits == 0 || digits > 18 || digits > 1 && k.rest[0] == '0'
	k.rest = k.rest[digits:]
	return n
}
