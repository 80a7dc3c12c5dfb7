package jwks

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
)

// ReadPasted finds a token despite the text around it that people and tools leave.
func TestReadPastedTakesOffWhatSurrounds(t *testing.T) {
	token := ownPair().token(testPayload)
	wrapped := token[:76] + "\r\n  " + token[76:400] + "\n" + token[400:]
	utf16le := "\xff\xfe"
	for _, unit := range utf16.Encode([]rune(token + "\r\n")) {
		utf16le += string([]byte{byte(unit), byte(unit >> 8)})
	}
	for name, text := range map[string]string{
		"bare": token, "newline": token + "\n", "CRLF": token + "\r\n", "spaces": " \t" + token + " ", "no-break space": "\u00a0" + token,
		"BOM": "\ufeff" + token, "UTF-16": utf16le, "zero width": "\u200b" + token + "\u200b",
		"double quotes": `"` + token + `"`, "single quotes": "'" + token + "'", "typographic quotes": "„" + token + "“",
		"brackets": "<" + token + ">", "parentheses": "(" + token + ").", "backticks": "`" + token + "`", "fence": "```\n" + token + "\n```",
		"bold": "**" + token + "**", "italic": "_" + token + "_", "full stop": token + ".", "comma": token + ",", "dash": token + "-",
		"bearer": "Bearer " + token, "bearer, two spaces": "bearer  " + token, "header": "Authorization: Bearer " + token,
		"curl": "curl -H 'Authorization: Bearer " + token + "' https://api.example/", "variable": "export API_KEY=" + token,
		"quoted variable": `API_KEY="` + token + `";`, "JSON": `{"token": "` + token + `"}`, "escaped": `"\n` + token + `\n"`,
		"YAML": "token: " + token, "query": "https://api.example/?access_token=" + token + "&x=1", "word": "key" + token,
		"wrapped": wrapped, "wrapped mail": "My key:\n\n" + wrapped + "\n\nThanks", "twice": token + "\n" + token,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadPasted(text)
			if err != nil || got.Reveal() != token {
				t.Errorf("read %d bytes of %d: %v", len(got.Reveal()), len(token), err)
			}
		})
	}
}

// A prefix before the JWT belongs to the token.
func TestReadPastedKeepsPrefix(t *testing.T) {
	token := ownPair().token(testPayload)
	for text, want := range map[string]string{
		"acme-live-" + token: "acme-live-", "Bearer a-" + token: "a-", "KEY=acme-" + token + "\n": "acme-", `"acme-` + token: "acme-",
		"X_acme-" + token: "acme-", "--acme-" + token: "acme-", "acme_" + token: "", "Acme-" + token: "cme-", "-" + token: "", "7-" + token: "",
		strings.Repeat("a", 32) + "-" + token: "", token + "\nacme-" + token: "acme-", "acme-" + token + " " + token: "acme-",
	} {
		if got, err := ReadPasted(text); err != nil || got.Reveal() != want+token {
			t.Errorf("%.20q: %.10q, %v", text, got.Reveal(), err)
		}
	}
	for _, bad := range []string{"a-" + token + " b-" + token, "acme-" + token[:len(token)-1]} {
		if got, err := ReadPasted(bad); got != "" || !errors.Is(err, ErrMalformed) {
			t.Errorf("read %d bytes: %v", len(got.Reveal()), err)
		}
	}
}

// A text without a token, or with more than one, is an error that quotes nothing.
func TestReadPastedRefuses(t *testing.T) {
	token := ownPair().token(testPayload)
	other := ownPair().token(strings.Replace(testPayload, "cust_1", "cust_2", 1))
	for name, text := range map[string]string{
		"nothing": "", "space": " \n", "prose": "my key has leaked", "cut": token[:len(token)-1], "longer": token + "A",
		"two": token + "\n" + other, "two wrapped": token[:99] + "\n" + token[99:] + "\n" + other[:99] + "\n" + other[99:],
		"HS256": "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "too long": token + strings.Repeat(" ", MaxPastedLen),
		"many beginnings": strings.Repeat(TokenPrefix, 2000), "many headers": strings.Repeat(token[:headTextLen]+".", 600),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadPasted(text)
			if got != "" || !errors.Is(err, ErrMalformed) || strings.Contains(fmt.Sprint(err), "eyJ") {
				t.Errorf("read %d bytes: %v", len(got.Reveal()), err)
			}
		})
	}
}
