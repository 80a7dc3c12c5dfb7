package jwks

import (
	"cmp"
	"fmt"
	"strings"
)

// maxCandidates bounds the work for one text, which can come from an unauthenticated user.
const maxCandidates = 16

// MaxPastedLen is the maximum length of a text for ReadPasted, in bytes.
const MaxPastedLen = 64 << 10

var (
	errPastedLen  = fmt.Errorf("%w: the text is longer than %d bytes", ErrMalformed, MaxPastedLen)
	errPastedMany = fmt.Errorf("%w: the text contains several tokens", ErrMalformed)
)

// ReadPasted returns the only token in a text, with its prefix, that a person pasted or a tool read from a file. It ignores
// spaces, line ends (also within a wrapped token), a byte order mark, UTF-16, quotes, brackets,
// punctuation, the word Bearer, a header's name, an assignment and a JSON member around the token. Use it
// for text that people enter; to authorize a request, use BearerToken. It verifies nothing. Errors wrap
// ErrMalformed and quote nothing; two different tokens are an error.
func ReadPasted(text string) (Token, error) {
	if len(text) > MaxPastedLen {
		return "", errPastedLen
	}
	text = strings.ReplaceAll(text, "\x00", "") // left over from UTF-16
	found, err := findTokens(text)
	if found == "" && err == nil {
		found, err = findTokens(unwrapped(text))
	}
	if found == "" && err == nil {
		_, jwt := CutPrefix(strings.TrimSpace(text))
		_, err = Parse(jwt) // its error says what is wrong
	}
	return Token(found), err
}

// unwrapped joins the lines of each paragraph, since mail programs and terminals wrap long lines.
func unwrapped(text string) string {
	var joined strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			line = " "
		}
		joined.WriteString(line)
	}
	return joined.String()
}

// findTokens returns the only token in a text, or "". Each JWT begins with TokenPrefix and ends with a signature of
// constant length. The same JWT with a prefix and without is one token.
func findTokens(text string) (string, error) {
	var prefix, found string
	for range maxCandidates {
		start := strings.Index(text, TokenPrefix)
		if start < 0 {
			return prefix + found, nil
		}
		before := endsInPrefix(text[:start])
		text = text[start:]
		length := tokenLen(text)
		if length == 0 {
			text = text[len(TokenPrefix):]
			continue
		}
		if found != "" && found != text[:length] || prefix != "" && before != "" && prefix != before {
			return "", errPastedMany
		}
		prefix = cmp.Or(prefix, before)
		found, text = text[:length], text[length:]
	}
	return "", errPastedMany
}

// tokenLen returns the length of the token at the beginning of a text, or 0. After the token, only
// punctuation, another token or characters outside of the token's alphabet can follow.
func tokenLen(text string) int {
	run := text
	if end := strings.IndexFunc(text, outsideToken); end >= 0 {
		run = text[:end]
	}
	parts := strings.SplitN(run, ".", 3)
	if len(parts) < 3 || len(parts[2]) < sigTextLen {
		return 0
	}
	length := len(run) - len(parts[2]) + sigTextLen
	if rest := run[length:]; strings.Trim(rest, "-_.") != "" && !strings.HasPrefix(rest, TokenPrefix) {
		return 0
	}
	if _, err := Parse(run[:length]); err != nil {
		return 0
	}
	return length
}

func outsideToken(r rune) bool {
	return r >= 0x80 || r != '.' && (!inToken68[byte(r)] || r == '~' || r == '+' || r == '/')
}
