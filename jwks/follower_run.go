package jwks

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// followLimits are what tests shorten.
type followLimits struct {
	head    time.Duration // until an answer's header
	first   time.Duration // from there to a stream's first byte, which is sent at once
	silence time.Duration // on a stream: three heartbeats
	stall   time.Duration // in a set's body
	healthy time.Duration // how long a stream lasts that did not fail early
	again   time.Duration // between two tries for a stream that is not to be had
	lag     time.Duration // the age of a stream's set from which on another server may have a later one

	retryFirst, retryMax time.Duration // the longest first and last pauses after failures
	retryAfter           time.Duration // the longest that a server may ask for
}

var defaultLimits = followLimits{
	head: 10 * time.Second, first: 10 * time.Second, silence: 45 * time.Second, stall: 15 * time.Second,
	healthy: 5 * time.Second, again: time.Minute, lag: 10 * time.Second,
	retryFirst: 100 * time.Millisecond, retryMax: 10 * time.Second, retryAfter: 30 * time.Second,
}

// course is one run of a Follower: what is due, and when.
type course struct {
	*Follower
	whole            bool // the set is to be fetched, and not only confirmed
	pollAt, streamAt time.Time
	sets, streams    *backoff.ExponentialBackOff
	setsFail         bool      // the last fetch failed
	polling          bool      // no stream is available
	toldAway         time.Time // time of the last warning that the stream is full
	mute             int       // silent streams in a row
	noStream         int       // streams in a row that brought nothing, for any reason
	bareTags         bool      // the server's ETags are just versions
	versionLost      bool      // the last set came without its version

	since time.Time // when the set's version was first seen
}

// Run follows until ctx ends and then returns nil. It leaves no goroutine, and
// the state file free. A Follower runs once; an error says that it did.
func (f *Follower) Run(ctx context.Context) error {
	if f.ran.Swap(true) {
		return errors.New("the Follower has run already, or is closed")
	}
	if f.journal != nil {
		defer f.journal.start()()
	}
	if f.ownClient {
		defer f.client.CloseIdleConnections()
	}
	c := &course{Follower: f, sets: f.limits.backoff(), streams: f.limits.backoff()}
	if f.hasSet() { // of disk: the stream tells more, if it is to be had
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
		// Full jitter: from nothing to twice the interval.
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

// around returns d, give or take a fifth.
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
	if c.setsFail { // the server is back, and perhaps its stream
		c.setsFail, c.mute = false, 0
		if soon := time.Now().Add(c.streams.NextBackOff()); soon.Before(c.streamAt) {
			c.streamAt = soon
		}
	}
}

// asked returns how long the server wants to be left alone.
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
	if c.noStream++; c.noStream == 1 { // is the server there at all?
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
	case c.givesNone(got, err):
		wait = around(c.limits.again)
		if !c.polling {
			c.polling = true
			c.log.WarnContext(ctx, "the change stream is not to be had: polling", "url", c.shownURL(), "every", c.pollEvery, "err", err)
		}
	case isTurnedAway(err):
		c.tellTurnedAway(ctx, err)
	default: // whether that is a failure, polling tells
		c.log.DebugContext(ctx, "the change stream ended", "url", c.shownURL(), "err", err)
	}
	c.streamAt = now.Add(wait)
}

// isTurnedAway reports whether the server has no place for this reader at present.
func isTurnedAway(err error) bool {
	status := new(statusError)
	return errors.As(err, &status) && (status.code == http.StatusTooManyRequests || status.code == http.StatusServiceUnavailable)
}

// awayEvery is the shortest interval between two warnings that the stream is full.
const awayEvery = 5 * time.Minute

func (c *course) tellTurnedAway(ctx context.Context, err error) {
	if !c.toldAway.IsZero() && time.Since(c.toldAway) < awayEvery {
		return
	}
	c.toldAway = time.Now()
	c.log.WarnContext(ctx, "the change stream has no place for this follower: polling until it has one; "+
		"a management key with the scope gateway gets a reserved place", "url", c.shownURL(), "every", c.pollEvery, "err", err)
}

// givesNone reports whether the server, or what stands before it, has no stream
// to give, while it may well give the set.
func (c *course) givesNone(got bool, err error) bool {
	status := new(statusError)
	switch {
	case got:
		return false
	case errors.Is(err, errNoStream):
		return true
	case errors.As(err, &status):
		return status.code < 500 && status.code != http.StatusTooManyRequests || status.code == http.StatusNotImplemented
	case errors.Is(err, errSilent): // held back by a proxy, perhaps
		c.mute++
		return c.mute >= 2
	}
	return false
}
