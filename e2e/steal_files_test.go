package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/jwks"
)

// noPrimesInFiles searches files for primes: as raw bytes, in hex and in base64.
func noPrimesInFiles(t *testing.T, got loot) {
	scan := newScanner(got.moduli)
	for _, name := range slices.Sorted(maps.Keys(got.files)) {
		content := got.files[name]
		scan.scan(content)
		spelt := decoded(content)
		for _, part := range spelt {
			scan.scan(part)
		}
		t.Logf("%s: %d bytes, and %d stretches of hex or base64", name, len(content), len(spelt))
	}
	if found := scan.primes(); len(found) > 0 {
		t.Errorf("found %d primes of issued keys", len(found))
	}
	// As a control, the search must find a prime that is in a file.
	p := filler(primeLen)
	p[0], p[primeLen-1] = p[0]|0xc0, p[primeLen-1]|1
	for _, text := range []string{
		hex.EncodeToString(p), strings.ToUpper(hex.EncodeToString(p)),
		base64.StdEncoding.EncodeToString(p), "x" + b64(string(p)), "xy" + b64(string(p)),
	} {
		if !slices.ContainsFunc(decoded([]byte(`{"d":"`+text+`"}`)), func(b []byte) bool { return bytes.Contains(b, p) }) {
			t.Errorf("a planted number was not read from %s", text)
		}
	}
}

var (
	hexText    = regexp.MustCompile(`[0-9a-fA-F]{256,}`)
	base64Text = regexp.MustCompile(`[A-Za-z0-9+/_-]{171,}`)
)

// decoded finds all hex and base64 strings that are long enough for a prime, and decodes them from every
// possible offset.
func decoded(content []byte) (all [][]byte) {
	for _, text := range hexText.FindAll(content, -1) {
		for shift := range 2 {
			part := text[shift:]
			b := make([]byte, len(part)/2)
			_, _ = hex.Decode(b, part[:len(part)/2*2]) // cannot fail on these
			all = append(all, b)
		}
	}
	standard := strings.NewReplacer("-", "+", "_", "/")
	for _, text := range base64Text.FindAll(content, -1) {
		for shift := range 4 {
			part := standard.Replace(string(text[shift:]))
			part = part[:len(part)-len(part)%4]
			if tail := len(text) - shift - len(part); tail > 1 {
				part = standard.Replace(string(text[shift:]))[:len(part)+tail] // an unpadded end
			}
			b, err := base64.RawStdEncoding.DecodeString(part)
			if err == nil {
				all = append(all, b)
			}
		}
	}
	return all
}

// pieceLen is the length of a token's part whose occurrence counts as a leak.
const pieceLen = 24

// pieces contains parts of tokens that would help a thief, in all encodings. The value describes the part.
type pieces map[string]string // by their text: what it is

// add splits a text into pieces. Any substring of twice the length of a piece contains a whole piece.
func (p pieces) add(what string, text []byte) {
	for i := 0; i+pieceLen <= len(text); i += pieceLen {
		p[string(text[i:i+pieceLen])] = what
	}
}

func piecesOf(t *testing.T, tokens []string) pieces {
	t.Helper()
	p := make(pieces)
	for _, token := range tokens {
		sig, err := base64.RawURLEncoding.DecodeString(cut(token).sig)
		check(t, err)
		lower := hex.EncodeToString(sig)
		backwards := slices.Clone(sig)
		slices.Reverse(backwards)
		p.add("a signature, base64url", []byte(cut(token).sig))
		p.add("a signature, base64", []byte(base64.StdEncoding.EncodeToString(sig)))
		p.add("a signature", sig)
		p.add("a signature backwards", backwards)
		p.add("a signature, hex", []byte(lower))
		p.add("a signature, hex", []byte(strings.ToUpper(lower)))
		p.add("a token's claims", []byte(cut(token).body))
	}
	return p
}

// in returns the pieces that the content contains.
func (p pieces) in(content []byte) map[string]int {
	found := make(map[string]int)
	for i := range max(0, len(content)-pieceLen+1) {
		if what, ok := p[string(content[i:i+pieceLen])]; ok {
			found[what]++
		}
	}
	if n := bytes.Count(content, []byte(jwks.TokenPrefix)); n > 0 {
		found["a token's beginning"] = n
	}
	return found
}

// noTokens checks that stored and printed data contains no tokens and no signatures.
func noTokens(t *testing.T, got loot) {
	p := piecesOf(t, got.tokens)
	for name, content := range got.files {
		for what, n := range p.in(content) {
			t.Errorf("%s: %s, %d times", name, what, n)
		}
	}
	t.Logf("looked for %d pieces of %d tokens", len(p), len(got.tokens))
	// As a control, each encoding must be found, even if it is cut off at both ends.
	for piece, what := range p {
		if p.in(append(append(filler(7), piece...), filler(5)...))[what] != 1 {
			t.Fatalf("a planted piece was not found: %s", what)
		}
	}
	whole := []byte("log line " + got.tokens[0] + "\n")
	found := p.in(whole)
	signature := found["a signature, base64url"] + found["a signature, base64"] // some pieces are both
	if found["a token's beginning"] != 1 || found["a token's claims"] == 0 || signature == 0 {
		t.Errorf("of a whole token were found %v", found)
	}
}
