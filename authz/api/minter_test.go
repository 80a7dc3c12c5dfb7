package api_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"sync"

	"github.com/burnkey/burnkey/authz/mint"
	"github.com/burnkey/burnkey/jwks"
)

// quickMinter signs in this process, with keys made of a small pool of primes:
// no two are alike, and all verify.
type quickMinter struct {
	mu     sync.Mutex
	minted []jwks.Token
	// err is returned instead of a key, before is called first; both may be nil.
	err    error
	before func(context.Context) error
	// unsigned makes tokens that don't verify: where many keys are needed fast.
	unsigned bool
}

func (m *quickMinter) Mint(ctx context.Context, _ mint.Asker, claims func() ([]byte, error)) (mint.Minted, error) {
	m.mu.Lock()
	err, before, unsigned := m.err, m.before, m.unsigned
	m.mu.Unlock()
	if err != nil {
		return mint.Minted{}, err
	}
	if before != nil {
		if err := before(ctx); err != nil {
			return mint.Minted{}, err
		}
	}
	var private *rsa.PrivateKey
	var key jwks.Key
	if unsigned || claims == nil { // nobody will ask a tombstone to verify anything
		key, err = jwks.FromModulus(randomModulus())
	} else {
		private = nextKey()
		key, err = jwks.FromPublicKey(&private.PublicKey)
	}
	if err != nil || claims == nil {
		return mint.Minted{Key: key}, err
	}
	payload, err := claims()
	if err != nil {
		return mint.Minted{}, err
	}
	token, err := sign(private, key, payload)
	if err != nil {
		return mint.Minted{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.minted = append(m.minted, token)
	return mint.Minted{Key: key, Token: token}, nil
}

// set changes how the next keys are made.
func (m *quickMinter) set(change func(*quickMinter)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

func (m *quickMinter) tokens() []jwks.Token {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]jwks.Token(nil), m.minted...)
}

func sign(private *rsa.PrivateKey, key jwks.Key, payload []byte) (jwks.Token, error) {
	head := `{"alg":"RS256","kid":"` + key.KID().String() + `","typ":"JWT"}`
	text := b64([]byte(head)) + "." + b64(payload)
	signature := make([]byte, jwks.ModulusLen)
	if private != nil {
		digest := sha256.Sum256([]byte(text))
		var err error
		if signature, err = rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest[:]); err != nil {
			return "", err
		}
	}
	return jwks.Token(text + "." + b64(signature)), nil
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func randomModulus() []byte {
	n := make([]byte, jwks.ModulusLen)
	_, _ = rand.Read(n) // never fails
	n[0] |= 0x80
	n[len(n)-1] |= 1
	return n
}

// primes is a pool of which each pair makes one key: n of them n(n-1)/2 keys.
var primes struct {
	sync.Mutex
	pool []*big.Int
	next int
}

func nextKey() *rsa.PrivateKey {
	primes.Lock()
	defer primes.Unlock()
	for {
		n := len(primes.pool)
		if primes.next < n-1 {
			p, q := primes.pool[n-1], primes.pool[primes.next]
			primes.next++
			return keyOf(p, q)
		}
		primes.pool = append(primes.pool, newPrime())
		primes.next = 0
	}
}

var exponent = big.NewInt(jwks.Exponent)

func newPrime() *big.Int {
	for {
		p, err := rand.Prime(rand.Reader, jwks.ModulusBits/2)
		if err != nil {
			panic(err)
		}
		if new(big.Int).ModInverse(exponent, minusOne(p)) != nil {
			return p
		}
	}
}

func minusOne(p *big.Int) *big.Int { return new(big.Int).Sub(p, big.NewInt(1)) }

func keyOf(p, q *big.Int) *rsa.PrivateKey {
	phi := new(big.Int).Mul(minusOne(p), minusOne(q))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: jwks.Exponent},
		D:         new(big.Int).ModInverse(exponent, phi),
		Primes:    []*big.Int{p, q},
	}
	key.Precompute()
	return key
}
