package gateway

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// MinUsageEvery and MaxUsageEvery are the limits of Options.UsageEvery. The server
	// takes a day without a report for a gap.
	MinUsageEvery = time.Second
	MaxUsageEvery = time.Hour

	reportKeys  = 500 // of one report: what the server takes
	reportPace  = time.Second
	reportIdle  = time.Hour   // how often to say that there was no use
	reportPause = time.Minute // the longest after a failure
	reportLast  = 5 * time.Second
)

// reporter tells the server of uses. All of it is one goroutine's.
type reporter struct {
	*Gateway
	pauses *backoff.ExponentialBackOff
	told   time.Time // when a failure was logged last
	fails  bool
	failed time.Time // the last time
	marked bool      // StateDir says that uses are untold: see mark
}

// reportUsage tells of uses until ctx ends, and then once more.
func (g *Gateway) reportUsage(ctx context.Context) {
	r := &reporter{Gateway: g, marked: g.forgot, pauses: &backoff.ExponentialBackOff{
		InitialInterval: g.reportPace, MaxInterval: reportPause / 2, Multiplier: 2, RandomizationFactor: 1,
	}}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for idle := false; ; idle = !idle {
		select {
		case <-ctx.Done():
			r.last(ctx)
			return
		case <-timer.C:
		}
		pause := jitter(g.reportPace)
		if t := r.choose(idle); t != nil && r.report(ctx, t) == reportFailed {
			pause = max(pause, r.pauses.NextBackOff())
		}
		timer.Reset(pause)
	}
}

// jitter is a duration give or take a fifth.
func jitter(d time.Duration) time.Duration { return d*4/5 + rand.N(d*2/5+1) }

// choose returns the workspace that has waited longest to be reported, or nil if it is no
// one's time. Those with uses and those without take turns: neither, be they ten thousand,
// keeps the others waiting for ever.
func (r *reporter) choose(idle bool) *tenant {
	var chosen [2]*tenant // with uses, without
	now := r.o.Now()
	due := [2]time.Time{now, now}
	for _, t := range r.all() {
		kind, at := 1, t.uses.idle
		if t.uses.pending.Load() > 0 {
			kind, at = 0, t.uses.busy
		}
		if !at.After(due[kind]) {
			chosen[kind], due[kind] = t, at
		}
	}
	if idle && chosen[1] != nil || chosen[0] == nil {
		return chosen[1]
	}
	return chosen[0]
}

// report tells of some of a workspace's uses, and returns what came of it. Those that were
// not acknowledged are told again.
func (r *reporter) report(ctx context.Context, t *tenant) (result string) {
	u := t.uses
	now := r.o.Now()
	some, until := u.take(reportKeys, now)
	err := r.send(ctx, t.id, some, usageReport{Complete: !u.lost, Reporter: r.reporter, SentAt: now.UTC(), Until: until.UTC()})
	if err != nil && ctx.Err() != nil {
		return reportFailed // the end is no failure, and what is left is told by last
	}
	result = resultOf(err)
	r.metrics.reports.WithLabelValues(result).Inc()
	u.busy, u.idle = now.Add(jitter(r.o.UsageEvery)), now.Add(jitter(reportIdle))
	switch result {
	case reported:
		u.acknowledge(some)
		u.lost = false
		if u.isTelling() {
			u.busy = now // there are more
		}
		r.pauses.Reset()
		r.fine(ctx)
		return result
	case reportRejected:
		u.acknowledge(some)
		u.lost = true
	case reportRefused:
		u.busy = now.Add(jitter(reportPause))
		u.idle = u.busy
	case reportFailed:
		u.busy, u.idle = now, now
	}
	r.tell(ctx, t, err)
	return result
}

// tell logs a failure, one a minute at most.
func (r *reporter) tell(ctx context.Context, t *tenant, err error) {
	now := r.o.Now()
	r.fails, r.failed = true, now
	r.mark(ctx, true)
	if r.told.IsZero() || now.Sub(r.told) >= time.Minute {
		r.told = now
		r.o.Log.WarnContext(ctx, "the use of keys is not reported; it is kept and told again", "workspace", t.id, "err", err)
	}
}

func (r *reporter) fine(ctx context.Context) {
	if r.fails {
		r.o.Log.InfoContext(ctx, "the use of keys is reported again")
	}
	r.fails = false
	if r.marked && !r.owes() {
		r.mark(ctx, false)
	}
}

// owes reports whether uses from before the last failure are untold, or were lost.
func (r *reporter) owes() bool {
	return r.any(func(u *uses) bool { return u.lost || u.began.Before(r.failed) })
}

func (r *reporter) any(is func(*uses) bool) bool {
	for _, t := range r.all() {
		if is(t.uses) {
			return true
		}
	}
	return false
}

// last tells of all that is left when the Gateway ends, for a while.
func (r *reporter) last(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportLast)
	defer cancel()
	left := int64(0)
	over := false
	for _, t := range r.all() {
		for !over && t.uses.pending.Load() > 0 {
			result := r.report(ctx, t)
			over = result == reportFailed
			if result != reported {
				break
			}
		}
		left += t.uses.pending.Load()
	}
	switch {
	case left > 0:
		r.mark(ctx, true)
		r.o.Log.WarnContext(ctx, "the last uses of keys could not be reported before the end", "keys", left)
	case r.marked && !r.any(func(u *uses) bool { return u.lost }):
		r.mark(ctx, false)
	}
}
