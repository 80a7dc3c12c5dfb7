package redis

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/burnkey/burnkey/gateway/limits"
)

var (
	errAway    = fmt.Errorf("%w: Redis is not available", limits.ErrUnavailable)
	errTimeout = fmt.Errorf("%w: Redis did not answer in time", limits.ErrUnavailable)
	errBusy    = fmt.Errorf("%w: too many decisions wait for Redis", limits.ErrUnavailable)
)

// A decision is one run of the script.
type decision struct {
	args  []any // of EVALSHA
	state atomic.Int32
	reply []int64
	err   error
	done  chan struct{} // closed after reply and err were set
}

// States of a decision. Only a waiting one can be sent, or dropped by its caller.
const (
	waiting = iota
	sent
	dropped
)

// wait has a decision sent, and waits for its reply, at most for the timeout.
func (c *Counter) wait(ctx context.Context, d *decision) error {
	select {
	case c.queue <- d:
	default:
		return errBusy
	}
	timer := time.NewTimer(c.o.Timeout)
	defer timer.Stop()
	var err error
	select {
	case <-d.done:
		return d.err
	case <-timer.C:
		err = errTimeout
	case <-ctx.Done():
		err = ctx.Err()
	}
	d.state.CompareAndSwap(waiting, dropped)
	return err
}

// send sends the decisions that wait, until ctx ends.
func (c *Counter) send(ctx context.Context) {
	batch := make([]*decision, 0, maxBatch)
	for {
		select {
		case <-ctx.Done():
			return
		case d := <-c.queue:
			batch = c.collect(append(batch[:0], d))
		}
		c.exchange(ctx, batch)
	}
}

// collect returns the batch and all further decisions that wait, up to maxBatch, without those that were dropped.
func (c *Counter) collect(batch []*decision) []*decision {
	kept := batch[:0]
	for d := batch[0]; ; {
		if d.state.CompareAndSwap(waiting, sent) {
			kept = append(kept, d)
		}
		if len(kept) == maxBatch {
			return kept
		}
		select {
		case d = <-c.queue:
		default:
			return kept
		}
	}
}

// exchange sends a batch and distributes the answers. Redis may have lost the script: then it is loaded, and the
// decisions that Redis did not know are sent once more.
func (c *Counter) exchange(ctx context.Context, batch []*decision) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	unknown := c.try(ctx, batch, false)
	if len(unknown) > 0 {
		unknown = c.try(ctx, unknown, true)
	}
	for _, d := range unknown {
		d.finish(errAway)
	}
}

// try sends decisions, and returns those for which Redis has no script.
func (c *Counter) try(ctx context.Context, batch []*decision, load bool) (unknown []*decision) {
	if len(batch) == 0 || !c.usable.Load() {
		return batch
	}
	client := c.client.Load()
	p := client.Pipeline()
	if load {
		p.ScriptLoad(ctx, c.source)
	}
	answers := make([]*goredis.Cmd, len(batch))
	for i, d := range batch {
		answers[i] = p.Do(ctx, d.args...)
	}
	_, _ = p.Exec(ctx) // each answer has its error
	for i, d := range batch {
		err := answers[i].Err()
		if goredis.HasErrorPrefix(err, "NOSCRIPT") {
			unknown = append(unknown, d)
			continue
		}
		if err == nil {
			d.reply, err = answers[i].Int64Slice()
		}
		if err != nil && c.client.Load() == client {
			c.usable.Store(false) // until a probe succeeds
		}
		d.finish(err)
	}
	return unknown
}

// finish wakes a decision's caller.
func (d *decision) finish(err error) {
	if err != nil && !errors.Is(err, limits.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", limits.ErrUnavailable, err)
	}
	d.err = err
	close(d.done)
}
