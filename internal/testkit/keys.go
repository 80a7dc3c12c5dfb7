package testkit

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"sync"
)

// Form of the keys.
const (
	bits     = 2048
	exponent = 65537
)

// primes is a pool of primes. Each pair makes a key, so n primes make n(n-1)/2 keys.
var primes struct {
	sync.Mutex
	pool []*big.Int
	next int // the prime that makes the next key with the last one
}

// PrivateKey returns a new key, a hundred times as fast as generating it. The keys share primes, so they
// are insecure outside of tests.
func PrivateKey() *rsa.PrivateKey {
	primes.Lock()
	defer primes.Unlock()
	for primes.next >= len(primes.pool)-1 {
		primes.pool, primes.next = append(primes.pool, newPrime()), 0
	}
	p, q := primes.pool[len(primes.pool)-1], primes.pool[primes.next]
	primes.next++
	phi := new(big.Int).Mul(minusOne(p), minusOne(q))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: exponent},
		D:         new(big.Int).ModInverse(big.NewInt(exponent), phi), Primes: []*big.Int{p, q},
	}
	key.Precompute()
	return key
}

func newPrime() *big.Int {
	for {
		p, err := rand.Prime(rand.Reader, bits/2) // its two highest bits are set
		if err != nil {
			panic(err)
		}
		if new(big.Int).ModInverse(big.NewInt(exponent), minusOne(p)) != nil {
			return p
		}
	}
}

func minusOne(n *big.Int) *big.Int { return new(big.Int).Sub(n, big.NewInt(1)) }

// Modulus returns a random modulus for a public key without a private key.
func Modulus() []byte {
	n := make([]byte, bits/8)
	_, _ = rand.Read(n) // never fails
	n[0] |= 0x80
	n[len(n)-1] |= 1
	return n
}

// Header returns the header of keys, unless their workspace has RFC 9068 tokens.
func Header(kid string) string { return `{"alg":"RS256","kid":"` + kid + `","typ":"JWT"}` }

// AccessHeader returns the header of access tokens.
func AccessHeader(kid string) string { return `{"alg":"RS256","kid":"` + kid + `","typ":"at+jwt"}` }

// Sign makes a token from any header and payload. If private is nil, the signature is all zeros.
func Sign(private *rsa.PrivateKey, header, payload string) string {
	signed := Encode(header) + "." + Encode(payload)
	if private == nil {
		return signed + "." + Encode(string(make([]byte, bits/8)))
	}
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest[:])
	if err != nil {
		panic(err)
	}
	return signed + "." + Encode(string(signature))
}

// Encode returns text in base64url without padding.
func Encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
