package jwks

import (
	"bytes"
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
)

// judge reads a JWK with jwx.
func judge(data []byte) (Key, error) {
	if !jsontext.Value(data).IsValid() { // jwx ignores what follows, and the first of two members
		return Key{}, errors.New("not JSON")
	}
	if _, deep := TooDeep(data, MaxDepth); deep {
		return Key{}, errors.New("too deep")
	}
	parsed, err := jwk.ParseKey(data)
	if err != nil {
		return Key{}, err
	}
	pub, ok := parsed.(jwk.RSAPublicKey)
	if !ok {
		return Key{}, errors.New("not an RSA public key")
	}
	if alg := pub.Algorithm(); alg != nil && alg.String() != "" && alg != jwa.RS256 {
		return Key{}, errors.New("alg")
	}
	if use := pub.KeyUsage(); use != "" && use != "sig" {
		return Key{}, errors.New("use")
	}
	if !bytes.Equal(pub.E(), []byte{1, 0, 1}) {
		return Key{}, errors.New("e")
	}
	key, err := FromModulus(pub.N())
	if err == nil && pub.KeyID() != "" && pub.KeyID() != key.kid.String() {
		return Key{}, errors.New("kid")
	}
	return key, err
}

// judged fails the test unless ParseKey agrees with jwx. There are two exceptions, because jwx uses
// encoding/json: jwx ignores the case of the names kty and d, and refuses a number that no float64 can hold
// even in an unknown member.
func judged(tb testing.TB, data []byte) {
	tb.Helper()
	got, err := ParseKey(data)
	want, wantErr := judge(data)
	if err != nil && (!errors.Is(err, ErrKey) || got != (Key{})) {
		tb.Errorf("%.700q: %v, %v", data, got.kid, err)
	}
	if (err == nil) == (wantErr == nil) && got == want || otherCase(data) {
		return
	}
	if err == nil && strings.Contains(wantErr.Error(), "cannot unmarshal number") {
		return
	}
	tb.Errorf("%.700q: ParseKey says %v, jwx %v", data, err, wantErr)
}

// otherCase reports whether a member has the name kty or d with an upper-case letter.
func otherCase(data []byte) bool {
	var m map[string]jsontext.Value
	_ = json.Unmarshal(data, &m)
	return slices.ContainsFunc(slices.Collect(maps.Keys(m)), func(name string) bool {
		return name != "kty" && strings.EqualFold(name, "kty") || name == "D"
	})
}

func TestParseKeyAgreesWithJWX(t *testing.T) {
	values := []string{
		`null`, `""`, `"x"`, `7`, `1e999`, `true`, `[]`, `["x"]`, `[null]`, `[7]`, `{}`, `{"a":1,"a":2}`, `"\ud800"`, "\"\xff\"",
		strings.Repeat("[", 40) + strings.Repeat("]", 40), `"RSA"`, `"rsa"`, `"EC"`, `"oct"`, `"OKP"`, `"RS256"`, `"rs256"`, `"PS256"`,
		`"RSA-OAEP"`, `"sig"`, `"enc"`, `"AQAB"`, `"AQ\nAB"`, `"AQAB\n"`, `"AQAB="`, `"AQAB===="`, `"AAEAAQ"`, `"AQABAA"`, `"` + rfcKID + `"`,
		`"` + rfcKID + `="`, `"` + respell(rfcKID) + `"`,
	}
	names := []string{
		"kty", "use", "alg", "kid", "n", "e", "d", "p", "q", "dp", "dq", "qi", "oth", "k", "key_ops", "x5c", "x5u", "x5t", "x5t#S256", "exp", "",
		"KID", "Use", "N",
	}
	for _, name := range names {
		for _, value := range values {
			m := maps.Clone(rfcRaw())
			m[name] = value
			judged(t, m.text())
			if _, known := rfcRaw()[name]; known {
				judged(t, append(bytes.TrimSuffix(rfcRaw().text(), []byte("}")), `,"`+name+`":`+value+`}`...)) // twice
			}
		}
		m := maps.Clone(rfcRaw())
		delete(m, name)
		judged(t, m.text())
		delete(m, "kid")
		judged(t, m.text())
	}
}

func TestParseKeyAgreesWithJWXOnModuli(t *testing.T) {
	canonical := rfcModulus
	standard := strings.NewReplacer("-", "+", "_", "/").Replace(canonical)
	bytes256, err := base64.RawURLEncoding.DecodeString(canonical)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{
		canonical, standard, canonical + "==", standard + "==", canonical + "=", canonical + "===", respell(canonical), respell(standard) + "==",
		canonical[:100] + `\n` + canonical[100:], canonical[:100] + ` ` + canonical[100:], canonical[:341], canonical[:340], canonical + "A",
		strings.Replace(canonical, "-", "+", 1), strings.Replace(canonical, "_", "/", 1), "",
		base64.RawURLEncoding.EncodeToString(append([]byte{0}, bytes256...)), base64.RawURLEncoding.EncodeToString(bytes256[1:]),
		base64.RawURLEncoding.EncodeToString(bytes256[:255]),
	} {
		m := rfcRaw()
		m["n"] = `"` + n + `"`
		judged(t, m.text())
		delete(m, "kid")
		judged(t, m.text())
	}
}

// ParseKey agrees with jwx about a JWK in which a byte is changed, missing or inserted.
func TestParseKeyAgreesWithJWXOnDamage(t *testing.T) {
	random := newRand(36)
	text := rfcRaw().text()
	for at := range text {
		damaged := bytes.Clone(text)
		damaged[at] ^= 1 << random.IntN(8)
		judged(t, damaged)
		judged(t, text[:at])
		judged(t, slices.Delete(bytes.Clone(text), at, at+1))
		judged(t, slices.Insert(bytes.Clone(text), at, byte(random.IntN(256))))
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte(rfcRaw().text()))
	f.Add([]byte(`{"kty":"RSA","n":"` + rfcModulus + `","e":"AQAB","x5c":["x"],"key_ops":["verify"],"x5t#S256":"x"}`))
	for _, text := range []string{`{"kty":"RSA","d":null}`, `{"kty":"EC"}`, `{"kty":"oct","k":"AA"}`, `null`, `[]`, `{`, ``} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) { judged(t, data) })
}

// raw is a JWK: a JSON value for each member's name.
type raw map[string]string

func rfcRaw() raw {
	return raw{"kty": `"RSA"`, "use": `"sig"`, "alg": `"RS256"`, "kid": `"` + rfcKID + `"`, "n": `"` + rfcModulus + `"`, "e": `"AQAB"`}
}

func (r raw) text() []byte {
	var members []string
	for _, name := range slices.Sorted(maps.Keys(r)) {
		members = append(members, `"`+name+`":`+r[name])
	}
	return []byte("{" + strings.Join(members, ",") + "}")
}

func BenchmarkParseKey(b *testing.B) {
	text := rfcRaw().text()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseKey(text); err != nil {
			b.Fatal(err)
		}
	}
}
