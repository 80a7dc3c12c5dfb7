package jwks

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/burnkey/burnkey/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newRand generates the same numbers in each run, so that failures can be reproduced.
func newRand(seed uint64) *mathrand.Rand { return mathrand.New(mathrand.NewPCG(seed, 0)) }

// testKey makes a Key of a pseudo-random modulus. Only a signature check would notice that the modulus is
// not the product of two primes.
func testKey(tb testing.TB, random *mathrand.Rand) Key {
	tb.Helper()
	n := randomModulus(random)
	key, err := FromModulus(n[:])
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func randomModulus(random mathrand.Source) (n [ModulusLen]byte) {
	for at := 0; at < len(n); at += 8 {
		binary.BigEndian.PutUint64(n[at:], random.Uint64())
	}
	n[0] |= 0x80
	n[ModulusLen-1] |= 1
	return n
}

// testKeys makes keys, sorted by their kids.
func testKeys(tb testing.TB, seed uint64, count int) []Key {
	tb.Helper()
	random := newRand(seed)
	keys := make([]Key, count)
	for i := range keys {
		keys[i] = testKey(tb, random)
	}
	slices.SortFunc(keys, func(a, b Key) int { return bytes.Compare(a.kid[:], b.kid[:]) })
	return keys
}

// pair is a key pair for tests. Unlike Burnkey's key pairs, it signs many tokens.
type pair struct {
	private *rsa.PrivateKey
	key     Key
}

func newPair() pair {
	private := testkit.PrivateKey()
	key, err := FromPublicKey(&private.PublicKey)
	if err != nil {
		panic(err)
	}
	return pair{private, key}
}

var ownPair, otherPair = sync.OnceValue(newPair), sync.OnceValue(newPair)

func encode(s string) string { return testkit.Encode(s) }

func headerOf(kid KID) string { return headerAs(TypeJWT, kid) }

func headerAs(typ TokenType, kid KID) string { return headerHead + kid.String() + tails[typ] }

var (
	types = []TokenType{TypeJWT, TypeAccessToken}
	tails = map[TokenType]string{TypeJWT: headerTail, TypeAccessToken: accessTail}
)

// sign makes a token from an arbitrary header and payload.
func (p pair) sign(header, payload string) string { return testkit.Sign(p.private, header, payload) }

func (p pair) signature(signed string) []byte {
	digest := sha256.Sum256([]byte(signed))
	sig, err := rsa.SignPKCS1v15(nil, p.private, crypto.SHA256, digest[:])
	if err != nil {
		panic(err)
	}
	return sig
}

// token makes a token with this payload that is valid in all other respects.
func (p pair) token(payload string) string { return p.tokenAs(TypeJWT, payload) }

func (p pair) tokenAs(typ TokenType, payload string) string {
	return p.sign(headerAs(typ, p.key.kid), payload)
}

// modulusOf makes a number of the given length in bits, with its highest and its lowest bit set.
func modulusOf(bits int) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return n.SetBit(n, 0, 1)
}

// poll waits for a condition.
func poll(tb testing.TB, cond func() bool) {
	tb.Helper()
	testkit.Eventually(tb, "the condition holds", cond)
}

func kidOf(key Key) KID { return key.KID() }

func jwkOf(key Key) string { return string(key.AppendJWK(nil)) }

// endless is a reader that repeats a string without end.
type endless struct {
	text string
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.text[e.at]
		e.at = (e.at + 1) % len(e.text)
	}
	return len(p), nil
}
