package main

import (
	"context"
	"crypto"
	cryptorand "crypto/rand"
	"crypto/rsa"
	"fmt"
	"math"
	"net/url"
	"runtime"
	"time"

	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/jwks"
)

// exchangeResult is how fast servers issue access tokens for a client's credentials.
type exchangeResult struct {
	bare    float64 // signatures a second by crypto/rsa, without a server
	servers []*issuerResult
}

// issuerResult contains the measurements of one server.
type issuerResult struct {
	name     string
	rounds   []loadResult
	cpu      time.Duration // in all rounds, of all the server's processes
	others   time.Duration // of all other processes meanwhile
	resident int64         // after them
}

// all returns the rounds as one.
func (r *issuerResult) all() (sum loadResult) {
	for _, round := range r.rounds {
		sum = sum.add(round)
	}
	return sum
}

// busy returns the share of the machine's processor time that other processes took during the rounds. The
// difference of two counters in ticks of 10 ms can be slightly negative.
func (r *issuerResult) busy() string {
	return fmt.Sprintf("%.0f %%", 100*max(0, r.others.Seconds())/r.all().elapsed.Seconds()/float64(runtime.NumCPU()))
}

// to returns the lowest and the highest ratio of this server's rate to the other's in the same round.
func (r *issuerResult) to(other *issuerResult) string {
	if r == other {
		return ""
	}
	lowest, highest := math.Inf(1), 0.0
	for n, round := range r.rounds {
		times := round.perSecond() / other.rounds[n].perSecond()
		lowest, highest = min(lowest, times), max(highest, times)
	}
	return fmt.Sprintf("%s to %s ×", figure(lowest), figure(highest))
}

const (
	exchangeCallers = 16
	exchangeRounds  = 5
	exchangeKeys    = 200
	accessLife      = "300" // seconds, of each access token
)

// exchange loads Burnkey and its rivals in turns. All of them keep running.
func (b *bench) exchange(ctx context.Context) error {
	own, err := b.startExchange(ctx)
	if err != nil {
		return err
	}
	defer own.stop()
	all := []*issuer{own}
	rivals, err := b.startRivals(ctx)
	for _, r := range rivals {
		defer r.stop()
	}
	if err != nil {
		return err
	}
	all = append(all, rivals...)
	r := &exchangeResult{}
	for _, i := range all {
		b.say.step("%s: warm-up", i.name)
		if _, err := i.load(b.o.warmUp).run(ctx); err != nil {
			return fmt.Errorf("%s: %w", i.name, err)
		}
		r.servers = append(r.servers, &issuerResult{name: i.name})
	}
	if r.bare, err = bareSignatures(ctx, b.o.exchange); err != nil {
		return err
	}
	for round := range exchangeRounds {
		b.say.step("round %d of %d: access tokens, in turns", round+1, exchangeRounds)
		for n, i := range all {
			if err := i.measure(ctx, b.o.exchange, r.servers[n]); err != nil {
				return fmt.Errorf("%s: %w", i.name, err)
			}
		}
	}
	b.results.exchange = r
	return nil
}

// startExchange runs a server that exchanges keys.
func (b *bench) startExchange(ctx context.Context) (*issuer, error) {
	d, err := b.newDatabase(ctx, "exchange")
	if err != nil {
		return nil, err
	}
	if err := b.grow(ctx, d, exchangeKeys); err != nil {
		return nil, err
	}
	s, err := b.serve(ctx, d)
	if err != nil {
		return nil, err
	}
	i := &issuer{process: s.process, name: "burnkey serve", addr: s.addr, path: issuerPath() + "/token"}
	for n := range exchangeKeys {
		token, err := b.ring.token(n)
		if err != nil {
			s.stop()
			return nil, err
		}
		i.forms = append(i.forms, url.Values{"grant_type": {"client_credentials"}, "client_secret": {token}, "expires_in": {accessLife}})
	}
	_, err = s.client.UpdateWorkspace(ctx, workspace, client.Patch{"policy": map[string]any{
		"exchange": client.Exchange{Enabled: true, MaxCacheAge: 5, PerMinute: 60_000},
	}})
	return i.orStop(ctx, err)
}

// bareSignatures returns how many signatures a second crypto/rsa makes on all processors.
func bareSignatures(ctx context.Context, during time.Duration) (float64, error) {
	key, err := rsa.GenerateKey(cryptorand.Reader, jwks.ModulusBits)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	n, err := repeat(ctx, runtime.GOMAXPROCS(0), during, func() error {
		_, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, make([]byte, crypto.SHA256.Size()))
		return err
	})
	return float64(n) / time.Since(began).Seconds(), err
}
