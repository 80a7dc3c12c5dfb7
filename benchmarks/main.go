// Command benchmarks compares Burnkey with other programs, side by side in one run: stock Envoy, bare key generation,
// openssl, nginx, Keycloak and Hydra. `make bench` runs it; docs/benchmarks has the results of the last full run.
//
// Its keys are for loads only. They are genuine RSA-2048 keys, but products of a small pool of primes, so that a million are
// made in seconds. From any two keys with a common prime, both private keys can be computed. No other program uses such
// keys.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

// run measures the selected parts. If a part fails, it still measures the others.
func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parseOptions(args, out)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	b, err := newBench(ctx, o, out)
	if err != nil {
		return err
	}
	defer b.close()
	var failed []error
	for _, part := range b.parts() {
		b.say.step("== %s", part.name)
		if err := part.measure(ctx); err != nil {
			b.say.step("%s FAILED: %v", part.name, err)
			b.results.notes = append(b.results.notes, fmt.Sprintf("%s failed: %v", part.name, err))
			failed = append(failed, fmt.Errorf("%s: %w", part.name, err))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if err := b.report(ctx); err != nil {
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

type part struct {
	name    string
	measure func(context.Context) error
}

// parts returns the selected parts. The ladder covers two of them.
func (b *bench) parts() []part {
	var list []part
	if b.o.part("gateway") || b.o.part("change") {
		list = append(list, part{"gateways and changes by the number of keys", b.climb})
	}
	for _, p := range []struct {
		flag string
		part
	}{
		{"verify", part{"verification against openssl", b.verify}},
		{"issuing", part{"issuing against bare key generation", b.issuing}},
		{"jwks", part{"the JWKS against nginx", b.jwks}},
		{"exchange", part{"the exchange against Keycloak and Hydra", b.exchange}},
	} {
		if b.o.part(p.flag) {
			list = append(list, p.part)
		}
	}
	return list
}
