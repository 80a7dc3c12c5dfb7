package publish

import (
	"bytes"
	"encoding/binary"
	mathrand "math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"go.uber.org/goleak"

	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newRand generates the same numbers in each run, so that failures can be reproduced.
func newRand(seed uint64) *mathrand.Rand { return mathrand.New(mathrand.NewPCG(seed, 0)) }

// testKey makes a Key of a pseudo-random modulus. Only a signature check would notice that the modulus is
// not the product of two primes.
func testKey(tb testing.TB, random *mathrand.Rand) jwks.Key {
	tb.Helper()
	n := randomModulus(random)
	key, err := jwks.FromModulus(n[:])
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func randomModulus(random mathrand.Source) (n [jwks.ModulusLen]byte) {
	for at := 0; at < len(n); at += 8 {
		binary.BigEndian.PutUint64(n[at:], random.Uint64())
	}
	n[0] |= 0x80
	n[jwks.ModulusLen-1] |= 1
	return n
}

// testKeys makes keys, sorted by their kids.
func testKeys(tb testing.TB, seed uint64, count int) []jwks.Key {
	tb.Helper()
	random := newRand(seed)
	keys := make([]jwks.Key, count)
	for i := range keys {
		keys[i] = testKey(tb, random)
	}
	slices.SortFunc(keys, func(a, b jwks.Key) int { return compareKeys(&a, &b) })
	return keys
}

func buildSet(tb testing.TB, version uint64, keys ...jwks.Key) *Set {
	tb.Helper()
	var b Builder
	for _, key := range keys {
		if err := b.Add(key, jwks.Attributes{}); err != nil {
			tb.Fatal(err)
		}
	}
	set, err := b.Set(version)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// apply applies a change with the next version to a set.
func apply(tb testing.TB, set *Set, add []jwks.Key, remove ...jwks.KID) *Set {
	tb.Helper()
	next, err := set.Apply(jwks.Change{Version: set.Version() + 1, Add: add, Remove: remove})
	if err != nil {
		tb.Fatal(err)
	}
	return next
}

func plainBytes(tb testing.TB, set *Set) []byte {
	tb.Helper()
	var buf bytes.Buffer
	n, err := set.WriteTo(&buf)
	if err != nil || n != int64(buf.Len()) || n != set.Size() {
		tb.Fatalf("WriteTo = %d, %v with %d bytes written and Size %d", n, err, buf.Len(), set.Size())
	}
	return buf.Bytes()
}

func gzipBytes(tb testing.TB, set *Set) []byte {
	tb.Helper()
	var buf bytes.Buffer
	if err := set.WriteGzip(&buf); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

// forged makes a Key whose kid is not its thumbprint.
func forged(kid jwks.KID, n [jwks.ModulusLen]byte) jwks.Key {
	parts := struct {
		kid jwks.KID
		n   [jwks.ModulusLen]byte
	}{kid, n}
	return *(*jwks.Key)(unsafe.Pointer(&parts))
}

// poll waits for a condition.
func poll(tb testing.TB, cond func() bool) {
	tb.Helper()
	testkit.Eventually(tb, "the condition holds", cond)
}

func compareKeys(a, b *jwks.Key) int {
	kid := b.KID()
	return a.Compare(&kid)
}

func kidOf(key jwks.Key) jwks.KID { return key.KID() }

// plain returns a function that adds keys without attributes.
func plain(b *Builder) func(jwks.Key) error {
	return func(key jwks.Key) error { return b.Add(key, jwks.Attributes{}) }
}
