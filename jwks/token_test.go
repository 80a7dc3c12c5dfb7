package jwks

import (
	"encoding/base64"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	testIssuer  = "https://keys.example/v1/auth/oauth/acme"
	testIssued  = 1_700_000_000
	testExpiry  = testIssued + 3600
	testPayload = `{"iss":"` + testIssuer + `","sub":"cust_1","aud":["acme-company","acme-test"],` +
		`"jti":"018bcfe5-6800-7000-8000-000000000001","iat":1700000000,"exp":1700003600,"scope":"maps:read maps:write","plan":"gold"}`
	// accessPayload is also good in a token of TypeAccessToken.
	accessPayload = `{"iss":"` + testIssuer + `","sub":"cust_1","aud":["acme-company"],` +
		`"jti":"018bcfe5-6800-7000-8000-000000000001","iat":1700000000,"exp":1700003600,"scope":"maps:read","client_id":"cust_1","plan":"gold"}`
)

// testVerifier returns a Verifier with ownPair's key and any further keys.
func testVerifier(others ...Key) *Verifier {
	published := modelOf(append(others, ownPair().key))
	return &Verifier{
		Keys:     KeyFunc(func(kid KID) (Key, bool) { key, ok := published[kid]; return key, ok }),
		Issuer:   func(iss string) bool { return iss == testIssuer },
		Audience: []string{"acme-company"},
		Now:      func() time.Time { return time.Unix(testIssued, 0) },
	}
}

func TestVerifyAcceptsItsOwn(t *testing.T) {
	token := ownPair().token(testPayload)
	if !strings.HasPrefix(token, TokenPrefix) {
		t.Errorf("a token begins with %s, want %s", token[:len(TokenPrefix)], TokenPrefix)
	}
	claims, err := testVerifier().Verify(token)
	if err != nil {
		t.Fatal(err)
	}
	if claims.Issuer != testIssuer || claims.Subject != "cust_1" || claims.ID != "018bcfe5-6800-7000-8000-000000000001" ||
		claims.IssuedAt != testIssued || claims.Expiry != testExpiry || !slices.Equal(claims.Audience, []string{"acme-company", "acme-test"}) ||
		!slices.Equal(claims.Scopes(), []string{"maps:read", "maps:write"}) || string(claims.Extra) != `{"plan":"gold"}` ||
		!claims.ExpiresAt().Equal(time.Unix(testExpiry, 0)) {
		t.Errorf("claims %+v", claims)
	}
}

// reword replaces the first occurrence of old, and fails the test without one.
func reword(t *testing.T, s, old, by string) string {
	t.Helper()
	if !strings.Contains(s, old) {
		t.Fatalf("%q is not in %q", old, s)
	}
	return strings.Replace(s, old, by, 1)
}

// A header in any other form is refused, even if the signature is valid.
func TestVerifyRefusesOtherHeaders(t *testing.T) {
	for _, typ := range types {
		t.Run(string(typ), func(t *testing.T) { refusesOtherHeaders(t, typ) })
	}
}

func refusesOtherHeaders(t *testing.T, typ TokenType) {
	own := ownPair()
	right, kid, tail := headerAs(typ, own.key.kid), own.key.kid.String(), tails[typ]
	if _, err := testVerifier().Verify(own.sign(right, accessPayload)); err != nil {
		t.Fatal(err)
	}
	for name, header := range map[string]string{
		"another order":       `{"kid":"` + kid + `","alg":"RS256","typ":"JWT"}`,
		"typ first":           `{"typ":"JWT","alg":"RS256","kid":"` + kid + `"}`,
		"no typ":              `{"alg":"RS256","kid":"` + kid + `"}`,
		"another typ":         reword(t, right, string(typ), `jws`),
		"typ in another case": reword(t, right, string(typ), `At+JWT`),
		"typ, as long":        reword(t, right, string(typ), `jwt+at`),
		"typ in full":         reword(t, right, string(typ), `application/at+jwt`), // RFC 9068 section 4 allows it, but Burnkey never writes it
		"typ escaped":         reword(t, right, string(typ), `\u004aWT`),
		"empty typ":           reword(t, right, string(typ), ``),
		"crit":                reword(t, right, `}`, `,"crit":["b64"],"b64":false}`),
		"jku":                 reword(t, right, `}`, `,"jku":"https://evil.example"}`),
		"alg none":            reword(t, right, `RS256`, `none`),
		"alg HS256":           reword(t, right, `RS256`, `HS256`),
		"alg RS512":           reword(t, right, `RS256`, `RS512`),
		"alg in lowercase":    reword(t, right, `RS256`, `rs256`),
		"no kid":              `{"alg":"RS256","typ":"JWT"}`,
		"empty kid":           headerHead + tail,
		"empty kid, as long":  headerHead + `","x":"` + strings.Repeat("A", KIDTextLen-7) + tail,
		"kid null":            `{"alg":"RS256","kid":null,"typ":"JWT"}`,
		"kid twice":           headerHead + `A","kid":"` + kid[:KIDTextLen-10] + tail,
		"kid shorter":         headerHead + kid[1:] + tail,
		"kid not canonical":   headerHead + kid[:42] + nextInGroup(kid[42:]) + tail,
		"kid not base64url":   headerHead + kid[:42] + "!" + tail,
		"kid with line end":   headerHead + kid[:42] + "\n" + tail,
		"kid escaped":         headerHead + `\u00` + kid[:39] + tail,
		"space":               reword(t, right, `:`, `: `),
		"space, as long":      `{"alg":"RS256", "kid":"` + kid + `","typ":"JW"}`,
		"trailing data":       right + " ",
		"empty object":        "{}",
		"empty":               "",
		"list":                "[" + right + "]",
		"escaped member name": reword(t, right, `alg`, `\u0061lg`),
	} {
		if name == "kid not canonical" && header == right {
			t.Fatal("the kid is as it was")
		}
		_, err := testVerifier().Verify(own.sign(header, accessPayload))
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error %v, want ErrMalformed", name, err)
		}
	}
	if _, err := testVerifier().Verify(own.sign(headerAs(typ, KID{1}), accessPayload)); !errors.Is(err, ErrUnknown) {
		t.Errorf("another kid: error %v, want ErrUnknown", err)
	}
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// nextInGroup returns another last character that differs only in unused bits: a lax decoder returns the
// same bytes for it.
func nextInGroup(last string) string {
	return string(alphabet[strings.Index(alphabet, last)^1])
}

func respell(part string) string { return part[:len(part)-1] + nextInGroup(part[len(part)-1:]) }

// Every change of the token is refused, even if its decoded bytes are unchanged.
func TestVerifyRefusesOtherSpellings(t *testing.T) {
	// Payloads of every length modulo 3: only some lengths leave unused bits at the end, which allow
	// several spellings.
	for i := range 6 {
		pad, typ := strings.Repeat("x", i%3), types[i/3]
		payload := reword(t, accessPayload, "gold", "gold"+pad)
		token := ownPair().tokenAs(typ, payload)
		if _, err := testVerifier().Verify(token); err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(token, ".")
		head, pay, sig := parts[0], parts[1], parts[2]
		standard := func(part string) string { return strings.NewReplacer("-", "+", "_", "/").Replace(part) }
		spellings := map[string]string{
			"empty":                   "",
			"dots":                    "..",
			"two parts":               head + "." + pay,
			"two parts and a dot":     head + "." + pay + ".",
			"four parts":              token + "." + sig,
			"a dot after":             token + ".",
			"a dot in front":          "." + token,
			"no header":               "." + pay + "." + sig,
			"scheme":                  "Bearer " + token,
			"space in front":          " " + token,
			"space after":             token + " ",
			"LF after":                token + "\n",
			"CR LF after":             token + "\r\n",
			"LF in the header":        head[:40] + "\n" + head[40:] + "." + pay + "." + sig,
			"LF in the payload":       head + "." + pay[:40] + "\n" + pay[40:] + "." + sig,
			"CR LF in the payload":    head + "." + pay[:40] + "\r\n" + pay[40:] + "." + sig,
			"four LF in the payload":  head + "." + pay[:40] + "\n\n\n\n" + pay[40:] + "." + sig,
			"LF in the signature":     head + "." + pay + "." + sig[:40] + "\n" + sig[40:],
			"four LF in the sig":      head + "." + pay + "." + sig[:40] + "\n\n\n\n" + sig[40:],
			"LF for a character":      head + "." + pay + "." + sig[:40] + "\n" + sig[41:],
			"padded header":           head + "==." + pay + "." + sig,
			"padded payload":          head + "." + pay + "=." + sig,
			"padded signature":        token + "==",
			"standard signature":      head + "." + pay + "." + standard(sig),
			"header not canonical":    respell(head) + "." + pay + "." + sig,
			"signature not canonical": head + "." + pay + "." + respell(sig),
			"signature cut":           token[:len(token)-1],
			"signature longer":        token + "A",
			"signature four longer":   token + "AAAA",
			"JSON serialization":      `{"payload":"` + pay + `","protected":"` + head + `","signature":"` + sig + `"}`,
			"JSON in three parts":     `{"payload":"` + pay + `.","protected":"` + head + `.","signature":"` + sig + `"}`,
			"NUL after":               token + "\x00",
			"not ASCII":               head + "." + pay + "." + sig[:340] + "é",
			"oversize":                token + strings.Repeat("A", MaxTokenLen),
			"oversize payload":        ownPair().tokenAs(typ, reword(t, payload, "gold", strings.Repeat("x", MaxTokenLen))),
		}
		if len(pay)%4 != 0 {
			spellings["payload not canonical"] = head + "." + respell(pay) + "." + sig
		}
		for name, text := range spellings {
			if text == token {
				if name != "standard signature" { // one in 30,000 has neither - nor _
					t.Fatalf("%s: the token is as it was", name)
				}
				continue
			}
			_, err := testVerifier().Verify(text)
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: error %v, want ErrMalformed", name, err)
			} else if message := err.Error(); strings.Contains(message, sig[:16]) || strings.Contains(message, pay[:16]) {
				t.Errorf("%s: the error quotes the token", name)
			}
		}
	}
}

func TestLongestToken(t *testing.T) {
	fill := ""
	token := ownPair().token(reword(t, testPayload, "gold", fill))
	for len(token) < MaxTokenLen-3 {
		fill += strings.Repeat("x", (MaxTokenLen-len(token))*3/4)
		token = ownPair().token(reword(t, testPayload, "gold", fill))
	}
	if _, err := testVerifier().Verify(token); err != nil || len(token) > MaxTokenLen {
		t.Errorf("a token of %d bytes: %v", len(token), err)
	}
}

// withSignature returns the token with another signature.
func withSignature(token string, sig []byte) string {
	return token[:strings.LastIndexByte(token, '.')+1] + base64.RawURLEncoding.EncodeToString(sig)
}

func TestVerifyRefusesOtherSignatures(t *testing.T) {
	own, other := ownPair(), otherPair()
	token := own.token(testPayload)
	parts := strings.Split(token, ".")
	sig := own.signature(parts[0] + "." + parts[1])
	flip := func(i int) []byte { b := slices.Clone(sig); b[i] ^= 1; return b }
	for name, test := range map[string]struct {
		token string
		want  error
	}{
		"another key's":       {other.sign(headerOf(own.key.kid), testPayload), ErrSignature},
		"own, another's kid":  {own.sign(headerOf(other.key.kid), testPayload), ErrSignature},
		"another payload":     {parts[0] + "." + encode(reword(t, testPayload, "cust_1", "cust_2")) + "." + parts[2], ErrSignature},
		"no payload":          {parts[0] + ".." + parts[2], ErrSignature},
		"first bit":           {withSignature(token, flip(0)), ErrSignature},
		"last bit":            {withSignature(token, flip(255)), ErrSignature},
		"zeros":               {withSignature(token, make([]byte, 256)), ErrSignature},
		"one":                 {withSignature(token, big.NewInt(1).FillBytes(make([]byte, 256))), ErrSignature},
		"the modulus":         {withSignature(token, own.key.Modulus()), ErrSignature},
		"ones":                {withSignature(token, slices.Repeat([]byte{0xff}, 256)), ErrSignature},
		"zero byte in front":  {withSignature(token, append([]byte{0}, sig...)), ErrMalformed},
		"zero byte after":     {withSignature(token, append(slices.Clone(sig), 0)), ErrMalformed},
		"first byte missing":  {withSignature(token, sig[1:]), ErrMalformed},
		"none":                {withSignature(token, nil), ErrMalformed},
		"HMAC by the modulus": {withSignature(token, make([]byte, 32)), ErrMalformed},
	} {
		if _, err := testVerifier(other.key).Verify(test.token); !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", name, err, test.want)
		}
	}
}

// A signature is a number. A signature that is equal modulo n, or that lacks leading zeros, must be refused.
func TestSignatureHasOneSpelling(t *testing.T) {
	own := ownPair()
	limit := new(big.Int).Lsh(big.NewInt(1), ModulusBits)
	var sum, zero bool
	for i := 0; !sum || !zero; i++ {
		if i == 20_000 {
			t.Fatal("no signature of the kind that is looked for")
		}
		token := own.token(reword(t, testPayload, "gold", strings.Repeat("x", i%3000)+string(rune('a'+i/3000))))
		sig, err := base64.RawURLEncoding.DecodeString(token[strings.LastIndexByte(token, '.')+1:])
		if err != nil {
			t.Fatal(err)
		}
		if more := new(big.Int).SetBytes(sig); !sum && more.Add(more, own.private.N).Cmp(limit) < 0 {
			sum = true
			text := withSignature(token, more.FillBytes(make([]byte, 256)))
			if _, err := testVerifier().Verify(text); !errors.Is(err, ErrSignature) {
				t.Errorf("signature plus modulus: error %v, want ErrSignature", err)
			}
		}
		if !zero && sig[0] == 0 {
			zero = true
			if _, err := testVerifier().Verify(token); err != nil {
				t.Errorf("a leading zero: %v", err)
			}
			if _, err := testVerifier().Verify(withSignature(token, sig[1:])); !errors.Is(err, ErrMalformed) {
				t.Errorf("without its leading zero: error %v, want ErrMalformed", err)
			}
		}
	}
}

func TestPublishedOrRefused(t *testing.T) {
	token := ownPair().token(testPayload)
	table := tableOf(t, 1, testKeys(t, 40, 10)...)
	verifier := testVerifier()
	verifier.Keys = table
	for _, step := range []struct {
		change Change
		want   error
	}{
		{Change{Version: 2}, ErrUnknown},
		{Change{Version: 3, Add: []Key{ownPair().key}}, nil},
		{Change{Version: 4, Add: []Key{otherPair().key}}, nil},
		{Change{Version: 5, Remove: []KID{ownPair().key.kid}}, ErrUnknown},
	} {
		if err := table.Apply(step.change); err != nil {
			t.Fatal(err)
		}
		if _, err := verifier.Verify(token); !errors.Is(err, step.want) {
			t.Errorf("version %d: error %v, want %v", step.change.Version, err, step.want)
		}
	}
}

func TestKIDOf(t *testing.T) {
	own := ownPair()
	for _, typ := range types {
		token := own.tokenAs(typ, accessPayload)
		head, _, _ := strings.Cut(token, ".")
		for _, text := range []string{token, head, head + "."} {
			if kid, err := KIDOf(text); err != nil || kid != own.key.KID() {
				t.Errorf("got %s, %v", kid, err)
			}
		}
		for _, text := range []string{"", ".", head[:len(head)-1], head + "A", token[1:], strings.Repeat("A", len(head))} {
			if _, err := KIDOf(text); !errors.Is(err, ErrMalformed) {
				t.Errorf("%.20s: %v", text, err)
			}
		}
		if n := testing.AllocsPerRun(100, func() { _, _ = KIDOf(token) }); n > 0 {
			t.Errorf("takes %v allocations", n)
		}
	}
}

// The text that SigningInput and NewToken make is the same as that of an independent encoder, and Parse reads it.
func TestNewToken(t *testing.T) {
	own := ownPair()
	for _, typ := range types {
		for _, payload := range []string{accessPayload, "{}", ""} {
			input := SigningInput(typ, own.key.kid, []byte(payload))
			token := NewToken(input, own.signature(input)).Reveal()
			if want := own.tokenAs(typ, payload); token != want {
				t.Errorf("%s: %s, want %s", typ, token, want)
			}
			parsed, err := Parse(token)
			if err != nil || parsed.Type != typ || parsed.KID != own.key.kid || string(parsed.Payload) != payload || parsed.Check(own.key) != nil {
				t.Errorf("%s: %+v, %v", typ, parsed, err)
			}
		}
	}
}
