package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// plan determines how much is measured. A quick run only shows that everything works.
type plan struct {
	loadTokens  int
	rounds      int           // turns of each side
	round       time.Duration // for each number of connections
	firsts      int           // tokens seen for the first time
	forged      int           // requests of each kind
	propagation int           // issues, and as many revocations, through the gateway
	stockProp   int           // and through stock Envoy
	stockLimit  time.Duration
	changes     int // revocations, and as many issues
	large       int // keys of the largest set outside the ladder
	issuing     time.Duration
	serving     time.Duration
	exchange    time.Duration // a turn of each server
	warmUp      time.Duration // before the first
	openssl     int           // seconds
	benchTime   string        // of each of Go's own benchmarks
}

var (
	full = plan{
		loadTokens: 1000, rounds: 3, round: 8 * time.Second, firsts: 500, forged: 500, propagation: 300,
		stockProp: 3, stockLimit: 3 * time.Minute, changes: 100, large: 8192, issuing: 20 * time.Second, serving: 5 * time.Second,
		openssl: 3, benchTime: "2s", exchange: 20 * time.Second, warmUp: time.Minute,
	}
	quick = plan{
		loadTokens: 200, rounds: 1, round: 500 * time.Millisecond, firsts: 50, forged: 20, propagation: 5,
		stockProp: 1, stockLimit: 20 * time.Second, changes: 10, large: 2048, issuing: 2 * time.Second, serving: 300 * time.Millisecond,
		openssl: 1, benchTime: "50ms", exchange: 200 * time.Millisecond, warmUp: 200 * time.Millisecond,
	}
)

// changeSize is the number of keys in a small set. The cost of a change in a larger set is compared with the
// cost in this one.
const changeSize = 1000

// climb runs the measurements for each number of keys. The database is extended from rung to rung.
func (b *bench) climb(ctx context.Context) error {
	if b.o.part("gateway") {
		if err := b.lookForGateway(); err != nil {
			return err
		}
	}
	d, err := b.newDatabase(ctx, "ladder")
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Dir(d.file))
	for _, n := range b.rungs() {
		r := rung{keys: n}
		err := b.grow(ctx, d, n)
		if err == nil {
			err = b.rung(ctx, d, &r)
		}
		if err != nil {
			return fmt.Errorf("%d keys: %w", n, err)
		}
		b.results.ladder = append(b.results.ladder, r)
	}
	return nil
}

// rung runs the measurements for the current number of keys.
func (b *bench) rung(ctx context.Context, d *database, r *rung) error {
	b.say.step("%d keys: starting the server", r.keys)
	s, err := b.serve(ctx, d)
	if err != nil {
		return err
	}
	defer s.stop()
	r.cold = s.ready
	if info, err := os.Stat(filepath.Join(s.copied, "burnkey.db")); err == nil {
		r.database = info.Size()
	}
	if b.o.part("gateway") && r.keys != changeSize {
		if err := b.sides(ctx, s, r); err != nil {
			return err
		}
	}
	if b.o.part("change") && r.keys >= changeSize {
		if r.changes, err = b.change(ctx, s, r.keys); err != nil {
			return err
		}
	}
	r.server, err = s.usage()
	return err
}

// sides measures stock Envoy and the gateway.
func (b *bench) sides(ctx context.Context, s *server, r *rung) (err error) {
	tokens, err := b.ring.tokens(spread(r.keys, b.o.loadTokens, forLoad))
	if err != nil {
		return err
	}
	b.say.step("%d keys: starting %s", r.keys, stock)
	// The long interval keeps Envoy from fetching the set during the load. stockPropagation measures with
	// fetches.
	plain, err := b.startStock(ctx, time.Hour, tokens[0])
	if err != nil {
		return err
	}
	defer func() { plain.stop() }()
	all := []*side{plain}
	var g *guarded
	if !b.o.noGateway {
		b.say.step("%d keys: starting %s", r.keys, gateway)
		if g, err = b.startGuarded(ctx, tokens[0]); err != nil {
			return err
		}
		defer func() { g.stop() }()
		all = append(all, g.side)
	}
	for _, side := range all {
		r.sides = append(r.sides, &sideResult{name: side.name, ready: side.ready})
	}
	if err := b.compare(ctx, all, r, tokens); err != nil {
		return err
	}
	plain.stop()
	if g != nil {
		if err := b.gatewayAlone(ctx, s, g, r, tokens); err != nil {
			return err
		}
	}
	return b.stockPropagation(ctx, s, r, tokens[0])
}

// compare puts load on each side in turn. Then it measures each side with tokens that it has not seen and with
// forged tokens.
func (b *bench) compare(ctx context.Context, all []*side, r *rung, tokens []string) error {
	for round := range b.o.rounds {
		for i, side := range all {
			b.say.step("%d keys: load on %s, round %d of %d", r.keys, side.name, round+1, b.o.rounds)
			if err := b.loadRound(ctx, side, r.sides[i], tokens); err != nil {
				return fmt.Errorf("%s: %w", side.name, err)
			}
		}
	}
	fresh, err := b.ring.tokens(spread(r.keys, b.o.firsts, forFirst))
	if err != nil {
		return err
	}
	for i, side := range all {
		if err := b.strangers(ctx, side, r.sides[i], tokens[0], fresh); err != nil {
			return fmt.Errorf("%s: %w", side.name, err)
		}
		if r.sides[i].memory, err = side.usage(); err != nil {
			return err
		}
	}
	return nil
}

// loadRound measures a side once with 1 connection and once with 8.
func (b *bench) loadRound(ctx context.Context, s *side, r *sideResult, tokens []string) error {
	l := load{addr: s.addr, requests: requests(s.addr, tokens), connections: 1, duration: b.o.round, want: 200}
	before, err := s.usage()
	if err != nil {
		return err
	}
	one, err := l.run(ctx)
	if err != nil {
		return err
	}
	after, err := s.usage()
	if err != nil {
		return err
	}
	if r.cpu == nil {
		r.cpu = map[string]time.Duration{}
	}
	for name := range after {
		spent := after[name].cpu - before[name].cpu
		// The mean is weighted by the number of requests, since rounds have different numbers of them.
		was, now := len(r.one.latencies), len(one.latencies)
		r.cpu[name] = (r.cpu[name]*time.Duration(was) + spent) / time.Duration(was+now)
	}
	r.one = r.one.add(one)
	l.connections = 8
	eight, err := l.run(ctx)
	r.eight = r.eight.add(eight)
	return err
}

func requests(addr string, tokens []string) [][]byte {
	list := make([][]byte, len(tokens))
	for i, token := range tokens {
		list[i] = withToken(addr, token)
	}
	return list
}

// self names this process in the results. It generates the load and also serves the API.
const self = "load and API"

// usage returns the usage of each of the side's processes and of this process, by process name.
func (s *side) usage() (map[string]usage, error) {
	all := map[string]usage{}
	var errs []error
	for _, p := range s.processes {
		u, err := p.usage()
		all[p.name] = u
		errs = append(errs, err)
	}
	u, err := usageOf(os.Getpid())
	all[self] = u
	return all, errors.Join(append(errs, err)...)
}

// gatewayAlone measures how long changes take to reach the gateway, and how long the gateway takes to restart.
func (b *bench) gatewayAlone(ctx context.Context, s *server, g *guarded, r *rung, tokens []string) (err error) {
	result := r.side(gateway)
	b.say.step("%d keys: issues and revocations until %s decides by them", r.keys, gateway)
	const patience = 30 * time.Second
	result.issue, result.revoke, err = b.propagate(ctx, s, g.side, tokens, b.o.propagation, patience)
	if err != nil {
		return fmt.Errorf("%s: %w", gateway, err)
	}
	if result.issue.missed+result.revoke.missed > 0 {
		return fmt.Errorf("%s: %d of %d changes did not count within %s", gateway,
			result.issue.missed+result.revoke.missed, 2*b.o.propagation, patience)
	}
	b.say.step("%d keys: starting the gateway from its snapshot", r.keys)
	if result.warm, err = b.restartGateway(ctx, g, tokens[0]); err != nil {
		return err
	}
	result.afterWarm, err = g.usage()
	return err
}

// stockPropagation measures propagation with an Envoy that fetches the set every second, its shortest interval.
func (b *bench) stockPropagation(ctx context.Context, s *server, r *rung, token string) (err error) {
	b.say.step("%d keys: issues and revocations until %s decides by them", r.keys, stock)
	every, err := b.startStock(ctx, time.Second, token)
	if err != nil {
		return err
	}
	defer every.stop()
	result := r.side(stock)
	result.issue, result.revoke, err = b.propagate(ctx, s, every, []string{token}, b.o.stockProp, b.o.stockLimit)
	if err != nil {
		return fmt.Errorf("%s: %w", stock, err)
	}
	return nil
}

// rungs returns the numbers of keys to measure, including the small set for the comparison of changes.
func (b *bench) rungs() []int {
	sizes := slices.Clone(b.o.sizes)
	if b.o.part("change") {
		sizes = append(sizes, changeSize)
	}
	slices.Sort(sizes)
	return slices.Compact(sizes)
}
