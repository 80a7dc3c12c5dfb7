package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// verifyResult is the cost of a decision in the Verifier, in this process on one
// processor.
type verifyResult struct {
	keys           int
	first          time.Duration // a good token that the Verifier has not seen
	repeated       time.Duration
	firstAllocs    int64
	repeatedAllocs int64
	forged         []forgedCost
	openssl        time.Duration // one RSA-2048 verification; 0: no openssl
}

type forgedCost struct {
	kind string
	took time.Duration
}

// newVerifier returns a check of tokens against a set of the ring's keys; each
// call makes a set of its own, which has seen no token yet.
func newVerifier(r *keyring, keys []int) (func(token string) error, error) {
	public := make([]jwks.Key, len(keys))
	for i, key := range keys {
		public[i] = r.public(key)
	}
	slices.SortFunc(public, func(a, b jwks.Key) int {
		x, y := a.KID(), b.KID()
		return bytes.Compare(x[:], y[:])
	})
	table, err := jwks.NewTable(1, public)
	if err != nil {
		return nil, err
	}
	verifier := &jwks.Verifier{Keys: table, Issuer: jwks.IssuerIs(r.issuer), AnyAudience: true}
	var claims jwks.Claims
	return func(token string) error { return verifier.VerifyInto(token, &claims) }, nil
}

// verify measures in two halves around openssl, so that both see the same machine,
// and takes the better of each.
func (b *bench) verify(ctx context.Context) error {
	keys := spread(b.o.large, b.o.loadTokens, forLoad)
	tokens, err := b.ring.tokens(keys)
	if err != nil {
		return err
	}
	testing.Init()
	if err := flag.Set("test.benchtime", b.o.benchTime); err != nil {
		return err
	}
	r := &verifyResult{keys: len(keys)}
	b.say.step("first and repeated verifications")
	if err := b.verifyOnce(r, keys, tokens); err != nil {
		return err
	}
	b.say.step("openssl speed")
	if r.openssl, err = opensslVerify(ctx, b.o.openssl); errors.Is(err, exec.ErrNotFound) {
		b.results.notes = append(b.results.notes, "no openssl here: nothing was compared with it")
	} else if err != nil {
		return err
	}
	b.say.step("first and repeated verifications once more")
	if err := b.verifyOnce(r, keys, tokens); err != nil {
		return err
	}
	b.results.verify = r
	return nil
}

func (b *bench) verifyOnce(r *verifyResult, keys []int, tokens []string) error {
	first, err := benchmark(func(tb *testing.B) error { return verifyFirst(tb, b.ring, keys, tokens) })
	if err != nil {
		return err
	}
	repeated, err := benchmark(func(tb *testing.B) error { return verifyRepeated(tb, b.ring, keys, tokens) })
	if err != nil {
		return err
	}
	r.first, r.firstAllocs = better(r.first, first), first.AllocsPerOp()
	r.repeated, r.repeatedAllocs = better(r.repeated, repeated), repeated.AllocsPerOp()
	kinds, err := forgeries(b.ring, tokens[0])
	if err != nil {
		return err
	}
	for i, f := range kinds {
		if len(r.forged) == i {
			r.forged = append(r.forged, forgedCost{kind: f.kind})
		}
		cost, err := benchmark(func(tb *testing.B) error { return verifyForged(tb, b.ring, keys, f) })
		if err != nil {
			return err
		}
		r.forged[i].took = better(r.forged[i].took, cost)
	}
	return nil
}

func better(old time.Duration, now testing.BenchmarkResult) time.Duration {
	if took := time.Duration(now.NsPerOp()); old == 0 || took < old {
		return took
	}
	return old
}

// benchmark is testing.Benchmark with errors.
func benchmark(f func(*testing.B) error) (testing.BenchmarkResult, error) {
	var failed error
	result := testing.Benchmark(func(tb *testing.B) {
		if err := f(tb); err != nil && failed == nil {
			failed = err
		}
	})
	return result, failed
}

// verifyFirst gives a new Verifier each token once, then takes another one.
func verifyFirst(tb *testing.B, r *keyring, keys []int, tokens []string) error {
	var check func(string) error
	for i := range tb.N {
		if i%len(tokens) == 0 {
			tb.StopTimer()
			var err error
			if check, err = newVerifier(r, keys); err != nil {
				return err
			}
			tb.StartTimer()
		}
		if err := check(tokens[i%len(tokens)]); err != nil {
			return err
		}
	}
	return nil
}

func verifyRepeated(tb *testing.B, r *keyring, keys []int, tokens []string) error {
	check, err := newVerifier(r, keys)
	if err != nil {
		return err
	}
	for _, token := range tokens {
		if err := check(token); err != nil {
			return err
		}
	}
	tb.ResetTimer()
	for i := range tb.N {
		if err := check(tokens[i%len(tokens)]); err != nil {
			return err
		}
	}
	return nil
}

func verifyForged(tb *testing.B, r *keyring, keys []int, f forgery) error {
	check, err := newVerifier(r, keys)
	if err != nil {
		return err
	}
	tb.ResetTimer()
	for range tb.N {
		if check(f.token) == nil {
			return fmt.Errorf("a forged token (%s) was admitted", f.kind)
		}
	}
	return nil
}

// opensslVerify asks openssl how long one verification takes.
func opensslVerify(ctx context.Context, seconds int) (time.Duration, error) {
	text, err := exec.CommandContext(ctx, "openssl", "speed", "-seconds", strconv.Itoa(seconds), "rsa2048").Output()
	if err != nil {
		return 0, withStderr(err)
	}
	return readSpeed(string(text))
}

// readSpeed reads the table that openssl speed prints at its end, whose columns
// are not the same in every version.
func readSpeed(text string) (time.Duration, error) {
	column := -1
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if i := slices.Index(fields, "verify/s"); i >= 0 {
			column = i
		}
		if len(fields) > 3 && fields[0] == "rsa" && fields[1] == "2048" && column >= 0 && len(fields) > column+3 {
			if rate, err := strconv.ParseFloat(fields[column+3], 64); err == nil && rate > 0 {
				return time.Duration(float64(time.Second) / rate), nil
			}
		}
	}
	return 0, errors.New("openssl speed printed no verify/s of rsa 2048")
}
