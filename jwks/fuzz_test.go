package jwks

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// An accepted token has only one spelling: splitting it and joining the parts gives the same string.
func FuzzParse(f *testing.F) {
	head, sig := encode(headerOf(rfcKey(f).kid)), encode(strings.Repeat("\xa5", ModulusLen))
	token := head + "." + encode(testPayload) + "." + sig
	access := encode(headerAs(TypeAccessToken, rfcKey(f).kid))
	for _, seed := range []string{
		token, "", "..", "...", head, head + "..", head + ".." + sig, "." + sig, token + ".", token + "=", token + "\n",
		token[:len(token)-1], head + ".\n." + sig, head[:50] + "\n" + head[51:] + ".e30." + sig, respell(head) + ".e30." + sig,
		head + "." + "e31" + "." + sig, head + ".e30." + respell(sig), "{" + token + "}", TokenPrefix,
		access + "." + encode(accessPayload) + "." + sig, access, access + "..", access + ".." + sig, respell(access) + ".e30." + sig,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		again := encode(headerAs(p.Type, p.KID)) + "." + base64.RawURLEncoding.EncodeToString(p.Payload) + "." + encode(string(p.sig[:]))
		if again != text {
			t.Errorf("%q is accepted, and written %q", text, again)
		}
		if err := p.Check(rfcKey(t)); err == nil {
			t.Error("a signature out of nothing fits")
		}
		_, _ = p.Claims()
	})
}

// Accepted claims are unchanged after writing and reading them again.
func FuzzClaims(f *testing.F) {
	for _, seed := range []string{
		testPayload, "{}", "null", `{"iss":"i","sub":"s","aud":["a"],"jti":"j","exp":-9223372036854775808}`,
		`{"iss":"i","sub":"s","aud":["a"],"jti":"j","a":[{"b":null}]}`, `{"iss":"i","sub":"s","aud":[null],"jti":"j"}`,
		accessPayload, withParent(rfcKey(f).kid, true),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, typ := range types {
			sameClaims(t, typ, payload)
		}
	})
}

func sameClaims(t *testing.T, typ TokenType, payload []byte) {
	claims, err := (&Parsed{Type: typ, Payload: payload}).Claims()
	if err != nil {
		return
	}
	if claims.Issuer == "" || claims.Subject == "" || claims.ID == "" || len(claims.Audience) == 0 || claims.Expiry < 0 ||
		typ == TypeJWT && (claims.ClientID != "" || claims.HasParent()) || typ == TypeAccessToken && !claims.completeAccess() {
		t.Errorf("%s: %s gives %+v", typ, payload, claims)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	again, err := (&Parsed{Type: typ, Payload: text}).Claims()
	if err != nil {
		t.Fatalf("%s: %s: %v", typ, text, err)
	}
	if twice, err := json.Marshal(again); err != nil || !bytes.Equal(twice, text) {
		t.Errorf("%s: %s reads as %s, %v", typ, text, twice, err)
	}
}

func FuzzParseKID(f *testing.F) {
	for _, seed := range []string{rfcKID, "", rfcKID[:42], rfcKID + "=", rfcKID[:42] + "t", "\r\n" + rfcKID[2:], strings.Repeat("A", 43)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		kid, err := ParseKID(text)
		if err == nil && kid.String() != text {
			t.Errorf("%q is accepted, and written %q", text, kid)
		}
		if err != nil && kid != (KID{}) {
			t.Errorf("%q is refused, and gives %q", text, kid)
		}
	})
}

// The keys of a set that ParseSet accepts have the right kids, and the set is unchanged after writing and
// reading it again.
func FuzzParseSet(f *testing.F) {
	key := jwkOf(rfcKey(f))
	for _, seed := range []string{
		`{"keys":[]}`, `{"keys":[` + key + `]}`, `{"keys":[` + key + `,` + key + `]}`, `{"keys":[` + key + `]}x`, key, `{}`, `{"keys":null}`,
		`{"keys":[{"kty":"RSA","e":"AQAB","n":"` + rfcModulus + `"}],"x":1}`, `{"keys":[` + strings.Replace(key, "AQAB", "Aw", 1) + `]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := ParseSet(data)
		if err != nil {
			return
		}
		for _, key := range keys {
			if again, err := FromModulus(key.Modulus()); err != nil || again != key {
				t.Errorf("a key of %q is invalid: %v", data, err)
			}
		}
		unique := modelOf(keys).sorted()
		if again, err := ParseSet(plainBytes(t, buildSet(t, 1, unique...))); err != nil || !slices.Equal(again, unique) {
			t.Errorf("%q reads back as %d keys of %d, %v", data, len(again), len(unique), err)
		}
	})
}
