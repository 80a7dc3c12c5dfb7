// Package redis counts requests against rules in Redis or Valkey, so that gateways share the counts.
//
// A decision is one run of a script, which counts the requests with all rules or with none, by Redis' clock. The
// counter keeps the counts of each answer in a limits.Local, which continues them while Redis is away. The counter sends
// its counts along with each decision, so that they survive a Redis that loses its data.
package redis

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/burnkey/burnkey/gateway/limits"
	"github.com/burnkey/burnkey/internal/loop"
)

// DefaultTimeout is the default of Options.Timeout.
const DefaultTimeout = 50 * time.Millisecond

const (
	// senders is the number of connections. Each sends all decisions that wait, up to maxBatch, in one pipeline. So
	// a slow Redis gets larger pipelines, not more connections.
	senders  = 4
	maxBatch = 64
	// maxWaiting is the number of decisions that can wait for a connection. Further ones are decided as if Redis were away.
	maxWaiting = 4096
	// probeEvery is the wait between two attempts to use a Redis that failed, and checkEvery that between two checks of
	// one that works, so that an outage is noticed while no decision needs Redis.
	probeEvery   = 100 * time.Millisecond
	checkEvery   = time.Second
	probeTimeout = time.Second
	// settle is how long gateways that find Redis again wait for the others: a little more than probeEvery.
	settle = 250 * time.Millisecond
)

// Options are the options of a Counter.
type Options struct {
	URL string // see CheckURL
	// Local counts while Redis is away. Its share should be that of this gateway.
	Local *limits.Local
	// Refuse makes Take fail while Redis is away, instead of counting with Local.
	Refuse bool
	// Timeout is the longest wait of a decision for Redis. 0: DefaultTimeout.
	Timeout time.Duration
	Log     *slog.Logger // nil: slog.Default
	// Observe is called after each decision that Redis was asked for. Nil: not called.
	Observe func(took time.Duration, err error)
	Now     func() time.Time // nil: time.Now
}

// A Counter is a limits.Counter. Redis counts as away until Run has reached it.
type Counter struct {
	o      Options
	server *goredis.Options
	client atomic.Pointer[goredis.Client] // set by Run, and again after a failure
	source string                         // of the script
	hash   string                         // of source
	queue  chan *decision
	usable atomic.Bool
	probed time.Time // used by probe alone
	clock  clock
}

var _ limits.Counter = (*Counter)(nil)

// New returns a Counter. It connects to nothing until Run is called. An error is that of CheckURL.
func New(o Options) (*Counter, error) {
	server, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	o.Timeout, o.Log = cmp.Or(o.Timeout, DefaultTimeout), cmp.Or(o.Log, slog.Default())
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Observe == nil {
		o.Observe = func(time.Duration, error) {}
	}
	logging.Disable() // it writes to standard error; the probe's errors are logged
	// A decision that may have been counted must not be sent again.
	server.MaxRetries, server.DialerRetries = -1, 1
	server.PoolSize, server.PipelinePoolSize = senders+1, -1
	server.DialTimeout, server.ReadTimeout, server.WriteTimeout = probeTimeout, probeTimeout, probeTimeout
	server.ContextTimeoutEnabled, server.DisableIdentity = true, true
	server.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &Counter{
		o: o, server: server, source: source, hash: goredis.NewScript(source).Hash(), queue: make(chan *decision, maxWaiting),
		clock: clock{began: o.Now()},
	}, nil
}

// Run sends decisions to Redis until ctx ends, and then closes the connections. It must be called only once.
func (c *Counter) Run(ctx context.Context) {
	c.client.Store(goredis.NewClient(c.server))
	var sending sync.WaitGroup
	for range senders {
		sending.Go(func() { c.send(ctx) })
	}
	effect := "limits are counted by this gateway alone"
	if c.o.Refuse {
		effect = "requests with limits are refused with 503"
	}
	loop.Loop{
		Every: probeEvery, Jitter: 0.2, Log: c.o.Log, Level: slog.LevelWarn, Failure: "Redis is not available: " + effect,
	}.Run(ctx, c.probe)
	sending.Wait()
	c.usable.Store(false)
	_ = c.client.Load().Close() // every answer was received
}

// Usable reports whether decisions are sent to Redis at present.
func (c *Counter) Usable() bool { return c.usable.Load() }

// probe finds out whether Redis is usable. It also writes, which a replica or a full Redis refuses.
func (c *Counter) probe(ctx context.Context) error {
	if c.usable.Load() && time.Since(c.probed) < checkEvery {
		return nil
	}
	wasUsable, isFirst := c.usable.Load(), c.probed.IsZero()
	if !wasUsable && !isFirst {
		// Other connections may be broken, too, and after a few failures a client tries only once a second.
		_ = c.client.Swap(goredis.NewClient(c.server)).Close()
	}
	wait, err := c.write(ctx)
	if err == nil && !wasUsable && !isFirst && !c.o.Refuse {
		_ = loop.Sleep(ctx, wait)
	}
	c.probed = time.Now()
	c.usable.Store(err == nil)
	return err
}

// write loads the script and writes to Redis. It returns the time after which all gateways that have counted alone use
// Redis again: if one did so earlier, it could take what others still take as their share. The first one sets the time.
func (c *Counter) write(ctx context.Context) (wait time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	const key = "burnkey:return"
	var left *goredis.DurationCmd
	_, err = c.client.Load().Pipelined(ctx, func(p goredis.Pipeliner) error {
		p.ScriptLoad(ctx, c.source)
		p.Do(ctx, "SET", key, 1, "NX", "PX", settle.Milliseconds())
		left = p.PTTL(ctx, key)
		return nil
	})
	if err != nil && !errors.Is(err, goredis.Nil) { // Nil: another gateway has set the time
		return 0, err
	}
	return left.Val(), nil
}

// Take implements limits.Counter.
func (c *Counter) Take(ctx context.Context, now time.Time, n uint32, rules []limits.Rule, states []limits.State) (bool, error) {
	if len(rules) == 0 {
		return true, nil
	}
	if c.usable.Load() {
		passes, err := c.ask(ctx, now, n, rules, states)
		if err == nil || ctx.Err() != nil {
			return passes, err
		}
	}
	if c.o.Refuse {
		return false, errAway
	}
	return c.o.Local.Take(ctx, now, n, rules, states)
}

// ask asks Redis for the decision.
func (c *Counter) ask(ctx context.Context, now time.Time, n uint32, rules []limits.Rule, states []limits.State) (bool, error) {
	marks := make([]limits.Mark, len(rules))
	c.o.Local.Marks(now, rules, marks)
	d := c.newDecision(n, rules, marks, c.clock.redis(now))
	began := c.o.Now()
	err := c.wait(ctx, d)
	received := c.o.Now()
	var a answer
	if err == nil {
		a, err = readAnswer(d.reply, n, rules, states, marks)
	}
	c.o.Observe(received.Sub(began), err)
	if err != nil {
		return false, err
	}
	c.clock.saw(a.now, received)
	c.o.Local.Raise(now, rules, marks)
	return a.passes, nil
}
