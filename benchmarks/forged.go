package main

import (
	"context"
	"strings"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// forgery is a kind of token that must be refused.
type forgery struct{ kind, token string }

// forgeries makes one token of each kind out of a good one. unknown is the
// signature of a genuine key that is not published.
func forgeries(r *keyring, good string) ([]forgery, error) {
	unknown := r.len() - 2 // the last is the tombstone's if anyone's
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

// strangers measures good tokens that the side has not seen, and forged ones, over
// one connection.
func (b *bench) strangers(ctx context.Context, s *side, r *sideResult, good string, fresh []string) (err error) {
	b.say.step("tokens not seen before, and forged ones, on %s", s.name)
	l := load{addr: s.addr, connections: 1, duration: answerTimeout, want: 200}
	if len(fresh) > 0 {
		l.requests, l.count = requests(s.addr, fresh), len(fresh)
		if r.first, err = l.run(ctx); err != nil {
			return err
		}
	}
	kinds, err := forgeries(b.ring, good)
	if err != nil {
		return err
	}
	for _, f := range kinds {
		before, err := s.spent()
		if err != nil {
			return err
		}
		l.requests, l.count, l.want = [][]byte{withToken(s.addr, f.token)}, b.o.forged, 401
		result, err := l.run(ctx)
		if err != nil {
			return err
		}
		after, err := s.spent()
		if err != nil {
			return err
		}
		cpu := (after - before) / time.Duration(len(result.latencies))
		r.forged = append(r.forged, forgedResult{f.kind, result, cpu})
	}
	return nil
}

// spent is the processor time of all the side's processes.
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
