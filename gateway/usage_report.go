package gateway

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// MinUsageEvery and MaxUsageEvery are the limits of Options.UsageEvery. To the
	// server, a day without a report is a gap.
	MinUsageEvery = time.Second
	MaxUsageEvery = time.Hour

	reportKeys  = 500 // the server's limit for one report
	reportPace  = time.Second
	reportIdle  = time.Hour   // the interval between reports of no use
	reportPause = time.Minute // the longest after a failure
	reportLast  = 5 * time.Second
)

// A reporter reports uses to the server. Only one goroutine uses it.
type reporter struct {
	*Gateway
	pauses      *backoff.ExponentialBackOff
	logged      time.Time // the last logged failure
	lastFailure time.Time
	failing     bool
	marked      bool // StateDir contains usageMarkFile
}

// reportUsage reports uses until ctx ends, and then once more.
func (g *Gateway) reportUsage(ctx context.Context) {
	r := &reporter{Gateway: g, marked: g.usesLost, pauses: &backoff.ExponentialBackOff{
		InitialInterval: g.pace, MaxInterval: reportPause / 2, Multiplier: 2, RandomizationFactor: 1,
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
		pause := jitter(g.pace)
		if t := r.choose(idle); t != nil && r.report(ctx, t) == reportFailed {
			pause = max(pause, r.pauses.NextBackOff())
		}
		timer.Reset(pause)
	}
}

// choose returns the workspace whose report is longest overdue, or nil if none is due.
// Workspaces with and without uses take turns, so that neither kind, even with ten
// thousand members, starves the other.
func (r *reporter) choose(idle bool) *tenant {
	var chosen [2]*tenant // with uses, without
	now := r.o.Now()
	due := [2]time.Time{now, now}
	for _, t := range r.all() {
		kind, at := 1, t.uses.idleAt
		if t.uses.pending.Load() > 0 {
			kind, at = 0, t.uses.busyAt
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

// report sends some of a workspace's uses and returns the result. Uses that were not
// acknowledged are sent again.
func (r *reporter) report(ctx context.Context, t *tenant) reportResult {
	u := t.uses
	now := r.o.Now()
	some, until := u.take(reportKeys, now)
	err := r.send(ctx, t.id, some, usageReport{Complete: !u.lost, Reporter: r.reporterID, SentAt: now.UTC(), Until: until.UTC()})
	if err != nil && ctx.Err() != nil {
		return reportFailed // the end is no failure; last reports the rest
	}
	result := resultOf(err)
	r.results[result].Add(1)
	u.busyAt, u.idleAt = now.Add(jitter(r.o.UsageEvery)), now.Add(jitter(reportIdle))
	switch result {
	case reported:
		u.acknowledge(some)
		u.lost = false
		if u.isReporting() {
			u.busyAt = now // there are more
		}
		r.pauses.Reset()
		r.onSuccess(ctx)
		return result
	case reportRejected:
		u.acknowledge(some)
		u.lost = true
	case reportRefused:
		u.busyAt = now.Add(jitter(reportPause))
		u.idleAt = u.busyAt
	case reportFailed:
		u.busyAt, u.idleAt = now, now
	}
	r.onFailure(ctx, t, err)
	return result
}

// onFailure logs a failure, at most one a minute.
func (r *reporter) onFailure(ctx context.Context, t *tenant, err error) {
	now := r.o.Now()
	r.failing, r.lastFailure = true, now
	r.mark(ctx, true)
	if r.logged.IsZero() || now.Sub(r.logged) >= time.Minute {
		r.logged = now
		r.o.Log.WarnContext(ctx, "cannot report key usage; trying again", "workspace", t.id, "error", err)
	}
}

func (r *reporter) onSuccess(ctx context.Context) {
	if r.failing {
		r.o.Log.InfoContext(ctx, "key usage is reported again")
	}
	r.failing = false
	if r.marked && !r.isBehind() {
		r.mark(ctx, false)
	}
}

// isBehind reports whether uses from before the last failure are unreported or lost.
func (r *reporter) isBehind() bool {
	return r.any(func(u *uses) bool { return u.lost || u.since.Before(r.lastFailure) })
}

func (r *reporter) any(is func(*uses) bool) bool {
	for _, t := range r.all() {
		if is(t.uses) {
			return true
		}
	}
	return false
}

// last reports the remaining uses after ctx has ended, for up to reportLast.
func (r *reporter) last(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportLast)
	defer cancel()
	left := int64(0)
	failed := false
	for _, t := range r.all() {
		for !failed && t.uses.pending.Load() > 0 {
			result := r.report(ctx, t)
			failed = result == reportFailed
			if result != reported {
				break
			}
		}
		left += t.uses.pending.Load()
	}
	switch {
	case left > 0:
		r.mark(ctx, true)
		r.o.Log.WarnContext(ctx, "shutting down with unreported key usage", "keys", left)
	case r.marked && !r.any(func(u *uses) bool { return u.lost }):
		r.mark(ctx, false)
	}
}
