package gateway

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// A roster is the set of workspaces whose tokens are accepted.
type roster struct {
	tenants map[string]*tenant // by workspace
	// blocked counts listed workspaces without a tenant. Their state file is still in use, by another Gateway
	// or by a Follower that has not ended yet.
	blocked int
}

// A tenant is a workspace whose tokens are accepted.
type tenant struct {
	id       string
	follower *jwks.Follower
	verifier *jwks.Verifier
	uses     *uses              // nil: usage is not reported
	stop     context.CancelFunc // nil before it is started
}

// all returns the tenants by workspace. The caller must not change the map.
func (g *Gateway) all() map[string]*tenant {
	if known := g.roster.Load(); known != nil {
		return known.tenants
	}
	return nil
}

func (g *Gateway) newTenant(id string) (*tenant, error) {
	follower, err := jwks.NewFollower(jwks.FollowerOptions{
		URL: g.serverIssuer(id), Client: g.followers,
		StateFile: g.stateFile(id + ".jwks"), Log: g.o.Log, Now: g.o.Now,
		Heartbeat: g.o.MaxStaleness / 4, PollEvery: g.pollEvery(), Key: g.o.UsageKey, // defaults to Key
	})
	if err != nil {
		return nil, err
	}
	return &tenant{id: id, follower: follower, uses: g.usesOf(id), verifier: &jwks.Verifier{
		Keys: follower, Issuer: jwks.IssuerIs(g.issuer.prefix + id), Audience: g.o.Audience, AnyAudience: g.o.AnyAudience,
		Now: g.o.Now,
	}}, nil
}

// serverIssuer returns the base URL for a workspace's public endpoints.
func (g *Gateway) serverIssuer(workspace string) string {
	return strings.TrimRight(g.o.Server, "/") + jwks.IssuerPath + workspace
}

// pollEvery returns the interval for polling without a change stream. It is short enough to keep keys younger
// than MaxStaleness.
func (g *Gateway) pollEvery() time.Duration {
	if g.o.MaxStaleness == 0 {
		return jwks.DefaultPollEvery
	}
	return min(jwks.DefaultPollEvery, max(jwks.MinPollEvery, g.o.MaxStaleness/4))
}

// usable returns nil if the tenant's keys can be used, otherwise jwks.ErrNotReady or jwks.ErrStale.
func (g *Gateway) usable(t *tenant) error {
	if g.o.ServeStale {
		return t.follower.Usable(0)
	}
	return t.follower.Usable(g.o.MaxStaleness)
}

const (
	maxStarting  = 64
	startTimeout = 10 * time.Second
)

// start begins to follow a tenant's keys. To protect a server with ten thousand workspaces, only a limited
// number of tenants fetch their first set at the same time.
func (g *Gateway) start(ctx context.Context, t *tenant) {
	ctx, t.stop = context.WithCancel(ctx)
	g.running.Go(func() {
		select {
		case g.starting <- struct{}{}:
		case <-ctx.Done():
			t.follower.Close()
			return
		}
		g.running.Go(func() { g.awaitFirstSet(ctx, t) })
		if err := t.follower.Run(ctx); err != nil {
			g.o.Log.ErrorContext(ctx, "cannot follow a workspace", "workspace", t.id, "error", err)
		}
	})
}

// awaitFirstSet waits until the tenant has its first set, or for startTimeout. Then another tenant can fetch
// its first set.
func (g *Gateway) awaitFirstSet(ctx context.Context, t *tenant) {
	timer := time.NewTimer(startTimeout)
	defer timer.Stop()
	select {
	case <-t.follower.Ready():
	case <-timer.C:
	case <-ctx.Done():
	}
	<-g.starting
}

// apply follows the new workspaces of a list, and stops following workspaces that are missing from it. It
// reports whether the roster changed.
func (g *Gateway) apply(ctx context.Context, list []string) bool {
	have, last := g.all(), g.roster.Load()
	next := make(map[string]*tenant, len(list))
	var added []*tenant
	blocked := 0
	for _, id := range list {
		if t := have[id]; t != nil {
			next[id] = t
			continue
		}
		t, err := g.newTenant(id)
		if err != nil { // the last Follower of a workspace that came back may not have ended
			g.o.Log.WarnContext(ctx, "cannot follow a workspace yet", "workspace", id, "error", err)
			blocked++
			continue
		}
		next[id] = t
		added = append(added, t)
	}
	removed := maps.Clone(have)
	maps.DeleteFunc(removed, func(id string, _ *tenant) bool { return next[id] != nil })
	if last != nil && len(added) == 0 && len(removed) == 0 && blocked == last.blocked {
		return false
	}
	g.roster.Store(&roster{next, blocked})
	for _, t := range removed {
		t.stop()
	}
	for _, t := range added {
		g.start(ctx, t)
	}
	g.o.Log.InfoContext(ctx, "the list of workspaces changed", "workspaces", len(next), "added", len(added), "removed", len(removed))
	return true
}
