package jwks

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// Burnkey accepts the example key of RFC 7638 section 3.1.
const (
	rfcModulus = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n" +
		"3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6" +
		"qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	rfcKID = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
)

func rfcKey(tb testing.TB) Key {
	tb.Helper()
	n, err := base64.RawURLEncoding.DecodeString(rfcModulus)
	if err != nil {
		tb.Fatal(err)
	}
	key, err := FromModulus(n)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func TestKIDIsTheThumbprint(t *testing.T) {
	if got := kidOf(rfcKey(t)).String(); got != rfcKID {
		t.Errorf("kid of RFC 7638's key = %s, want %s", got, rfcKID)
	}
	// Compare with jwx for keys without a published thumbprint.
	for _, key := range testKeys(t, 1, 20) {
		theirs, err := jwk.FromRaw(key.PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		sum, err := theirs.Thumbprint(crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if got := key.KID(); !bytes.Equal(got[:], sum) {
			t.Errorf("kid %x, jwx says %x", got, sum)
		}
	}
}

func TestParseKID(t *testing.T) {
	kid, err := ParseKID(rfcKID)
	if err != nil || kid.String() != rfcKID || kid != kidOf(rfcKey(t)) {
		t.Fatalf("ParseKID(%s) = %s, %v", rfcKID, kid, err)
	}
	if lower, err := ParseKID(swapCase(rfcKID)); err == nil && lower == kid {
		t.Error("kids that differ in case are equal")
	}
	for name, text := range map[string]string{
		"empty":             "",
		"short":             rfcKID[:42],
		"long":              rfcKID + "A",
		"padded":            rfcKID + "=",
		"padding inside":    rfcKID[:42] + "=",
		"standard alphabet": strings.ReplaceAll(strings.ReplaceAll(rfcKID, "-", "+"), "_", "/"),
		"not canonical":     rfcKID[:42] + "t", // s and t differ in bits that no byte takes
		"CR at the end":     rfcKID[:42] + "\r",
		"LF at the front":   "\n" + rfcKID[:42],
		"LF added":          rfcKID + "\n",
		"LF inside, longer": rfcKID[:20] + "\n" + rfcKID[20:],
		"CR LF inside":      rfcKID[:20] + "\r\n" + rfcKID[22:],
		"space":             rfcKID[:42] + " ",
		"NUL":               rfcKID[:42] + "\x00",
		"not ASCII":         rfcKID[:41] + "é",
	} {
		if got, err := ParseKID(text); !errors.Is(err, ErrKey) || got != (KID{}) {
			t.Errorf("%s: ParseKID = %v, %v, want none and ErrKey", name, got, err)
		}
	}
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r - 32
		} else if r >= 'A' && r <= 'Z' {
			return r + 32
		}
		return r
	}, s)
}

func TestFromPublicKeyRefuses(t *testing.T) {
	right := rfcKey(t).PublicKey()
	if key, err := FromPublicKey(right); err != nil || key != rfcKey(t) {
		t.Fatalf("FromPublicKey = %v, %v", key.KID(), err)
	}
	for name, pub := range map[string]*rsa.PublicKey{
		"nil":          nil,
		"no modulus":   {E: Exponent},
		"e = 3":        {N: right.N, E: 3},
		"e = 0":        {N: right.N},
		"zero":         {N: new(big.Int), E: Exponent},
		"negative":     {N: new(big.Int).Neg(right.N), E: Exponent},
		"even":         {N: new(big.Int).Add(right.N, big.NewInt(1)), E: Exponent},
		"1024 bits":    {N: modulusOf(1024), E: Exponent},
		"2047 bits":    {N: modulusOf(2047), E: Exponent},
		"2049 bits":    {N: modulusOf(2049), E: Exponent},
		"4096 bits":    {N: modulusOf(4096), E: Exponent},
		"one too much": {N: right.N, E: Exponent + 2},
	} {
		if _, err := FromPublicKey(pub); !errors.Is(err, ErrKey) {
			t.Errorf("%s: error %v, want ErrKey", name, err)
		}
	}
	padded := append([]byte{0}, rfcKey(t).Modulus()...)
	if _, err := FromModulus(padded); !errors.Is(err, ErrKey) {
		t.Errorf("a modulus after a zero byte: error %v, want ErrKey", err)
	}
}

// members contains the members of a JWK, for tests that change them.
type members map[string]any

func (m members) json(t *testing.T) []byte {
	t.Helper()
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func rfcMembers() members {
	return members{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": rfcKID, "n": rfcModulus, "e": "AQAB"}
}

// badJWKs returns JWKs that are refused, alone and in a set.
func badJWKs(t *testing.T) map[string][]byte {
	with := func(change members) []byte {
		m := rfcMembers()
		for name, value := range change {
			if value == nil {
				delete(m, name)
			} else {
				m[name] = value
			}
		}
		return m.json(t)
	}
	modulus := func(n *big.Int) members {
		return members{"n": base64.RawURLEncoding.EncodeToString(n.Bytes()), "kid": nil}
	}
	private, err := jwk.FromRaw(ownPair().private)
	if err != nil {
		t.Fatal(err)
	}
	privateJSON, err := json.Marshal(private)
	if err != nil {
		t.Fatal(err)
	}
	whole := string(with(nil))
	return map[string][]byte{
		"private":          privateJSON,
		"d alone":          with(members{"d": "AQAB"}),
		"symmetric":        []byte(`{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T"}`),
		"elliptic":         []byte(`{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`),
		"1024 bits":        with(modulus(modulusOf(1024))),
		"4096 bits":        with(modulus(modulusOf(4096))),
		"even":             with(modulus(new(big.Int).Add(rfcKey(t).PublicKey().N, big.NewInt(1)))),
		"e = 3":            with(members{"e": "Aw"}),
		"e of 65 bits":     with(members{"e": "AQAAAAAAAQAB"}),
		"e with a zero":    with(members{"e": "AAEAAQ"}),
		"no e":             with(members{"e": nil}),
		"no n":             with(members{"n": nil}),
		"no kty":           with(members{"kty": nil}),
		"another kid":      with(members{"kid": testKeys(t, 2, 1)[0].KID().String()}),
		"kid in lowercase": with(members{"kid": strings.ToLower(rfcKID)}),
		"kid of a number":  with(members{"kid": 7}),
		"alg RS512":        with(members{"alg": "RS512"}),
		"alg PS256":        with(members{"alg": "PS256"}),
		"alg HS256":        with(members{"alg": "HS256"}),
		"alg none":         with(members{"alg": "none"}),
		"use enc":          with(members{"use": "enc"}),
		"n twice":          []byte(strings.Replace(whole, `{`, `{"n":"`+rfcModulus+`",`, 1)),
		"trailing brace":   []byte(whole + "}"),
		"two":              []byte(whole + whole),
		"cut short":        []byte(whole[:len(whole)-1]),
		"null":             []byte("null"),
		"empty object":     []byte("{}"),
		"list":             []byte("[" + whole + "]"),
		"empty":            nil,
	}
}

func TestParseKey(t *testing.T) {
	want := rfcKey(t)
	bare := members{"kty": "RSA", "n": rfcModulus, "e": "AQAB"}
	for name, data := range map[string][]byte{
		"whole": rfcMembers().json(t), "no kid, alg or use": bare.json(t), "own form": want.AppendJWK(nil),
	} {
		if got, err := ParseKey(data); err != nil || got != want {
			t.Errorf("%s: ParseKey = %s, %v", name, got.KID(), err)
		}
		var got Key
		if err := json.Unmarshal(data, &got); err != nil || got != want {
			t.Errorf("%s: UnmarshalJSON = %s, %v", name, got.KID(), err)
		}
	}
	for name, data := range badJWKs(t) {
		if got, err := ParseKey(data); !errors.Is(err, ErrKey) || got != (Key{}) {
			t.Errorf("%s: ParseKey = %s, %v, want none and ErrKey", name, got.KID(), err)
		}
	}
}

func TestParseSet(t *testing.T) {
	keys := testKeys(t, 3, 5)
	text := string(plainBytes(t, buildSet(t, 1, keys...)))
	got, err := ParseSet([]byte(text))
	if err != nil || len(got) != len(keys) {
		t.Fatalf("ParseSet = %d keys, %v", len(got), err)
	}
	for i := range keys {
		if got[i] != keys[i] {
			t.Errorf("key %d = %s, want %s", i, got[i].KID(), keys[i].KID())
		}
	}
	if got, err := ParseSet([]byte(`{"extension":1,"keys":[]}`)); err != nil || len(got) != 0 {
		t.Errorf("an empty set: %d keys, %v", len(got), err)
	}
	good := string(keys[0].AppendJWK(nil))
	bad := map[string]string{
		// Each of these inputs was once read as a set with no keys or with too few keys.
		"trailing data": text + "x", "a second set": text + `{"keys":[]}`, "keys twice": `{"keys":[` + good + `],"keys":[]}`,
		"keys null": `{"keys":null}`, "cut short": text[:len(text)-1], "one key": good,
		"problem": `{"title":"Internal Server Error","status":500}`, "empty object": `{}`, "list": `[]`, "null": `null`,
		"empty": ``, "keys an object": `{"keys":{}}`, "page": `<html>`, "in capitals": `{"KEYS":[]}`,
	}
	for name, data := range badJWKs(t) {
		bad["with "+name] = `{"keys":[` + good + `,` + string(data) + `]}`
	}
	for name, data := range bad {
		if got, err := ParseSet([]byte(data)); !errors.Is(err, ErrKey) || got != nil {
			t.Errorf("%s: ParseSet = %d keys, %v, want none and ErrKey", name, len(got), err)
		}
	}
}

func TestAppendJWK(t *testing.T) {
	for _, key := range append(testKeys(t, 4, 20), rfcKey(t)) {
		data := key.AppendJWK([]byte("before"))
		text, ok := bytes.CutPrefix(data, []byte("before"))
		if !ok || len(text) != JWKLen {
			t.Fatalf("AppendJWK has %d bytes, want %d after the existing ones", len(text), JWKLen)
		}
		theirs, err := jwk.ParseKey(text)
		if err != nil {
			t.Fatal(err)
		}
		var pub rsa.PublicKey
		if err := theirs.Raw(&pub); err != nil || !pub.Equal(key.PublicKey()) {
			t.Errorf("jwx reads another key: %v", err)
		}
		if theirs.KeyID() != key.KID().String() || theirs.Algorithm().String() != "RS256" || theirs.KeyUsage() != "sig" {
			t.Errorf("jwx reads kid %s, alg %s, use %s", theirs.KeyID(), theirs.Algorithm(), theirs.KeyUsage())
		}
		if marshalled, err := json.Marshal(key); err != nil || !bytes.Equal(marshalled, text) {
			t.Errorf("json.Marshal = %s, %v", marshalled, err)
		}
	}
}

// A caller that changes the result of Modulus must not change the key.
func TestModulusIsACopy(t *testing.T) {
	key := rfcKey(t)
	key.Modulus()[0] = 0
	if key != rfcKey(t) {
		t.Error("the key has changed")
	}
}

func TestChangeJSON(t *testing.T) {
	keys := testKeys(t, 5, 1)
	for _, test := range []struct {
		change Change
		want   string
	}{
		{Change{Version: 7}, `{"version":7,"add":[],"remove":[]}`},
		{
			Change{Version: 8, Add: keys, Remove: []KID{keys[0].KID()}},
			`{"version":8,"add":[` + string(keys[0].AppendJWK(nil)) + `],"remove":["` + keys[0].KID().String() + `"]}`,
		},
	} {
		if got, err := json.Marshal(test.change); err != nil || string(got) != test.want {
			t.Errorf("change is %s, %v, want %s", got, err, test.want)
		}
	}
}

// Methods can be called on a Key in a map, and a Key is marshaled as a JWK everywhere.
func TestKeyIsAValue(t *testing.T) {
	key := rfcKey(t)
	set := map[string]Key{"a": key}
	if set["a"].KID() != key.kid || string(set["a"].AppendJWK(nil)) != jwkOf(key) {
		t.Error("a key in a map has another kid or JWK")
	}
	for want, value := range map[string]any{
		jwkOf(key): key, "[" + jwkOf(key) + "]": []Key{key}, `{"a":` + jwkOf(key) + `}`: set, `{"K":` + jwkOf(key) + `}`: struct{ K Key }{key},
	} {
		if got, err := json.Marshal(value); err != nil || string(got) != want {
			t.Errorf("%T is marshaled as %s, %v, want %s", value, got, err, want)
		}
	}
}
