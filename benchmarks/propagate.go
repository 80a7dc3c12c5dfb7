package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// backgroundRate is the load during the measurement of propagation, in requests a second.
const backgroundRate = 200

// propagate issues and revokes count keys, one after the other, while other tokens are in use. It measures the
// time from each answer of the server until the side applies the change, as seen by a client on a separate
// connection.
func (b *bench) propagate(
	ctx context.Context, s *server, at *side, tokens []string, count int, limit time.Duration,
) (issue, revoke propagation, err error) {
	background, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		l := load{
			addr: at.addr, requests: requests(at.addr, tokens), connections: 2, rate: backgroundRate,
			duration: 24 * time.Hour, want: 200,
		}
		_, err := l.run(background)
		done <- err
	}()
	issue.limit, revoke.limit = limit, limit
	for i := range count {
		err = b.oneLife(ctx, s, at, i, &issue, &revoke)
		if err != nil || issue.missed+revoke.missed > 0 { // one is enough, and may have taken minutes
			break
		}
	}
	cancel()
	if bad := <-done; err == nil && bad != nil {
		err = fmt.Errorf("the load meanwhile: %w", bad)
	}
	slices.Sort(issue.took)
	slices.Sort(revoke.took)
	return issue, revoke, err
}

// oneLife issues a key, waits until it is admitted, revokes it and waits until it is refused.
func (b *bench) oneLife(ctx context.Context, s *server, at *side, i int, issue, revoke *propagation) error {
	k, err := s.issue(ctx, fmt.Sprint("life_", i))
	if err != nil {
		return err
	}
	missed := issue.missed
	if err := at.decides(ctx, k.Token.Reveal(), 200, 401, issue); err != nil {
		return err
	}
	if err := s.revoke(ctx, k.ID); err != nil || issue.missed > missed {
		return err // a key that was never admitted is refused at once
	}
	return at.decides(ctx, k.Token.Reveal(), 401, 200, revoke)
}

// settled is the number of further requests that must have the same result as the first.
const settled = 3

// decides sends requests until the answer has the status want, and records the time. All earlier answers must
// have the status before.
func (s *side) decides(ctx context.Context, token string, want, before int, p *propagation) error {
	answered := time.Now()
	c, err := dial(s.addr)
	if err != nil {
		return err
	}
	defer c.hangUp()
	request := withToken(s.addr, token)
	for {
		status, _, err := c.do(request)
		took := time.Since(answered)
		switch {
		case err != nil:
			return err
		case status == want:
			p.took = append(p.took, took)
			return s.stays(c, request, want)
		case status != before:
			return fmt.Errorf("answered %d, neither %d nor %d", status, want, before)
		case took > p.limit:
			p.missed++
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case took > time.Second: // precision no longer matters: leave the processor to the others
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func (s *side) stays(c *conn, request []byte, want int) error {
	for range settled {
		status, _, err := c.do(request)
		if err != nil {
			return err
		}
		if status != want {
			return fmt.Errorf("answered %d after a first %d", status, want)
		}
	}
	return nil
}
