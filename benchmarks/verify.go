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

// verifyResult is the cost of a decision by the Verifier on one processor, in this process.
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

// newVerifier returns a function that checks tokens with a Verifier for the given keys of the ring.
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

// verify measures the Verifier before and after openssl, since the speed of a machine varies, and takes the
// better of the two figures.
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
	kinds, err := forgeries(b.ring, tokens[0])
	if err != nil {
		return err
	}
	first, err1 := b.decide(keys, tokens, firstTime)
	repeated, err2 := b.decide(keys, tokens, again)
	errs := []error{err1, err2}
	r.first, r.firstAllocs = better(r.first, first), first.AllocsPerOp()
	r.repeated, r.repeatedAllocs = better(r.repeated, repeated), repeated.AllocsPerOp()
	for i, f := range kinds {
		if len(r.forged) == i {
			r.forged = append(r.forged, forgedCost{kind: f.kind})
		}
		cost, err := b.decide(keys, []string{f.token}, forged)
		r.forged[i].took = better(r.forged[i].took, cost)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func better(old time.Duration, now testing.BenchmarkResult) time.Duration {
	if took := time.Duration(now.NsPerOp()); old == 0 || took < old {
		return took
	}
	return old
}

// A kind of decision concerns a valid token that the Verifier has not seen, one that it has seen, or a forged
// token.
type kind int

const (
	firstTime kind = iota
	again
	forged
)

// decide measures the mean time of a decision. It takes the tokens in turn.
func (b *bench) decide(keys []int, tokens []string, k kind) (testing.BenchmarkResult, error) {
	var failed error
	result := testing.Benchmark(func(tb *testing.B) {
		if err := b.decideAll(tb, keys, tokens, k); err != nil && failed == nil {
			failed = err
		}
	})
	return result, failed
}

func (b *bench) decideAll(tb *testing.B, keys []int, tokens []string, k kind) error {
	var check func(string) error
	for i := range tb.N {
		turn := i % len(tokens)
		if check == nil || k == firstTime && turn == 0 { // a Verifier that has seen no token
			tb.StopTimer()
			var err error
			if check, err = newVerifier(b.ring, keys); err != nil {
				return err
			}
			for n := 0; k == again && n < len(tokens); n++ {
				_ = check(tokens[n])
			}
			tb.StartTimer()
		}
		if err := check(tokens[turn]); (err != nil) != (k == forged) {
			return fmt.Errorf("the Verifier decides wrongly about token %d (forged: %t): %w", turn, k == forged, err)
		}
	}
	return nil
}

// opensslVerify returns the time that openssl takes for one verification.
func opensslVerify(ctx context.Context, seconds int) (time.Duration, error) {
	text, err := exec.CommandContext(ctx, "openssl", "speed", "-seconds", strconv.Itoa(seconds), "rsa2048").Output()
	if err != nil {
		return 0, withStderr(err)
	}
	return readSpeed(string(text))
}

// readSpeed parses the table at the end of openssl's output. Its columns vary by version.
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
