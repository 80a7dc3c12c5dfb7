package jwks

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/go-json-experiment/json/jsontext"
)

// Claims in the form that Burnkey writes are read without a parser: members in order, without spaces,
// custom claims last. Custom claims are not checked here, so a token with custom claims is parsed the first
// time. If readKnown then returns the same claims, it reads this token from then on.

// isKnownForm reports whether readKnown returns the claims c for a payload.
func (c *Claims) isKnownForm(typ TokenType, payload string) bool {
	var again Claims
	return again.readKnown(typ, payload) == nil &&
		again.Issuer == c.Issuer && again.Subject == c.Subject && slices.Equal(again.Audience, c.Audience) &&
		again.ID == c.ID && again.IssuedAt == c.IssuedAt && again.Expiry == c.Expiry && again.Scope == c.Scope &&
		again.ClientID == c.ClientID && again.KeyID == c.KeyID && again.KeyKID == c.KeyKID && again.KeyImported == c.KeyImported &&
		bytes.Equal(again.Extra, c.Extra)
}

// readOwn reads a payload without custom claims and reports whether it succeeded. It accepts no payload
// that Parsed.Claims refuses.
func (c *Claims) readOwn(typ TokenType, payload string) bool {
	return c.readKnown(typ, payload) == nil && c.Extra == nil && c.complete() && (typ == TypeJWT || c.completeAccess())
}

// readKnown reads the payload of a token. It allocates once, plus for escaped strings and Audience. It leaves
// Attributes as they are.
func (c *Claims) readKnown(typ TokenType, payload string) error {
	decoded, err := decodePayload(payload)
	if err != nil {
		return err
	}
	// in can share the bytes of decoded: only the last line still writes to them, before the custom claims.
	in := known{rest: unsafe.String(unsafe.SliceData(decoded), len(decoded))}
	c.Expiry, c.Scope, c.Extra = 0, "", nil
	c.ClientID, c.KeyID, c.KeyKID, c.KeyImported = "", "", KID{}, false
	c.Issuer = in.text(`{"iss":`)
	c.Subject = in.text(`,"sub":`)
	c.Audience = in.list(`,"aud":[`, c.Audience[:0])
	c.ID = in.text(`,"jti":`)
	c.IssuedAt = in.number(`,"iat":`)
	if in.has(`,"exp":`) {
		c.Expiry = in.number(`,"exp":`)
		in.bad = in.bad || c.Expiry == 0
	}
	if in.has(`,"scope":`) {
		c.Scope = in.text(`,"scope":`)
	}
	if typ == TypeAccessToken {
		c.readAccess(&in)
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
	c.Extra[0] = '{' // instead of the comma
	return nil
}

func (c *Claims) readAccess(in *known) {
	c.ClientID = in.text(`,"client_id":`)
	if !in.has(`,"key_id":`) {
		return
	}
	c.KeyID = in.text(`,"key_id":`)
	var err error
	c.KeyKID, err = ParseKID(in.text(`,"key_kid":`))
	in.bad = in.bad || err != nil
	if imported := `,"key_imported":true`; in.has(imported) {
		in.skip(imported)
		c.KeyImported = true
	}
}

// known reads claims in the known form. bad is set at the first deviation.
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

// isPlain reports whether a JSON string can contain the text unescaped (RFC 8259 section 7).
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

// number reads an integer.
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
