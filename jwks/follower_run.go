package jwks

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// followLimits are durations that tests shorten.
type followLimits struct {
	head    time.Duration // until a response's header
	first   time.Duration // then until the first byte of a stream, which the server sends at once
	silence time.Duration // between two bytes of a stream, more than any heartbeat
	stall   time.Duration // between two bytes of a set
	healthy time.Duration // a stream that lasts as long did not fail early
	again   time.Duration // between two attempts if the server has no stream
	lag     time.Duration // age of a stream's set from which another server may have a later set

	retryFirst, retryMax time.Duration // bounds of the first and of any pause after a failure
	retryAfter           time.Duration // bound of Retry-After
}

var defaultLimits = followLimits{
	head: 10 * time.Second, first: 10 * time.Second, silence: 45 * time.Second, stall: 15 * time.Second,
	healthy: 5 * time.Second, again: time.Minute, lag: 10 * time.Second,
	retryFirst: 100 * time.Millisecond, retryMax: 10 * time.Second, retryAfter: 30 * time.Second,
}

// course is the state of a Follower while it runs.
type course struct {
	*Follower
	whole            bool // the set must be fetched, not only confirmed
	pollAt, streamAt time.Time
	sets, streams    *backoff.ExponentialBackOff
	setsFail         bool      // the last fetch failed
	polling          bool      // no stream is available
	fullLogged       time.Time // time of the last warning that the stream is full
	mute             int       // silent streams in a row
	noStream         int       // streams in a row without any message
	bareTags         bool      // the server's ETags are just versions
	versionLost      bool      // the last set came without its version

	since time.Time // time at which this version of the set was installed
}

// Run keeps the set up to date until ctx ends, and then returns nil. It releases the state file and leaves
// no goroutine running. Run can be called only once.
func (f *Follower) Run(ctx context.Context) error {
	if f.ran.Swap(true) {
		return errors.New("the Follower has already run or is closed")
	}
	if f.journal != nil {
		defer f.journal.start()()
	}
	if f.ownClient {
		defer f.client.CloseIdleConnections()
	}
	c := &course{Follower: f, sets: f.limits.backoff(), streams: f.limits.backoff()}
	if f.hasSet() { // from disk: try the stream before fetching the set
		c.pollAt = time.Now().Add(f.pollEvery)
		if c.since = f.current; c.since.IsZero() {
			c.since = f.now()
		}
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if c.pollDue() {
			c.poll(ctx)
		}
		if c.streamDue() {
			c.stream(ctx)
		}
		timer.Reset(c.pause())
	}
}

func (l followLimits) backoff() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		// Full jitter: each wait is between 0 and twice the interval.
		InitialInterval: l.retryFirst / 2, MaxInterval: l.retryMax / 2, Multiplier: 2, RandomizationFactor: 1,
	}
}

func (c *course) mayStream() bool { return !c.whole && c.Version() != 0 }

func (c *course) pollDue() bool { return !time.Now().Before(c.pollAt) }

func (c *course) streamDue() bool { return c.mayStream() && !time.Now().Before(c.streamAt) }

func (c *course) pause() time.Duration {
	next := c.pollAt
	if c.mayStream() && c.streamAt.Before(next) {
		next = c.streamAt
	}
	return max(0, time.Until(next))
}

// around returns d, varied by up to a fifth.
func around(d time.Duration) time.Duration { return d*4/5 + rand.N(d*2/5+1) }

func (c *course) poll(ctx context.Context) {
	err := c.fetch(ctx)
	if ctx.Err() != nil {
		return
	}
	c.report(ctx, err)
	if err != nil {
		c.setsFail = true
		c.pollAt = time.Now().Add(max(c.sets.NextBackOff(), asked(err)))
		return
	}
	c.sets.Reset()
	c.whole = false
	c.pollAt = time.Now().Add(around(c.pollEvery))
	if c.setsFail { // the server works again, and perhaps its stream
		c.setsFail, c.mute = false, 0
		if soon := time.Now().Add(c.streams.NextBackOff()); soon.Before(c.streamAt) {
			c.streamAt = soon
		}
	}
}

// asked returns the pause that the server requested by Retry-After.
func asked(err error) time.Duration {
	if status := new(statusError); errors.As(err, &status) {
		return around(status.retryAfter)
	}
	return 0
}

func (c *course) stream(ctx context.Context) {
	began := time.Now()
	got, err := c.streamSet(ctx)
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	if c.noStream++; c.noStream == 1 { // check whether the server works at all
		c.pollAt = now
	}
	if got {
		c.mute, c.noStream, c.polling = 0, 0, false
		c.pollAt = now.Add(around(c.pollEvery))
		if now.Sub(began) >= c.limits.healthy {
			c.streams.Reset()
		}
	}
	wait := max(c.streams.NextBackOff(), asked(err))
	switch {
	case errors.Is(err, errReset):
		c.whole, c.pollAt = true, now
	case errors.Is(err, errDiverged), errors.Is(err, errEvent):
		c.whole, c.pollAt = true, now
		c.report(ctx, err)
	case c.hasNone(got, err):
		wait = around(c.limits.again)
		if !c.polling {
			c.polling = true
			c.log.WarnContext(ctx, "no change stream; polling", "url", c.shownURL(), "every", c.pollEvery, "error", err)
		}
	case isFull(err):
		c.logFull(ctx, err)
	default: // polling will show whether the server works
		c.log.DebugContext(ctx, "the change stream ended", "url", c.shownURL(), "error", err)
	}
	c.streamAt = now.Add(wait)
}

// isFull reports whether err means that the server has no place for another stream.
func isFull(err error) bool {
	status := new(statusError)
	return errors.As(err, &status) && (status.code == http.StatusTooManyRequests || status.code == http.StatusServiceUnavailable)
}

// fullEvery is the shortest interval between two warnings that the stream is full.
const fullEvery = 5 * time.Minute

func (c *course) logFull(ctx context.Context, err error) {
	if !c.fullLogged.IsZero() && time.Since(c.fullLogged) < fullEvery {
		return
	}
	c.fullLogged = time.Now()
	c.log.WarnContext(ctx, "the change stream is full; polling until there is a place; "+
		"a management key with the scope gateway gets a reserved place", "url", c.shownURL(), "every", c.pollEvery, "error", err)
}

// hasNone reports whether the server, or a proxy in front of it, seems to provide the set but no stream.
func (c *course) hasNone(got bool, err error) bool {
	status := new(statusError)
	switch {
	case got:
		return false
	case errors.Is(err, errNoStream):
		return true
	case errors.As(err, &status):
		return status.code < 500 && status.code != http.StatusTooManyRequests || status.code == http.StatusNotImplemented
	case errors.Is(err, errSilent): // a proxy may be buffering the stream
		c.mute++
		return c.mute >= 2
	}
	return false
}
