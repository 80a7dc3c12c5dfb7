package jwks

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// withParent returns the payload of an access token that the exchange issued for the key with this kid.
func withParent(parent KID, imported bool) string {
	if imported && !parent.IsImported() {
		parent = ImportedKID(parent.String())
	}
	claims := `"client_id":"cust_1","key_id":"018bcfe5-6800-7000-8000-000000000002","key_kid":"` + parent.String() + `"`
	if imported {
		claims += `,"key_imported":true`
	}
	return strings.Replace(accessPayload, `"client_id":"cust_1"`, claims, 1)
}

// The fast reader and the parser read the same claims, in the order in which Burnkey writes them.
func TestAccessClaims(t *testing.T) {
	parent := otherPair().key.kid
	plain := reword(t, withParent(parent, false), `,"plan":"gold"`, "")
	for _, payload := range []string{plain, withParent(parent, false), withParent(parent, true), accessPayload} {
		want, err := (&Parsed{Type: TypeAccessToken, Payload: []byte(payload)}).Claims()
		if err != nil {
			t.Fatalf("%s: %v", payload, err)
		}
		var got Claims
		if err := got.readKnown(TypeAccessToken, encode(payload)); err != nil || !reflect.DeepEqual(&got, want) {
			t.Errorf("%s reads as %+v, want %+v, %v", payload, got, want, err)
		}
		if got.readOwn(TypeAccessToken, encode(payload)) != (payload == plain) {
			t.Errorf("%s: only a payload without custom claims is not parsed", payload)
		}
		if text, err := json.Marshal(want); err != nil || string(text) != payload {
			t.Errorf("%s is written as %s, %v", payload, text, err)
		}
	}
	claims, err := (&Parsed{Type: TypeAccessToken, Payload: []byte(withParent(parent, true))}).Claims()
	if err != nil || claims.ClientID != "cust_1" || claims.KeyID != "018bcfe5-6800-7000-8000-000000000002" ||
		!claims.KeyKID.IsImported() || !claims.HasParent() || !claims.KeyImported || string(claims.Extra) != `{"plan":"gold"}` {
		t.Errorf("%+v, %v", claims, err)
	}
}

// A key's own token can have any custom claim of these names, and it means nothing.
func TestKeyHasNoParent(t *testing.T) {
	payload := withParent(otherPair().key.kid, true)
	for _, payload := range []string{payload, reword(t, payload, `"key_id":"018b`, `"key_id":1,"x":"018b`)} {
		for range 2 {
			claims, err := testVerifier().Verify(ownPair().token(payload))
			if err != nil || claims.HasParent() || claims.ClientID != "" || claims.KeyID != "" || claims.KeyImported ||
				!strings.HasPrefix(string(claims.Extra), `{"client_id":"cust_1","key_id":`) {
				t.Errorf("%+v, %v", claims, err)
			}
		}
	}
}

func TestAccessClaimsRefused(t *testing.T) {
	imported := ImportedKID("1")
	good, kid := withParent(imported, true), imported.String()
	payloads := map[string]string{
		"no client_id": reword(t, good, `"client_id":"cust_1",`, ""),
		"no exp":       reword(t, good, `"exp":1700003600,`, ""),
		"no key_id":    reword(t, good, `"key_id":"018bcfe5-6800-7000-8000-000000000002",`, ""),
		"no key_kid":   reword(t, good, `"key_kid":"`+kid+`",`, ""),
		"only imported": reword(t, reword(t, good, `"key_id":"018bcfe5-6800-7000-8000-000000000002",`, ""),
			`"key_kid":"`+kid+`",`, ""),
		"not imported":      reword(t, good, `"key_imported":true,`, ""),
		"imported":          reword(t, withParent(otherPair().key.kid, false), `"plan"`, `"key_imported":true,"plan"`),
		"kid of zeros":      reword(t, good, kid, KID{}.String()),
		"kid not canonical": reword(t, good, kid, respell(kid)),
		"kid too short":     reword(t, good, kid, kid[1:]),
		"key_kid twice":     reword(t, good, `"key_kid"`, `"key_kid":"`+kid+`","key_kid"`),
		"nbf":               reword(t, good, `"plan"`, `"nbf":1,"plan"`),
	}
	for name, value := range map[string]string{
		"client_id": `"cust_1"`, "key_id": `"018bcfe5-6800-7000-8000-000000000002"`, "key_kid": strconv.Quote(kid), "key_imported": "true",
	} {
		for _, other := range []string{"null", `""`, "1", "[]", "{}", `"true"`} {
			if name != "client_id" && name != "key_id" || other != `"true"` {
				payloads[name+" "+other] = reword(t, good, `"`+name+`":`+value, `"`+name+`":`+other)
			}
		}
	}
	for name, payload := range payloads {
		claims, err := testVerifier(otherPair().key).Verify(ownPair().tokenAs(TypeAccessToken, payload))
		if !errors.Is(err, ErrClaims) || claims != nil {
			t.Errorf("%s: claims %v, error %v, want ErrClaims", name, claims, err)
		}
	}
}
