package main

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/big"
	"sort"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
)

// keyring makes a million genuine RSA-2048 keys in seconds, and can sign with each. Key i is the product of the
// i-th pair of primes in a pool. Since keys share primes, private keys can be computed from public ones: use
// them in benchmarks only. A keyring is safe for concurrent use.
type keyring struct {
	primes []*big.Int
	issuer string
	now    time.Time // iat of every token, and the time in every id
}

const (
	tokenLife = 24 * time.Hour
	audience  = "bench"
	scope     = "bench:read"
)

// newKeyring returns a keyring of at least count keys.
func newKeyring(ctx context.Context, file string, count int, issuer string, report func(done, of int)) (*keyring, error) {
	primes, err := loadPrimes(ctx, file, primesFor(count), report)
	if err != nil {
		return nil, err
	}
	return &keyring{primes: primes, issuer: issuer, now: time.Now().Truncate(time.Second)}, nil
}

// len returns the number of keys.
func (r *keyring) len() int { return len(r.primes) * (len(r.primes) - 1) / 2 }

// pair returns the two primes of key i. Pairs are numbered (1,0) (2,0) (2,1) (3,0)…, so that enlarging the pool
// does not change existing keys.
func (r *keyring) pair(i int) (p, q *big.Int) {
	row := sort.Search(len(r.primes), func(row int) bool { return row*(row+1)/2 > i })
	return r.primes[row], r.primes[i-row*(row-1)/2]
}

// public returns key i, which must exist.
func (r *keyring) public(i int) jwks.Key {
	p, q := r.pair(i)
	key, err := jwks.FromModulus(new(big.Int).Mul(p, q).Bytes())
	if err != nil {
		panic(fmt.Sprintf("key %d of the pool: %v", i, err)) // impossible, since each factor has its two top bits
	}
	return key
}

// private returns the private key of key i.
func (r *keyring) private(i int) (*rsa.PrivateKey, error) {
	p, q := r.pair(i)
	one := big.NewInt(1)
	totient := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: jwks.Exponent},
		D:         new(big.Int).ModInverse(big.NewInt(jwks.Exponent), totient),
		Primes:    []*big.Int{p, q},
	}
	key.Precompute()
	if err := key.Validate(); err != nil {
		return nil, fmt.Errorf("key %d of the pool: %w", i, err)
	}
	return key, nil
}

// id returns the ID of key i, a UUIDv7 (RFC 9562 section 5.7). IDs ascend with i.
func (r *keyring) id(i int) uuid.UUID {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], uint64(r.now.UnixMilli())<<16)
	binary.BigEndian.PutUint64(id[8:], uint64(i))
	id[6] |= 0x70
	id[8] |= 0x80
	return id
}

func owner(i int) string { return fmt.Sprintf("cust_%d", i/3) }

var b64 = base64.RawURLEncoding

// token returns a token signed by key i, in the same form as Burnkey issues.
func (r *keyring) token(i int) (string, error) {
	payload, err := json.Marshal(jwks.Claims{
		Issuer: r.issuer, Subject: owner(i), Audience: []string{audience}, ID: r.id(i).String(),
		IssuedAt: r.now.Unix(), Expiry: r.now.Add(tokenLife).Unix(), Scope: scope,
	})
	if err != nil {
		return "", err
	}
	public := r.public(i)
	head := `{"alg":"RS256","kid":"` + public.KID().String() + `","typ":"JWT"}`
	return r.sign(i, head, payload)
}

// sign signs a header and a payload with key i.
func (r *keyring) sign(i int, head string, payload []byte) (string, error) {
	key, err := r.private(i)
	if err != nil {
		return "", err
	}
	signed := b64.EncodeToString([]byte(head)) + "." + b64.EncodeToString(payload)
	digest := sha256.Sum256([]byte(signed))
	sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("sign by key %d of the pool: %w", i, err)
	}
	return signed + "." + b64.EncodeToString(sig), nil
}

// tokens returns one token for each of the keys.
func (r *keyring) tokens(keys []int) ([]string, error) {
	tokens := make([]string, len(keys))
	return tokens, parallel(len(keys), func(i int) (err error) {
		tokens[i], err = r.token(keys[i])
		return err
	})
}

// Each key of a set has one purpose, so that no measurement affects the keys of another measurement.
const (
	forLoad = iota
	forFirst
	forChange
	purposes
)

// spread returns the indexes of up to count of a set's n keys, all with the given purpose and evenly spaced.
// For the load, it returns at least one.
func spread(n, count, purpose int) []int {
	count = min(count, n/purposes)
	if count == 0 && purpose == forLoad && n > 0 {
		return []int{0}
	}
	keys := make([]int, count)
	for k := range keys {
		keys[k] = k*(n/count)/purposes*purposes + purpose // independent of the counts for other purposes
	}
	return keys
}
