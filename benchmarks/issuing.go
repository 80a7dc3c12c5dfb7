package main

import (
	"context"
	cryptorand "crypto/rand"
	"crypto/rsa"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// issuingResult is how fast keys are issued, and how long reads take meanwhile.
type issuingResult struct {
	bare, served         float64 // keys a second
	bareKeys, servedKeys int
	clients              int
	setIdle, setBusy     loadResult // reads of a JWKS of 1,000 keys
	keyIdle, keyBusy     loadResult // management reads of one key
}

const (
	issuingRounds = 3
	// readRate is the number of requests a second for each kind of read. A full run makes 3,000 in each state;
	// the p99 of fewer than 2,000 would not be reliable.
	readRate = 50
)

// issuing alternates between key generation by crypto/rsa alone and issuing by a server. Reads are measured
// both while the server issues keys and while it is idle.
func (b *bench) issuing(ctx context.Context) error {
	d, err := b.newDatabase(ctx, "issuing")
	if err != nil {
		return err
	}
	if err := b.grow(ctx, d, changeSize); err != nil {
		return err
	}
	s, err := b.serve(ctx, d)
	if err != nil {
		return err
	}
	defer s.stop()
	r := &issuingResult{clients: 2 * runtime.GOMAXPROCS(0)}
	var bareTime, servedTime time.Duration
	for round := range issuingRounds {
		b.say.step("round %d of %d: reads while nothing is issued", round+1, issuingRounds)
		set, key, err := b.reads(ctx, s, b.o.issuing, nil)
		if err != nil {
			return err
		}
		r.setIdle, r.keyIdle = r.setIdle.add(set), r.keyIdle.add(key)
		b.say.step("round %d of %d: issuing", round+1, issuingRounds)
		n, took, err := bareKeys(ctx, b.o.issuing)
		if err != nil {
			return err
		}
		r.bareKeys, bareTime = r.bareKeys+n, bareTime+took
		set, key, err = b.reads(ctx, s, b.o.issuing, func() error {
			n, took, err := s.issueFor(ctx, r.clients, b.o.issuing)
			r.servedKeys, servedTime = r.servedKeys+n, servedTime+took
			return err
		})
		if err != nil {
			return err
		}
		r.setBusy, r.keyBusy = r.setBusy.add(set), r.keyBusy.add(key)
	}
	r.bare = float64(r.bareKeys) / bareTime.Seconds()
	r.served = float64(r.servedKeys) / servedTime.Seconds()
	b.results.issuing = r
	return nil
}

// bareKeys generates keys on all processors for a while. A processor's last key may finish late, so took is the
// mean of the processors' times.
func bareKeys(ctx context.Context, during time.Duration) (n int, took time.Duration, err error) {
	workers := runtime.GOMAXPROCS(0)
	var nanos atomic.Int64
	n, err = repeat(ctx, workers, during, func() error {
		began := time.Now()
		_, err := rsa.GenerateKey(cryptorand.Reader, jwks.ModulusBits)
		nanos.Add(int64(time.Since(began)))
		return err
	})
	return n, time.Duration(nanos.Load() / int64(workers)), err
}

// issueFor issues keys from several clients for a while. Each client also completes its last request.
func (s *server) issueFor(ctx context.Context, clients int, during time.Duration) (n int, took time.Duration, err error) {
	began := time.Now()
	n, err = repeat(ctx, clients, during, func() error {
		_, err := s.issue(ctx, fmt.Sprint("many_", rand.N(1000)))
		return err
	})
	return n, time.Since(began), err
}

// repeat has workers call f repeatedly for a while, and returns the number of calls.
func repeat(ctx context.Context, workers int, during time.Duration, f func() error) (int, error) {
	var calls atomic.Int64
	began := time.Now()
	err := parallelBy(workers, workers, func(int) error {
		for time.Since(began) < during && ctx.Err() == nil {
			if err := f(); err != nil {
				return err
			}
			calls.Add(1)
		}
		return ctx.Err()
	})
	return int(calls.Load()), err
}

// reads requests the set and a key's record at an even pace until meanwhile returns. If meanwhile is nil, it
// ends after the given time.
func (b *bench) reads(ctx context.Context, s *server, during time.Duration, meanwhile func() error) (set, key loadResult, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := load{addr: s.addr, connections: 1, rate: readRate, duration: during, want: 200}
	if meanwhile != nil {
		l.duration = time.Hour
	}
	readSet, readKey := l, l
	readSet.requests = [][]byte{get(s.addr, issuerPath()+jwks.SetPath)}
	readKey.requests = [][]byte{get(s.addr, keysPath+"/"+b.ring.id(0).String(), "Authorization: Bearer "+s.admin)}
	var errs [2]error
	var all sync.WaitGroup
	all.Go(func() { set, errs[0] = readSet.run(ctx) })
	all.Go(func() { key, errs[1] = readKey.run(ctx) })
	if meanwhile != nil {
		err = meanwhile()
		cancel()
	}
	all.Wait()
	for i, what := range []string{"reads of the set", "management reads"} {
		if errs[i] != nil && err == nil {
			err = fmt.Errorf("%s: %w", what, errs[i])
		}
	}
	return set, key, err
}
