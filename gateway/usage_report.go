package gateway

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/internal/atomicfile"
	"github.com/burnkey/burnkey/internal/logs"
	"github.com/burnkey/burnkey/internal/loop"
	"github.com/burnkey/burnkey/jwks"
)

const (
	// MinUsageEvery and MaxUsageEvery are the limits of Options.UsageEvery. The server treats a day without a
	// report as a gap.
	MinUsageEvery = time.Second
	MaxUsageEvery = time.Hour

	reportPace  = time.Second
	reportIdle  = time.Hour   // the interval between reports of no use
	idlePaces   = 4           // paces between two of them: 10,000 workspaces without uses cost the server little
	reportPause = time.Minute // the longest after a failure
	reportLast  = 5 * time.Second
)

// A reporter reports uses to the server. Only one goroutine uses it.
type reporter struct {
	*Gateway
	throttle    logs.Throttle
	idle        bool      // a workspace without uses is next, if one is due
	idleAt      time.Time // when the next report of no use may be sent
	lastFailure time.Time
	failing     bool
	marked      bool // StateDir contains usageMarkFile
}

// reportUsage reports uses until ctx ends, and then once more.
func (g *Gateway) reportUsage(ctx context.Context) {
	r := &reporter{Gateway: g, marked: g.usesLost, throttle: logs.Throttle{Now: g.o.Now}}
	loop.Loop{Every: g.pace, Jitter: 0.2, Backoff: loop.Backoff{First: 2 * g.pace, Max: reportPause}}.Run(ctx, r.reportNext)
	r.last(ctx)
}

var errReport = errors.New("a report failed")

// reportNext sends a report for the next workspace that is due. It returns an error if the reporter should
// pause to relieve the server.
func (r *reporter) reportNext(ctx context.Context) error {
	t := r.choose(r.idle)
	r.idle = !r.idle
	if t != nil && t.uses.pending.Load() == 0 {
		r.idleAt = r.o.Now().Add(idlePaces * r.pace)
	}
	if t != nil && r.report(ctx, t) == reportFailed {
		return errReport
	}
	return nil
}

// choose returns the workspace whose report is longest overdue, or nil if none is due. Workspaces with uses and
// workspaces without take turns, so that neither kind starves the other.
func (r *reporter) choose(idle bool) *tenant {
	var chosen [2]*tenant // with uses, without
	now := r.o.Now()
	due := [2]time.Time{now, now}
	for t := range r.roster.all {
		kind, at := 1, later(t.uses.idleAt, r.idleAt)
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

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// report sends some of a workspace's uses and returns the result. Uses that the server does not acknowledge are
// sent again later.
func (r *reporter) report(ctx context.Context, t *tenant) reportResult {
	u := t.uses
	now := r.o.Now()
	some, until := u.take(jwks.MaxReport, now)
	report := client.UsageReport{Complete: !u.lost, Reporter: r.reporterID, SentAt: now.UTC(), Until: until.UTC()}
	left, hasLeft := r.left(ctx, t, some)
	result, err := r.send(ctx, t.id, some, left, report)
	if result == reportRejected && hasLeft { // a server of the version before knows no limits in reports
		result, err = r.send(ctx, t.id, some, nil, report)
	}
	if err != nil && ctx.Err() != nil {
		return reportFailed // the end is no failure; last reports the rest
	}
	r.results[result].Add(1)
	u.busyAt, u.idleAt = now.Add(loop.Jitter(r.o.UsageEvery, 0.2)), now.Add(loop.Jitter(reportIdle, 0.2))
	switch result {
	case reported:
		u.acknowledge(some)
		u.lost = false
		if u.isReporting() {
			u.busyAt = now // there are more
		}
		r.onSuccess(ctx)
		return result
	case reportRejected:
		u.acknowledge(some)
		u.lost = true
	case reportRefused:
		u.busyAt = now.Add(loop.Jitter(reportPause, 0.2))
		u.idleAt = u.busyAt
	case reportFailed:
		u.busyAt, u.idleAt = now, now
	}
	r.onFailure(ctx, t, err)
	return result
}

// onFailure logs a failure, at most once a minute.
func (r *reporter) onFailure(ctx context.Context, t *tenant, err error) {
	r.failing, r.lastFailure = true, r.o.Now()
	r.mark(ctx, true)
	r.throttle.For(r.o.Log, "").WarnContext(ctx, "cannot report key usage; trying again", "workspace", t.id, "error", err)
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

// isBehind reports whether uses recorded before the last failure are still unreported, or lost.
func (r *reporter) isBehind() bool {
	return r.any(func(u *uses) bool { return u.lost || u.since.Before(r.lastFailure) })
}

func (r *reporter) any(is func(*uses) bool) bool {
	for t := range r.roster.all {
		if is(t.uses) {
			return true
		}
	}
	return false
}

// last reports the remaining uses after ctx has ended. It takes at most reportLast.
func (r *reporter) last(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportLast)
	defer cancel()
	left := int64(0)
	failed := false
	for t := range r.roster.all {
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

// usageMarkFile is a marker in StateDir that exists while the server lacks uses. If this Gateway is killed
// then, the next Gateway sees the marker and reports the gap.
const usageMarkFile = "usage-untold"

func (g *Gateway) isMarked() bool {
	file := g.stateFile(usageMarkFile)
	if file == "" {
		return false
	}
	_, err := os.Stat(file)
	return !errors.Is(err, fs.ErrNotExist)
}

// mark writes or removes the marker for unreported key usage.
func (r *reporter) mark(ctx context.Context, unreported bool) {
	file := r.stateFile(usageMarkFile)
	if file == "" || r.marked == unreported {
		return
	}
	var err error
	if unreported {
		err = atomicfile.Write(file, nil)
	} else if err = os.Remove(file); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		r.o.Log.WarnContext(ctx, "cannot write the marker for unreported key usage", "error", err)
		return
	}
	r.marked = unreported
}
