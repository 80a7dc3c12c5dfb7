package jwks

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// payloadWith returns the test payload with one member replaced or added.
func payloadWith(t *testing.T, name, value string) string {
	t.Helper()
	var all map[string]jsontext.Value
	if err := json.Unmarshal([]byte(testPayload), &all); err != nil {
		t.Fatal(err)
	}
	delete(all, name)
	rest, err := json.Marshal(all, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	if value == "" {
		return string(rest)
	}
	return `{"` + name + `":` + value + `,` + string(rest[1:])
}

func TestClaimsRefused(t *testing.T) {
	payloads := map[string]string{
		"trailing data":       testPayload + "x",
		"second object":       testPayload + "{}",
		"cut short":           testPayload[:len(testPayload)-1],
		"list":                "[" + testPayload + "]",
		"string":              `"x"`,
		"null":                "null",
		"empty":               "",
		"empty object":        "{}",
		"invalid UTF-8":       reword(t, testPayload, "gold", "\xff"),
		"deep":                reword(t, testPayload, `"gold"`, strings.Repeat("[", 11_000)),
		"iss in capitals":     reword(t, testPayload, `"iss"`, `"ISS"`),
		"byte order mark":     "\ufeff" + testPayload,
		"own claim twice":     reword(t, testPayload, `"plan"`, `"plan":"free","plan"`),
		"twice, escaped":      reword(t, testPayload, `"plan"`, `"pl\u0061n":"free","plan"`),
		"twice, inside":       reword(t, testPayload, `"gold"`, `{"a":1,"a":2}`),
		"lone surrogate":      reword(t, testPayload, `gold`, `\ud800`),
		"trailing comma":      reword(t, testPayload, `"gold"`, `"gold",`),
		"comment":             reword(t, testPayload, `"plan"`, `/**/"plan"`),
		"NaN":                 reword(t, testPayload, `"gold"`, `NaN`),
		"exp twice, escaped":  reword(t, testPayload, `"exp"`, `"\u0065xp":9999999999,"exp"`),
		"nbf":                 payloadWith(t, "nbf", "1"),
		"nbf null":            payloadWith(t, "nbf", "null"),
		"aud with an empty":   payloadWith(t, "aud", `["acme-company",null]`),
		"aud with a number":   payloadWith(t, "aud", `["acme-company",1]`),
		"aud in another list": payloadWith(t, "aud", `[["acme-company"]]`),
		// RFC 7519 section 4.1.3 allows a string, but Burnkey always writes a list.
		"aud a string": payloadWith(t, "aud", `"acme-company"`),
	}
	for _, name := range []string{"iss", "sub", "aud", "jti"} {
		payloads["no "+name] = payloadWith(t, name, "")
		for _, value := range []string{"null", `""`, "1", "true", "{}", "[]"} {
			payloads[name+" "+value] = payloadWith(t, name, value)
		}
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat", "jti", "scope"} {
		payloads[name+" twice"] = reword(t, testPayload, `"`+name+`"`, `"`+name+`":1,"`+name+`"`)
	}
	for _, name := range []string{"exp", "iat"} {
		for _, value := range []string{
			`"1700003600"`, "1.5", "1700003600.0", "17e8", "null", "true", "[]", "{}",
			"9223372036854775808", "1e400", "123456789012345678901234567890", "-9223372036854775809",
		} {
			payloads[name+" "+value] = payloadWith(t, name, value)
		}
	}
	for _, value := range []string{"0", "-1", "-0", "-9223372036854775808", "-62135596800"} {
		payloads["exp "+value] = payloadWith(t, "exp", value)
	}
	for _, value := range []string{"null", "1", `["maps:read"]`} {
		payloads["scope "+value] = payloadWith(t, "scope", value)
	}
	for name, payload := range payloads {
		claims, err := testVerifier().Verify(ownPair().token(payload))
		if !errors.Is(err, ErrClaims) || claims != nil {
			t.Errorf("%s: claims %v, error %v, want ErrClaims", name, claims, err)
		}
	}
}

func TestClaimsAccepted(t *testing.T) {
	for name, payload := range map[string]string{
		"no exp":            payloadWith(t, "exp", ""),
		"no scope":          payloadWith(t, "scope", ""),
		"no own claim":      payloadWith(t, "plan", ""),
		"one audience":      payloadWith(t, "aud", `["acme-company"]`),
		"another order":     payloadWith(t, "aud", `["x","acme-company"]`),
		"white space":       " \t\r\n" + strings.ReplaceAll(testPayload, ",", " ,\n"),
		"escaped":           reword(t, testPayload, `cust_1`, `\u0063ust_1`),
		"own null":          payloadWith(t, "plan", `null`),
		"own object":        payloadWith(t, "plan", `{"tier":[1,2.5,{"a":null}]}`),
		"exp far away":      payloadWith(t, "exp", "253402300799"),
		"the last exp":      payloadWith(t, "exp", "4611686018427387904"),
		"iat in the future": payloadWith(t, "iat", "9999999999"),
	} {
		if _, err := testVerifier().Verify(ownPair().token(payload)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	claims, err := testVerifier().Verify(ownPair().token(payloadWith(t, "exp", "")))
	if err != nil || claims.Expiry != 0 || !claims.ExpiresAt().IsZero() {
		t.Errorf("a token without exp ends at %v, %v", claims.ExpiresAt(), err)
	}
}

func TestExpiry(t *testing.T) {
	end := time.Unix(testExpiry, 0)
	for _, test := range []struct {
		name, payload string
		now           time.Time
		want          error
	}{
		{"one second before", testPayload, end.Add(-time.Second), nil},
		{"one nanosecond before", testPayload, end.Add(-1), nil},
		{"exactly then", testPayload, end, ErrExpired},
		{"in another zone", testPayload, end.In(time.FixedZone("", 3600)), ErrExpired},
		{"after", testPayload, end.Add(time.Second), ErrExpired},
		{"no exp", payloadWith(t, "exp", ""), end.AddDate(1000, 0, 0), nil},
		// An exp that is too late for a time.Time is refused rather than accepted forever.
		{"beyond time", payloadWith(t, "exp", strconv.Itoa(math.MaxInt64)), end, ErrExpired},
	} {
		verifier := testVerifier()
		verifier.Now = func() time.Time { return test.now }
		token := ownPair().token(test.payload)
		if _, err := verifier.Verify(token); !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", test.name, err, test.want)
		}
		if _, err := verifier.Authentic(token); err != nil {
			t.Errorf("%s: not authentic: %v", test.name, err)
		}
	}
	verifier := testVerifier()
	verifier.Now = nil // the present time, years after exp
	if _, err := verifier.Verify(ownPair().token(testPayload)); !errors.Is(err, ErrExpired) {
		t.Errorf("by the system's clock: %v, want ErrExpired", err)
	}
}

func TestIssuerAndAudience(t *testing.T) {
	is := func(want string) func(string) bool { return func(iss string) bool { return iss == want } }
	for _, test := range []struct {
		name     string
		issuer   func(string) bool
		audience []string
		want     error
	}{
		{"both", is(testIssuer), []string{"acme-company"}, nil},
		{"one of two", is(testIssuer), []string{"other", "acme-test"}, nil},
		{"no audience named", is(testIssuer), nil, ErrAudience},
		{"no issuer", nil, nil, ErrIssuer},
		{"another issuer", is(testIssuer + "/"), nil, ErrIssuer},
		{"another audience", is(testIssuer), []string{"other"}, ErrAudience},
		{"a part of one", is(testIssuer), []string{"acme"}, ErrAudience},
		{"in capitals", is(testIssuer), []string{"ACME-COMPANY"}, ErrAudience},
		{"empty", is(testIssuer), []string{""}, ErrAudience},
		{"neither", is("x"), []string{"x"}, ErrIssuer},
	} {
		verifier := testVerifier()
		verifier.Issuer, verifier.Audience = test.issuer, test.audience
		claims, err := verifier.Verify(ownPair().token(testPayload))
		if !errors.Is(err, test.want) || (claims == nil) != (test.want != nil) {
			t.Errorf("%s: claims %v, error %v, want %v", test.name, claims, err, test.want)
		}
	}
	verifier := testVerifier()
	verifier.Audience, verifier.AnyAudience = nil, true
	if _, err := verifier.Verify(ownPair().token(testPayload)); err != nil {
		t.Errorf("any audience: %v", err)
	}
}

func TestClaimsMarshal(t *testing.T) {
	for _, test := range []struct {
		claims Claims
		want   string // empty: refused
	}{
		{
			Claims{
				Issuer: "i", Subject: "s", Audience: []string{"a", "b"}, ID: "j", IssuedAt: 1, Expiry: 2, Scope: "x y",
				Extra: []byte(`{"z":1,"a":{"b":[]}}`),
			},
			`{"iss":"i","sub":"s","aud":["a","b"],"jti":"j","iat":1,"exp":2,"scope":"x y","z":1,"a":{"b":[]}}`,
		},
		{
			Claims{Issuer: "i", Subject: "s", Audience: []string{"a"}, ID: "j", IssuedAt: 1},
			`{"iss":"i","sub":"s","aud":["a"],"jti":"j","iat":1}`,
		},
		{Claims{Extra: []byte(`{}`)}, `{"iss":"","sub":"","aud":[],"jti":"","iat":0}`},
		{Claims{Extra: []byte(`{"iss":"other"}`)}, ""},
		{Claims{Expiry: 1, Extra: []byte(`{"exp":2}`)}, ""},
		{Claims{Extra: []byte(`{"a":1,"a":2}`)}, ""},
		{Claims{Extra: []byte(`[]`)}, ""},
		{Claims{Extra: []byte(`{"a":1}}`)}, ""},
	} {
		got, err := json.Marshal(&test.claims)
		if (err != nil) != (test.want == "") || err == nil && string(got) != test.want {
			t.Errorf("claims are %s, %v, want %s", got, err, test.want)
		}
	}
}

func TestReserved(t *testing.T) {
	for _, name := range strings.Fields("iss sub aud exp nbf iat jti scope rate_limit client_id key_id key_kid key_imported act") {
		if !Reserved(name) {
			t.Errorf("%s is not reserved", name)
		}
	}
	for _, name := range []string{"", "plan", "ISS", "scp", "iss "} {
		if Reserved(name) {
			t.Errorf("%q is reserved", name)
		}
	}
}
