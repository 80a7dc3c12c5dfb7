package jwks

import (
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// tableVerifier is testVerifier with a Table.
func tableVerifier(tb testing.TB, keys ...Key) (*Verifier, *Table) {
	tb.Helper()
	v, table := testVerifier(), tableOf(tb, 1, append(keys, ownPair().key)...)
	v.Keys = table
	return v, table
}

// spoil changes a key's modulus in the Table, so that verification by RSA fails. A token that is still
// accepted was accepted without RSA.
func spoil(tb testing.TB, table *Table, kid KID) {
	tb.Helper()
	number, _, ok := table.pages.find(&kid)
	if !ok {
		tb.Fatal("the key is not there")
	}
	table.slots.At(number).N[10] ^= 1
}

func markOf(table *Table, kid KID) digest {
	number, _, _ := table.pages.find(&kid)
	return table.slots.At(number).Mark
}

func TestARepeatedTokenCostsNoRSA(t *testing.T) {
	v, table := tableVerifier(t)
	token := ownPair().token(testPayload)
	first, err := v.Verify(token)
	if err != nil {
		t.Fatal(err)
	}
	spoil(t, table, ownPair().key.kid)
	again, err := v.Verify(token)
	if err != nil || !reflect.DeepEqual(first, again) {
		t.Errorf("again: %+v, %v; at first: %+v", again, err, first)
	}
	if allocs := testing.AllocsPerRun(100, func() { err = errors.Join(err, v.VerifyInto(token, again)) }); allocs > 1 || err != nil {
		t.Errorf("%v allocations, %v", allocs, err)
	}
}

// After a token was verified, no other string is accepted in its place.
func TestNoForgeryProfits(t *testing.T) {
	v, table := tableVerifier(t)
	token := ownPair().token(testPayload)
	if _, err := v.Verify(token); err != nil {
		t.Fatal(err)
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range len(token) {
		altered := []byte(token)
		if at := strings.IndexByte(alphabet, token[i]); at >= 0 {
			altered[i] = alphabet[at^1]
		} else {
			altered[i] = 'A'
		}
		if _, err := v.Verify(string(altered)); err == nil {
			t.Fatalf("accepted with another character %d of %d", i, len(token))
		}
	}
	parts := strings.Split(token, ".")
	standard := base64.StdEncoding.EncodeToString([]byte(testPayload))
	for name, other := range map[string]string{
		"without a signature":    parts[0] + "." + parts[1] + ".",
		"another's signature":    parts[0] + "." + parts[1] + "." + strings.Split(otherPair().token(testPayload), ".")[2],
		"signed by another":      otherPair().sign(headerOf(ownPair().key.kid), testPayload),
		"padded":                 token + "=",
		"a line end":             token + "\n",
		"a line end within":      token[:200] + "\n" + token[200:],
		"four parts":             token + ".e30",
		"the standard alphabet":  parts[0] + "." + standard + "." + parts[2],
		"other payload":          parts[0] + "." + encode(strings.Replace(testPayload, "cust_1", "cust_2", 1)) + "." + parts[2],
		"twice":                  token + token,
		"with the word Bearer":   "Bearer " + token,
		"a longer, equal prefix": token + "A",
	} {
		if _, err := v.Verify(other); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if markOf(table, ownPair().key.kid) == (digest{}) {
		t.Error("the good token was forgotten")
	}
	spoil(t, table, ownPair().key.kid)
	if _, err := v.Verify(token); err != nil {
		t.Errorf("the good token: %v", err)
	}
}

// A token's issuer, audience and expiry are checked each time.
func TestARepeatedTokenIsStillChecked(t *testing.T) {
	v, _ := tableVerifier(t)
	token := ownPair().token(testPayload)
	for range 2 {
		now := time.Unix(testIssued, 0)
		v.Now = func() time.Time { return now }
		v.Audience, v.Issuer = []string{"acme-company"}, IssuerIs(testIssuer)
		if _, err := v.Verify(token); err != nil {
			t.Fatal(err)
		}
		now = time.Unix(testExpiry, 0)
		if _, err := v.Verify(token); !errors.Is(err, ErrExpired) {
			t.Errorf("expired: %v", err)
		}
		v.Audience = []string{"another"}
		if _, err := v.Verify(token); !errors.Is(err, ErrAudience) {
			t.Errorf("for another audience: %v", err)
		}
		v.Issuer = IssuerIs(testIssuer + "2")
		if _, err := v.Verify(token); !errors.Is(err, ErrIssuer) {
			t.Errorf("of another issuer: %v", err)
		}
	}
}

func TestARevokedKeyForgetsItsToken(t *testing.T) {
	v, table := tableVerifier(t, testKeys(t, 90, 5)...)
	own, token := ownPair().key, ownPair().token(testPayload)
	verify := func() error { _, err := v.Verify(token); return err }
	if err := verify(); err != nil {
		t.Fatal(err)
	}
	if err := table.Apply(Change{Version: 2, Remove: []KID{own.kid}}); err != nil {
		t.Fatal(err)
	}
	if err := verify(); !errors.Is(err, ErrUnknown) {
		t.Errorf("revoked: %v", err)
	}
	// Another key takes the slot. The token of the old key must not be accepted for the new key.
	if err := table.Apply(Change{Version: 3, Add: []Key{otherPair().key}}); err != nil {
		t.Fatal(err)
	}
	if markOf(table, otherPair().key.kid) != (digest{}) {
		t.Error("a key has another's mark")
	}
	if err := verify(); !errors.Is(err, ErrUnknown) {
		t.Errorf("its slot is another's: %v", err)
	}
	// A verification that ends after the revocation stores nothing.
	d := digest{1}
	table.remember(&own.kid, &d)
	if err := table.Apply(Change{Version: 4, Add: []Key{own}}); err != nil {
		t.Fatal(err)
	}
	spoil(t, table, own.kid)
	if err := verify(); !errors.Is(err, ErrSignature) {
		t.Errorf("published again, it was not verified again: %v", err)
	}
	// A fetched set keeps the hashes for keys that stay, and has no hashes for keys that return.
	v, table = tableVerifier(t)
	if err := verify(); err != nil {
		t.Fatal(err)
	}
	refill(t, table, buildSet(t, 2, own, otherPair().key))
	if markOf(table, own.kid) == (digest{}) {
		t.Error("a key that stayed published forgot its token")
	}
	refill(t, table, buildSet(t, 3, otherPair().key))
	refill(t, table, buildSet(t, 4, own))
	if markOf(table, own.kid) != (digest{}) {
		t.Error("a key that was gone remembers its token")
	}
}

// A second token of one key, which no server issues, is verified each time and does not replace the first
// token's hash.
func TestASecondTokenIsNotRemembered(t *testing.T) {
	v, table := tableVerifier(t)
	first := ownPair().token(testPayload)
	second := ownPair().token(strings.Replace(testPayload, "cust_1", "cust_2", 1))
	for _, token := range []string{first, second, second, first} {
		if _, err := v.Verify(token); err != nil {
			t.Fatal(err)
		}
	}
	spoil(t, table, ownPair().key.kid)
	if _, err := v.Verify(first); err != nil {
		t.Errorf("the first: %v", err)
	}
	if _, err := v.Verify(second); !errors.Is(err, ErrSignature) {
		t.Errorf("the second: %v", err)
	}
}

// Reading a payload again returns the same claims, in any accepted form of the payload.
func TestAnyFormOfPayloadReadsTheSameAgain(t *testing.T) {
	for name, test := range map[string]struct {
		payload    string
		remembered bool
	}{
		"own":              {testPayload, true},
		"no exp":           {reword(t, testPayload, `,"exp":1700003600`, ""), true},
		"no scope":         {reword(t, testPayload, `,"scope":"maps:read maps:write"`, ""), true},
		"no own claim":     {reword(t, testPayload, `,"plan":"gold"`, ""), true},
		"one audience":     {reword(t, testPayload, `,"acme-test"`, ""), true},
		"escaped":          {reword(t, testPayload, `cust_1`, `a\"b\\ü`), true},
		"escaped audience": {reword(t, testPayload, `acme-test`, `\"\\`), true},
		"own object":       {reword(t, testPayload, `"gold"`, `{"tier":[1,2.5,{"a":null}],"exp":7,"b":"}\""}`), true},
		"white space":      {strings.ReplaceAll(testPayload, ",", " ,\n"), false},
		"space in a list":  {strings.ReplaceAll(testPayload, `"acme-test"]`, `"acme-test" ]`), false},
		"exp after others": {
			strings.Replace(reword(t, testPayload, `,"exp":1700003600`, ""), `"plan":"gold"`, `"plan":"gold","exp":1700003600`, 1),
			false,
		},
		"scope after others": {
			strings.Replace(reword(t, testPayload, `,"scope":"maps:read maps:write"`, ""), `"plan":"gold"`, `"plan":"gold","scope":"x"`, 1),
			false,
		},
		"exp after scope": {
			strings.Replace(reword(t, testPayload, `,"exp":1700003600`, ""), `,"plan"`, `,"exp":1700003600,"plan"`, 1), false,
		},
		"an escaped name": {
			strings.Replace(reword(t, testPayload, `,"exp":1700003600`, ""), `"plan":"gold"`, `"\u0065xp":1700003600`, 1),
			false,
		},
		"iat with a fraction": {reword(t, testPayload, `1700000000`, `1700000000.5`), false},
		"a very late exp":     {reword(t, testPayload, `1700003600`, `4611686018427387904`), false},
	} {
		v, table := tableVerifier(t)
		token := ownPair().token(test.payload)
		want, wantErr := testVerifier().Verify(token)
		for round := range 3 {
			got, err := v.Verify(token)
			if fmt.Sprint(err) != fmt.Sprint(wantErr) || !reflect.DeepEqual(got, want) {
				t.Errorf("%s, time %d: %+v, %v, want %+v, %v", name, round, got, err, want, wantErr)
			}
		}
		if got := markOf(table, ownPair().key.kid) != (digest{}); got != (test.remembered && wantErr == nil) {
			t.Errorf("%s: remembered: %v", name, got)
		}
	}
}

// The fast reader accepts only payloads that the parser accepts, with the same claims.
func FuzzReadOwn(f *testing.F) {
	for _, payload := range []string{
		testPayload, "", "{", `{"iss":`, `{"iss":"`, `{"iss":"\`, `{"iss":"a","sub":"b","aud":["c`,
		`{"iss":"a","sub":"b","aud":["c"],"jti":"d","iat":1,`,
	} {
		f.Add(payload)
	}
	plain := strings.Replace(testPayload, `,"plan":"gold"`, "", 1)
	for _, change := range [][2]string{
		{"", ""},
		{"cust_1", "a\xff"},
		{"cust_1", "a\x01"},
		{"cust_1", `\ud800`},
		{"cust_1", "ü\u2028"},
		{"cust_1", ""},
		{`1700000000`, `007`},
		{`1700000000`, `0`},
		{`1700003600`, `0`},
		{`1700003600`, `-1`},
		{`["acme-company","acme-test"]`, `[]`},
		{`}`, `,}`},
		{`}`, `}x`},
	} {
		f.Add(strings.Replace(plain, change[0], change[1], 1))
	}
	f.Fuzz(func(t *testing.T, payload string) {
		var claims Claims
		for _, typ := range types {
			if !claims.readOwn(typ, encode(payload)) {
				continue
			}
			want, err := (&Parsed{Type: typ, Payload: []byte(payload)}).Claims()
			if err != nil || !reflect.DeepEqual(&claims, want) {
				t.Errorf("%s: %q reads as %+v, want %+v, %v", typ, payload, claims, want, err)
			}
		}
	})
}
