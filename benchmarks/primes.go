package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/burnkey/burnkey/internal/atomicfile"
	"github.com/burnkey/burnkey/jwks"
)

const primeBits = jwks.ModulusBits / 2

// primesFor returns how many primes are needed to form the given number of keys, each a product of two primes.
func primesFor(keys int) int {
	n := 2
	for n*(n-1)/2 < keys {
		n++
	}
	return n
}

// loadPrimes reads count primes from the file, generates missing primes and stores them for the next run. A
// smaller pool is a prefix of a larger one. With an empty name, nothing is stored.
func loadPrimes(ctx context.Context, file string, count int, report func(done, of int)) ([]*big.Int, error) {
	primes, err := readPrimes(file)
	if err != nil {
		return nil, err
	}
	if len(primes) >= count {
		return primes[:count], nil
	}
	if primes, err = morePrimes(ctx, primes, count, report); err != nil {
		return nil, err
	}
	return primes, writePrimes(file, primes)
}

// morePrimes appends new random primes until there are count distinct ones.
func morePrimes(ctx context.Context, primes []*big.Int, count int, report func(done, of int)) ([]*big.Int, error) {
	known := make(map[string]bool, count)
	for _, p := range primes {
		known[string(p.Bytes())] = true
	}
	var mu sync.Mutex
	isNew := func(p *big.Int) bool {
		mu.Lock()
		defer mu.Unlock()
		if known[string(p.Bytes())] {
			return false
		}
		known[string(p.Bytes())] = true
		primes = append(primes, p)
		report(len(primes), count)
		return true
	}
	err := parallel(count-len(primes), func(int) error {
		for {
			p, err := newPrime()
			if err = errors.Join(err, ctx.Err()); err != nil || isNew(p) {
				return err
			}
		}
	})
	return primes, err
}

// newPrime returns a prime that is suitable as a factor of a modulus. rand.Prime sets the two top bits, so that
// the product of two primes has full length.
func newPrime() (*big.Int, error) {
	for {
		p, err := rand.Prime(rand.Reader, primeBits)
		if err != nil {
			return nil, fmt.Errorf("generate a prime: %w", err)
		}
		if fitsExponent(p) {
			return p, nil
		}
	}
}

// fitsExponent reports whether the public exponent e has an inverse modulo p-1. Since e is prime, it must not
// divide p-1.
func fitsExponent(p *big.Int) bool {
	rest := new(big.Int).Sub(p, big.NewInt(1))
	return rest.Mod(rest, big.NewInt(jwks.Exponent)).Sign() != 0
}

// poolTitle begins the file.
const poolTitle = "# Primes of Burnkey's benchmarks. Keys made of them are for loads only: many share a factor."

// readPrimes reads a pool with one hexadecimal prime per line. If the file does not exist, the pool is empty.
func readPrimes(file string) ([]*big.Int, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the pool of primes: %w", err)
	}
	var primes []*big.Int
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if lines.Text() == poolTitle {
			continue
		}
		p, ok := new(big.Int).SetString(lines.Text(), 16)
		if !ok || p.BitLen() != primeBits || p.Bit(primeBits-2) == 0 || p.Bit(0) == 0 || !fitsExponent(p) {
			return nil, fmt.Errorf("the pool of primes: line %d of %s is not a prime of the pool: remove the file", len(primes)+2, file)
		}
		primes = append(primes, p)
	}
	return primes, nil
}

// writePrimes replaces the file atomically, since concurrent runs may share it.
func writePrimes(file string, primes []*big.Int) error {
	if file == "" {
		return nil
	}
	text := new(bytes.Buffer)
	fmt.Fprintln(text, poolTitle)
	for _, p := range primes {
		fmt.Fprintf(text, "%x\n", p)
	}
	err := os.MkdirAll(filepath.Dir(file), 0o700)
	if err == nil {
		err = atomicfile.Write(file, text.Bytes())
	}
	if err != nil {
		return fmt.Errorf("the pool of primes: %w", err)
	}
	return nil
}

// parallel calls f with 0 to n-1 on all processors. After an error it starts no further calls, and returns the
// error.
func parallel(n int, f func(i int) error) error { return parallelBy(runtime.GOMAXPROCS(0), n, f) }

func parallelBy(workers, n int, f func(i int) error) error {
	var next atomic.Int64
	var once sync.Once
	var first error
	var all sync.WaitGroup
	for range min(workers, n) {
		all.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(i); err != nil {
					once.Do(func() { first = err })
					next.Store(int64(n))
				}
			}
		})
	}
	all.Wait()
	return first
}
