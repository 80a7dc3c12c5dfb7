package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

const firstPatience = 30 * time.Second

// watchEvery returns the interval of looking at all workspaces, of which there may be ten thousand.
func (g *Gateway) watchEvery() time.Duration {
	if g.started.Load() && g.roster.len() > 1000 {
		return time.Second
	}
	return 200 * time.Millisecond
}

// readiness is what Ready reports.
type readiness struct {
	began    time.Time
	patience time.Duration         // how long to wait for workspaces whose set cannot be fetched
	started  atomic.Bool           // every workspace of the first list had keys, or was not waited for
	missing  atomic.Pointer[error] // why a workspace has no keys; nil if all have keys, or if the reason is unknown
	stale    atomic.Int64          // tenants with keys older than MaxStaleness
	allStale atomic.Bool           // no other tenant has keys
}

// Ready returns nil once every workspace of the first list has keys, unless all of them have keys that are too
// old, as during an outage of the server. Otherwise its error is jwks.ErrNotReady or jwks.ErrStale, or an
// *IssuerError if the server has another issuer. It does not wait for workspaces that are added later, and at most
// half a minute for those whose set cannot be fetched.
func (g *Gateway) Ready() error {
	if wrong := g.wrongIssuer.Load(); wrong != nil {
		return wrong
	}
	switch {
	case !g.started.Load():
		if why := g.missing.Load(); why != nil {
			return fmt.Errorf("%w: %w", jwks.ErrNotReady, *why)
		}
		return jwks.ErrNotReady
	case g.allStale.Load() && !g.o.ServeStale:
		return jwks.ErrStale
	}
	return nil
}

func (g *Gateway) updateReadiness(ctx context.Context) {
	if !g.isRosterKnown() {
		if err := g.feed.Err(); err != nil {
			g.missing.Store(&err)
		}
		return
	}
	if g.started.Load() && g.o.MaxStaleness == 0 {
		return // nothing can change, and there may be ten thousand workspaces to look at
	}
	all, ready, waiting, stale := 0, 0, 0, int64(0)
	var why *error
	for t := range g.roster.all {
		all++
		switch err := t.follower.Usable(g.o.MaxStaleness); {
		case errors.Is(err, jwks.ErrNotReady):
			failed := t.follower.Status().Err
			if failed == nil {
				waiting++
			} else if why == nil || errors.Is(failed, jwks.ErrNoWorkspace) {
				why = &failed
			}
			continue
		case err != nil:
			stale++
		}
		ready++
	}
	g.missing.Store(why)
	g.allStale.Store(stale > 0 && int(stale) == ready)
	unready := all - ready
	enough := unready == 0 || ready > 0 && waiting == 0 && time.Since(g.began) > g.patience
	if enough && g.started.CompareAndSwap(false, true) {
		g.o.Log.InfoContext(ctx, "ready", "workspaces", ready, "unready", unready)
	}
	g.logStale(ctx, stale)
}

// isRosterKnown reports whether all workspaces are known.
func (g *Gateway) isRosterKnown() bool {
	if g.feed == nil {
		return true
	}
	select {
	case <-g.feed.Ready():
		return true
	default:
		return false
	}
}

// logStale logs when keys become too old, and when all keys are current again.
func (g *Gateway) logStale(ctx context.Context, stale int64) {
	switch before := g.stale.Swap(stale); {
	case stale > 0 && before == 0:
		effect := "their tokens are refused with 503"
		if g.o.ServeStale {
			effect = "they stay in use"
		}
		g.o.Log.WarnContext(ctx, "keys are older than allowed: "+effect, "workspaces", stale, "max_staleness", g.o.MaxStaleness)
	case stale == 0 && before > 0:
		g.o.Log.InfoContext(ctx, "keys are current again")
	}
}
