package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// forgery is one kind of token that must be refused.
type forgery struct{ kind, token string }

// forgeries makes a forged token of each kind from a valid token.
func forgeries(r *keyring, good string) ([]forgery, error) {
	unknown := r.len() - 2 // the last key may be the tombstone
	unpublished, err := r.token(unknown)
	if err != nil {
		return nil, err
	}
	_, rest, _ := strings.Cut(good, ".")
	head := b64.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`))
	return []forgery{
		{"no kid", head + "." + rest},
		{"unknown kid", unpublished},
		{"oversize", good[:strings.IndexByte(good, '.')+1] + strings.Repeat("A", jwks.MaxTokenLen) + good[strings.LastIndexByte(good, '.'):]},
		{"malformed", good[:len(good)-1] + "~"},
	}, nil
}

// strangers measures, over one connection, valid tokens that the side has not seen, and forged tokens.
func (b *bench) strangers(ctx context.Context, s *side, r *sideResult, good string, fresh []string) (err error) {
	b.say.step("tokens not seen before, and forged ones, on %s", s.name)
	if len(fresh) > 0 {
		if r.first, r.firstCPU, err = s.ask(ctx, requests(s.addr, fresh), len(fresh), 200); err != nil {
			return err
		}
	}
	kinds, err := forgeries(b.ring, good)
	if err != nil {
		return err
	}
	for _, f := range kinds {
		result, cpu, err := s.ask(ctx, requests(s.addr, []string{f.token}), b.o.forged, 401)
		if err != nil {
			return fmt.Errorf("a forged token (%s): %w", f.kind, err)
		}
		r.forged = append(r.forged, forgedResult{f.kind, result, cpu})
	}
	return nil
}

// ask sends requests over one connection. It also returns the mean processor time of the side's processes per request.
func (s *side) ask(ctx context.Context, requests [][]byte, count, want int) (loadResult, time.Duration, error) {
	before, err := s.spent()
	if err != nil {
		return loadResult{}, 0, err
	}
	l := load{addr: s.addr, requests: requests, connections: 1, duration: answerTimeout, count: count, want: want}
	result, err := l.run(ctx)
	if err != nil {
		return result, 0, err
	}
	after, err := s.spent()
	return result, (after - before) / time.Duration(len(result.latencies)), err
}

// spent returns the total processor time that the side's processes have used.
func (s *side) spent() (total time.Duration, err error) {
	for _, p := range s.processes {
		u, err := p.usage()
		if err != nil {
			return 0, err
		}
		total += u.cpu
	}
	return total, nil
}
