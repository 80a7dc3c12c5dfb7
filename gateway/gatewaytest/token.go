package gatewaytest

import (
	"crypto/rsa"
	"strings"
	"sync"

	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

// A Pair is a key pair for tests. A Pair can sign many tokens; a real key pair signs only one.
type Pair struct {
	private *rsa.PrivateKey
	Key     jwks.Key
}

// NewPair generates a Pair.
func NewPair() Pair {
	private := testkit.PrivateKey()
	key, err := jwks.FromPublicKey(&private.PublicKey)
	if err != nil {
		panic(err)
	}
	return Pair{private, key}
}

// Own and Other are generated once for all tests of a package.
var Own, Other, tombstone = sync.OnceValue(NewPair), sync.OnceValue(NewPair), sync.OnceValue(NewPair)

// KID returns the kid of the key.
func (p Pair) KID() jwks.KID { return p.Key.KID() }

// Token signs a payload in the same way as the minting process.
func (p Pair) Token(payload string) string {
	return testkit.Sign(p.private, testkit.Header(p.Key.KID().String()), payload)
}

// AccessToken signs a payload in the same way as the exchange.
func (p Pair) AccessToken(payload string) string {
	return testkit.Sign(p.private, testkit.AccessHeader(p.Key.KID().String()), payload)
}

// AccessPayload returns the payload of a valid access token of a workspace, issued for the key "key-1" with this kid.
func AccessPayload(workspace string, parent jwks.KID, replace ...string) string {
	text := Payload(workspace, `"key-1","iat":1,`, `"token-1","iat":1,"exp":4102444800,`)
	text = strings.TrimSuffix(text, "}") + `,"client_id":"cust_1","key_id":"key-1","key_kid":"` + parent.String() + `"}`
	return strings.NewReplacer(replace...).Replace(text)
}

// Bearer returns an Authorization header with a valid token of a workspace.
func (p Pair) Bearer(workspace string) string { return "Bearer " + p.Token(Payload(workspace)) }

// Payload returns the payload of a valid token of a workspace. Each pair in replace is an old string and its
// replacement.
func Payload(workspace string, replace ...string) string {
	text := `{"iss":"` + PublicURL + jwks.IssuerPath + workspace +
		`","sub":"cust_1","aud":["maps","x"],"jti":"key-1","iat":1,"scope":"maps:read tiles:read"}`
	return strings.NewReplacer(replace...).Replace(text)
}
