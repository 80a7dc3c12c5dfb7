package jwks

import "strings"

// PrefixPattern is the regular expression for the prefix of a workspace's tokens. It ends in a hyphen, which is not
// part of a word: scanners find the JWT after it.
const PrefixPattern = `^[a-z][a-z0-9-]{0,30}-$`

const prefixMax = 32 // bytes

// IsPrefix reports whether a text matches PrefixPattern.
func IsPrefix(text string) bool {
	if len(text) < 2 || len(text) > prefixMax || text[0] < 'a' || text[0] > 'z' || text[len(text)-1] != '-' {
		return false
	}
	for i := range len(text) {
		if !isPrefixByte(text[i]) {
			return false
		}
	}
	return true
}

func isPrefixByte(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' }

// CutPrefix splits a token into its workspace's prefix, which can be empty, and the JWT. A text without a well-formed
// prefix before TokenPrefix is returned as it is.
func CutPrefix(token string) (prefix, jwt string) {
	if strings.HasPrefix(token, TokenPrefix) {
		return "", token
	}
	at := strings.Index(token[:min(len(token), prefixMax+len(TokenPrefix))], TokenPrefix)
	if at < 0 || !IsPrefix(token[:at]) {
		return "", token
	}
	return token[:at], token[at:]
}

// endsInPrefix returns the well-formed prefix at the end of a text, or "".
func endsInPrefix(text string) string {
	start := len(text)
	for start > 0 && isPrefixByte(text[start-1]) {
		start--
	}
	if end := strings.TrimLeft(text[start:], "-0123456789"); IsPrefix(end) {
		return end
	}
	return ""
}
