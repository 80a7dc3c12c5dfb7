package gatewaytest

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"strings"

	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

// An Attack is a request that a Gateway which follows acme with the key Own and beta with the key Other must refuse.
type Attack struct {
	Name          string
	Authorization []string // the values of the header
	Status        int
	Challenge     string // WWW-Authenticate
}

// Attacks returns all attacks.
func Attacks() []Attack { return append(append(odd(), forged()...), access()...) }

// odd returns requests and signed claims that are not as the minting process makes them.
func odd() []Attack {
	good := Own().Token(Payload("acme"))
	const plain = `Bearer realm="api"`
	const form = plain + `, error="invalid_request", ` +
		`error_description="The header Authorization must be sent once, as the word Bearer and a token."`
	issuer, malformed := invalid("The token is from another issuer."), invalid("The token is malformed.")
	unknown := invalid(notPublished)
	return []Attack{
		{"none", nil, 401, plain},
		{"empty", []string{""}, 401, plain},
		{"Basic", []string{"Basic dTpw"}, 401, plain},
		{"twice", []string{"Bearer " + good, "Bearer " + good}, 400, form},
		{"two schemes", []string{"Bearer " + good, "Basic dTpw"}, 400, form},
		{"no token", []string{"Bearer "}, 400, form},
		{"opaque", []string{"Bearer abc"}, 401, malformed},
		{"too long", []string{"Bearer " + strings.Repeat("a", jwks.MaxTokenLen+1)}, 401, malformed},
		{"a workspace that is not ours", []string{"Bearer " + Own().Token(Payload("gamma"))}, 401, issuer},
		{"a workspace by an id that begins alike", []string{"Bearer " + Own().Token(Payload("acme2"))}, 401, issuer},
		{"a path after the workspace", []string{"Bearer " + Own().Token(Payload("acme/x"))}, 401, issuer},
		{"no workspace", []string{"Bearer " + Own().Token(Payload(""))}, 401, issuer},
		{"another server", []string{"Bearer " + Own().Token(Payload("acme", "auth.example", "auth.other"))}, 401, issuer},
		{"acme's key says beta", []string{"Bearer " + Own().Token(Payload("beta"))}, 401, unknown},
		{"beta's key says acme", []string{"Bearer " + Other().Token(Payload("acme"))}, 401, unknown},
		{
			"iss twice",
			[]string{"Bearer " + Own().Token(Payload("acme", `"sub"`, `"iss":"`+PublicURL+jwks.IssuerPath+`beta","sub"`))},
			401, malformed,
		},
		{
			"rubbish after an iss that is not the first",
			[]string{"Bearer " + NewPair().Token(Payload("acme", `{"iss"`, `{"a":"b","iss"`, `"iat":1`, `"iat":oops`))},
			401,
			unknown,
		},
		{
			"an iss far from the start",
			[]string{"Bearer " + Own().Token(Payload("acme", `{"iss"`, `{"a":"`+strings.Repeat("b", 1<<10)+`","iss"`))},
			401,
			malformed,
		},
		{"an iss after an array", []string{"Bearer " + Own().Token(Payload("acme", `{"iss"`, `{"a":[],"iss"`))}, 401, malformed},
		{"an iss that is no text", []string{"Bearer " + Own().Token(Payload("acme", `{"iss":`, `{"iss":1,"x":`))}, 401, malformed},
		{"no object", []string{"Bearer " + Own().Token(`"iss"`)}, 401, malformed},
		{"no iss", []string{"Bearer " + Own().Token(`{}`)}, 401, malformed},
		{"iss escaped", []string{"Bearer " + Own().Token(Payload(`\u0061cme`))}, 401, issuer},
		{"expired", []string{"Bearer " + Own().Token(Payload("acme", `"iat":1`, `"iat":1,"exp":2`))}, 401, invalid("The token has expired.")},
		{"a line end in the owner", []string{"Bearer " + Own().Token(Payload("acme", "cust_1", `a\r\nx-admin: 1`))}, 401, malformed},
		{"an owner that would come out as another's", []string{"Bearer " + Own().Token(Payload("acme", "cust_1", "cust_1 "))}, 401, malformed},
		{"a control character in the scope", []string{"Bearer " + Own().Token(Payload("acme", "maps:read", `a\u0000b`))}, 401, malformed},
	}
}

const notPublished = "The token was revoked or suspended, or is from another issuer."

// invalid returns the challenge for an invalid token.
func invalid(why string) string {
	return `Bearer realm="api", error="invalid_token", error_description="` + why + `"`
}

// forged returns tokens that no minting process signed.
func forged() []Attack {
	der, err := x509.MarshalPKIXPublicKey(&Own().private.PublicKey)
	if err != nil {
		panic(err) // an RSA key
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	kid, body := Own().KID().String(), testkit.Encode(Payload("acme"))
	head := func(alg string) string {
		return testkit.Encode(`{"alg":"` + alg + `","kid":"` + kid + `","typ":"JWT"}`)
	}
	good := strings.Split(Own().Token(Payload("acme")), ".")
	malformed, unknown := invalid("The token is malformed."), invalid(notPublished)
	signature := invalid("The signature of the token does not fit.")
	token := func(name, challenge string, parts ...string) Attack {
		return Attack{name, []string{"Bearer " + strings.Join(parts, ".")}, 401, challenge}
	}
	return []Attack{
		token("no kid", malformed, testkit.Encode(`{"alg":"RS256","typ":"JWT"}`), body, good[2]),
		token("an empty kid", malformed, testkit.Encode(testkit.Header("")), body, good[2]),
		token("the kid of nobody", unknown, testkit.Encode(testkit.Header(strings.Repeat("A", 43))), body, good[2]),
		token("alg none, unsigned", malformed, head("none"), body, ""),
		token("alg none, signed", malformed, head("none"), body, good[2]),
		token("HS256 keyed with the PEM", malformed, head("HS256"), body, hs256(head("HS256"), body, text)),
		token("HS256 keyed with the DER", malformed, head("HS256"), body, hs256(head("HS256"), body, der)),
		token("HS256 said to be RS256", malformed, good[0], body, hs256(good[0], body, text)),
		token("claims of another", signature, good[0], testkit.Encode(Payload("acme", "cust_1", "cust_2")), good[2]),
		token("a signature of another", signature, good[0], body, strings.Split(Other().Token(Payload("acme")), ".")[2]),
		token("two parts", malformed, good[0], body),
		token("four parts", malformed, good[0], body, good[2], good[2]),
		token("padding", malformed, good[0], body, good[2]+"=="),
	}
}

// access returns access tokens that the exchange does not issue. Own signs them.
func access() []Attack {
	own, other := Own().KID(), Other().KID()
	good := Own().AccessToken(AccessPayload("acme", own))
	head, rest, _ := strings.Cut(good, ".")
	body, signature, _ := strings.Cut(rest, ".")
	malformed, unknown, expired := invalid("The token is malformed."), invalid(notPublished), invalid("The token has expired.")
	by := func(name, challenge, payload string) Attack {
		return Attack{name, []string{"Bearer " + Own().AccessToken(payload)}, 401, challenge}
	}
	typ := func(typ string) string {
		return testkit.Encode(strings.Replace(testkit.AccessHeader(own.String()), "at+jwt", typ, 1)) + "." + body + "." + signature
	}
	return []Attack{
		by("for a key of nobody", unknown, AccessPayload("acme", jwks.KID{1})),
		by("for a key of beta", unknown, AccessPayload("acme", other)),
		by("of acme for its key, to beta", unknown, AccessPayload("beta", own)),
		by("an expired access token", expired, AccessPayload("acme", own, "4102444800", "2")),
		by("an expired access token for a key of nobody", expired, AccessPayload("acme", jwks.KID{1}, "4102444800", "2")),
		by("an access token without exp", malformed, AccessPayload("acme", own, `"exp":4102444800,`, "")),
		by("without client_id", malformed, AccessPayload("acme", own, `"client_id":"cust_1",`, "")),
		by("without the key's kid", malformed, AccessPayload("acme", own, `,"key_kid":"`+own.String()+`"`, "")),
		by("without the key's id", malformed, AccessPayload("acme", own, `"key_id":"key-1",`, "")),
		by("a line end in the key's id", malformed, AccessPayload("acme", own, `"key_id":"key-1"`, `"key_id":"key-1\r\nx: y"`)),
		by("two keys", malformed, AccessPayload("acme", own, `"key_kid"`, `"key_kid":"`+other.String()+`","key_kid"`)),
		by("a key's payload", malformed, Payload("acme")),
		{"the type in another case", []string{"Bearer " + typ("AT+JWT")}, 401, malformed},
		{"the type of a key", []string{"Bearer " + typ("JWT")}, 401, invalid("The signature of the token does not fit.")},
		{"the type in full", []string{"Bearer " + typ("application/at+jwt")}, 401, malformed},
		{"another type of as many characters", []string{"Bearer " + typ("jwt+at")}, 401, malformed},
		{"an access token, unsigned", []string{"Bearer " + head + "." + body + "."}, 401, malformed},
		{
			"another's signature",
			[]string{"Bearer " + head + "." + body + "." + testkit.Encode(strings.Repeat("x", 256))},
			401,
			invalid("The signature of the token does not fit."),
		},
	}
}

// hs256 returns a signature by a shared secret.
func hs256(head, body string, secret []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(head + "." + body))
	return testkit.Encode(string(mac.Sum(nil)))
}
