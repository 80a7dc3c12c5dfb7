package main

import (
	"context"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

const testIssuer = "http://127.0.0.1:1/v1/auth/oauth/bench"

// testRing is shared by all tests, since generating primes is slow.
var testRing = sync.OnceValues(func() (*keyring, error) {
	return newKeyring(context.Background(), "", 60, testIssuer, func(int, int) {})
})

func ring(t testing.TB) *keyring {
	t.Helper()
	r, err := testRing()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestKeysAreGenuineAndDistinct(t *testing.T) {
	r := ring(t)
	seen := map[jwks.KID]bool{}
	for i := range r.len() {
		public := r.public(i)
		private, err := r.private(i) // validates it
		if err != nil {
			t.Fatal(err)
		}
		if private.N.BitLen() != jwks.ModulusBits || private.Size() != jwks.ModulusLen {
			t.Errorf("key %d has %d bits", i, private.N.BitLen())
		}
		if private.N.Cmp(new(big.Int).SetBytes(public.Modulus())) != 0 {
			t.Errorf("the halves of key %d do not belong together", i)
		}
		seen[public.KID()] = true
	}
	if len(seen) != r.len() || r.len() < 60 {
		t.Errorf("%d kids of %d keys", len(seen), r.len())
	}
}

func TestPairsAreCountedOnce(t *testing.T) {
	r := &keyring{}
	for i := range 60 {
		r.primes = append(r.primes, big.NewInt(int64(i)))
	}
	seen := map[[2]int64]int{}
	for i := range r.len() {
		p, q := r.pair(i)
		if p.Cmp(q) <= 0 {
			t.Fatalf("pair %d is %d and %d", i, p, q)
		}
		seen[[2]int64{p.Int64(), q.Int64()}]++
	}
	if len(seen) != 60*59/2 {
		t.Errorf("%d pairs, want %d", len(seen), 60*59/2)
	}
	larger := &keyring{primes: append(slices.Clone(r.primes), big.NewInt(60))}
	for _, i := range []int{0, 1, 2, 1000, r.len() - 1} {
		p, q := r.pair(i)
		if p2, q2 := larger.pair(i); p != p2 || q != q2 {
			t.Errorf("pair %d changes with the pool", i)
		}
	}
}

func TestPrimesFor(t *testing.T) {
	for keys, want := range map[int]int{1: 2, 3: 3, 4: 4, 2048: 65, 1_138_688 + 64: 1510} {
		got := primesFor(keys)
		if got*(got-1)/2 < keys || (got-1)*(got-2)/2 >= keys && got > 2 {
			t.Errorf("%d keys: %d primes, want %d", keys, got, want)
		}
	}
}

func TestTokenVerifies(t *testing.T) {
	r := ring(t)
	token, err := r.token(7)
	if err != nil {
		t.Fatal(err)
	}
	check, err := newVerifier(r, []int{3, 7})
	if err != nil {
		t.Fatal(err)
	}
	if err := check(token); err != nil {
		t.Errorf("the published key's token: %v", err)
	}
	if !strings.HasPrefix(token, jwks.TokenPrefix) {
		t.Error("the token does not begin as Burnkey's do")
	}
	other, err := r.token(8)
	if err != nil {
		t.Fatal(err)
	}
	if check(other) == nil {
		t.Error("the token of an unpublished key passes")
	}
}

func TestIDsAscend(t *testing.T) {
	r := &keyring{now: time.Now()}
	for i := range 1000 {
		a, b := r.id(i), r.id(i+1)
		if a.String() >= b.String() || a.Version() != 7 || a.Variant().String() != "RFC4122" {
			t.Fatalf("%s, then %s", a, b)
		}
	}
}

func TestSpread(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 100, 1000, 2048, 8192, 65_537, 1_138_688} {
		seen := map[int]bool{}
		for purpose := range purposes {
			for _, i := range spread(n, []int{1000, 500, 99}[purpose], purpose) {
				if i < 0 || i >= n || seen[i] {
					t.Fatalf("%d of %d is out of range or used twice", i, n)
				}
				seen[i] = true
			}
		}
		if len(spread(n, 1000, forLoad)) == 0 {
			t.Errorf("no load for %d keys", n)
		}
	}
}

func TestPrimesCache(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cache", "primes")
	none := func(int, int) {}
	first, err := loadPrimes(t.Context(), file, 2, none)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	more, err := loadPrimes(t.Context(), file, 3, none)
	if err != nil || len(more) != 3 || more[0].Cmp(first[0]) != 0 || more[1].Cmp(first[1]) != 0 {
		t.Errorf("the cached primes are not the first of a larger pool: %v", err)
	}
	if err := os.WriteFile(file, []byte("11\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadPrimes(t.Context(), file, 2, none); err == nil || !strings.Contains(err.Error(), "remove the file") {
		t.Errorf("a damaged pool: %v", err)
	}
}

// TestPrimes checks conditions on primes that crypto/rsa does not check.
func TestPrimes(t *testing.T) {
	for i, p := range ring(t).primes {
		if p.BitLen() != primeBits || p.Bit(primeBits-2) == 0 || !p.ProbablyPrime(10) {
			t.Errorf("number %d of the pool is no prime of %d bits with both top ones set", i, primeBits)
		}
	}
}
