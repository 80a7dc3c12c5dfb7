package envoy

import (
	"crypto/rand"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/jwks"
)

// kidRunes are the characters of kids.
const kidRunes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

var shape = regexp.MustCompile(`^(?:Bearer ` + tokenShape + `)$`)

func shaped(kid string, sig []byte) string { return shapedAs("JWT", kid, sig) }

func shapedAs(typ, kid string, sig []byte) string {
	enc := base64.RawURLEncoding
	return "Bearer " + enc.EncodeToString([]byte(`{"alg":"RS256","kid":"`+kid+`","typ":"`+typ+`"}`)) +
		".eyJpc3MiOiJ4In0." + enc.EncodeToString(sig)
}

func randomBytes(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestShapeConstants(t *testing.T) {
	enc := base64.RawURLEncoding.EncodeToString
	for _, typ := range []string{"JWT", "at+jwt"} {
		whole := enc([]byte(`{"alg":"RS256","kid":"` + strings.Repeat("x", 43) + `","typ":"` + typ + `"}`))
		end := regexp.MustCompile(`^` + headerStart + `.{60}` + headerEnd + `$`)
		if kidSize != 60 || !end.MatchString(whole) {
			t.Errorf("%s: the header %s does not match", typ, whole)
		}
		if strings.HasSuffix(whole, accessEnd) != (typ == "at+jwt") {
			t.Errorf("%s: the header %s and the end of access tokens", typ, whole)
		}
	}
	if want := enc([]byte(`{"alg":"RS256","kid":`)); headerStart != want {
		t.Errorf("headerStart is %s, want %s", headerStart, want)
	}
	if want := enc([]byte(`,"typ":"J`))[:len(headerType)]; headerType != want {
		t.Errorf("headerType is %s, want %s", headerType, want)
	}
}

// Both types are admitted, with every kid, and no other.
func TestShapeAdmitsBothTypes(t *testing.T) {
	sig := randomBytes(t, 256)
	for range 500 {
		kid := base64.RawURLEncoding.EncodeToString(randomBytes(t, 32))
		if !shape.MatchString(shapedAs("at+jwt", kid, sig)) {
			t.Fatalf("refused: kid %s", kid)
		}
		for _, typ := range []string{
			"", "jwt", "JWS", "AT+JWT", "jwt+at", "at+jws", "at jwt", "application/at+jwt", `JWT","x":"`, `at+jwt","x":"`,
		} {
			if shape.MatchString(shapedAs(typ, kid, sig)) {
				t.Fatalf("admitted: %s", typ)
			}
		}
		if i := strings.IndexByte(kid, '-'); i >= 0 && shape.MatchString(shapedAs("at+jwt", kid[:i]+`"`+kid[i+1:], sig)) {
			t.Fatalf("admitted: a quotation mark in %s", kid)
		}
	}
}

// Every kid is admitted. The test tries each character in each position, and random kids.
func TestShapeAdmitsEveryKid(t *testing.T) {
	for place := range 43 {
		for _, r := range kidRunes {
			kid := strings.Repeat("x", place) + string(r) + strings.Repeat("-", 42-place)
			if !shape.MatchString(shaped(kid, randomBytes(t, 256))) {
				t.Fatalf("refused: kid %s", kid)
			}
		}
	}
	for range 2000 {
		kid := base64.RawURLEncoding.EncodeToString(randomBytes(t, 32))
		if !shape.MatchString(shaped(kid, randomBytes(t, 256))) {
			t.Fatalf("refused: kid %s", kid)
		}
	}
}

// A quotation mark in the kid is refused, at every position and next to any characters.
func TestShapeKeepsKidInItsQuotes(t *testing.T) {
	sig := randomBytes(t, 256)
	for place := range 43 {
		for _, before := range kidRunes {
			for _, after := range kidRunes {
				kid := []byte(strings.Repeat(string(before), 43))
				for i := place + 1; i < 43; i++ {
					kid[i] = byte(after)
				}
				kid[place] = '"'
				if shape.MatchString(shaped(string(kid), sig)) {
					t.Fatalf("admitted: kid %s", kid)
				}
			}
		}
	}
}

func TestShapeRefuses(t *testing.T) {
	kid := base64.RawURLEncoding.EncodeToString(randomBytes(t, 32))
	sig := randomBytes(t, 256)
	good := shaped(kid, sig)
	for name, value := range map[string]string{
		"empty kid":       shaped("", sig),
		"short kid":       shaped(kid[1:], sig),
		"long kid":        shaped(kid+"a", sig),
		"short signature": shaped(kid, sig[1:]),
		"long signature":  shaped(kid, append(sig, 1)),
		"no signature":    shaped(kid, nil),
		"two of them":     good + "," + good,
		"junk after":      good + " ",
		"newline after":   good + "\n",
		"junk before":     " " + good,
		"no claims":       strings.Replace(good, "eyJpc3MiOiJ4In0", "", 1),
		"lower case":      strings.Replace(good, "Bearer", "bearer", 1),
	} {
		if shape.MatchString(value) {
			t.Errorf("%s: admitted", name)
		}
	}
	// Of the 64 characters that could end the signature, 4 are canonical.
	admitted := 0
	for _, r := range kidRunes {
		if shape.MatchString(good[:len(good)-1] + string(r)) {
			admitted++
		}
	}
	if admitted != 4 {
		t.Errorf("%d endings of a signature are admitted", admitted)
	}
}

// In mode gateway, the scheme may have any case and be followed by any number of spaces; the
// token must have the same shape.
func TestShapeOfAnyBearer(t *testing.T) {
	anyShape := regexp.MustCompile(`^(?:` + anyBearerShape + `)$`)
	good := strings.TrimPrefix(shaped(strings.Repeat("x", 43), randomBytes(t, 256)), "Bearer ")
	for before, want := range map[string]bool{
		"Bearer ": true, "bearer ": true, "BEARER ": true, "bEaReR   ": true,
		"": false, " Bearer ": false, "Bearer": false, "Bearer\t": false, "Bearer \t": false, "Basic ": false,
		"Bearerx ": false, "Bearer Bearer ": false,
		"Be\u0430rer ": false, "Bearer\u00a0": false, "Bearer x,Bearer ": false,
	} {
		if got := anyShape.MatchString(before + good); got != want {
			t.Errorf("%q: %t", before, got)
		}
		if got := shape.MatchString(before + good); got != (before == "Bearer ") {
			t.Errorf("%q without a gateway: %t", before, got)
		}
	}
	for prefix, want := range map[string]bool{
		"acme-live-": true, "a-": true, "a1--": true, strings.Repeat("a", 31) + "-": true,
		strings.Repeat("a", 32) + "-": false, "acme": false, "acme_": false, "-": false, "1-": false, "A-": false, "a.-": false,
	} {
		if got := anyShape.MatchString("Bearer " + prefix + good); got != want || jwks.IsPrefix(prefix) != want {
			t.Errorf("the prefix %s: %t", prefix, got)
		}
	}
	if anyShape.MatchString("bearer "+good+" x") || anyShape.MatchString("bearer "+good+",bearer "+good) || anyShape.MatchString("bearer x") {
		t.Error("a token of another shape is admitted")
	}
}
