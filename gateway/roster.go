package gateway

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// A roster is the set of workspaces whose tokens are accepted. It is safe for concurrent use.
type roster struct {
	mu      sync.RWMutex
	tenants map[string]*tenant // by workspace
}

// A tenant is a workspace whose tokens are accepted.
type tenant struct {
	id       string
	follower *jwks.Follower
	verifier *jwks.Verifier
	uses     *uses // nil: usage is not reported
}

// of returns the tenant of a workspace, or nil.
func (r *roster) of(id []byte) *tenant {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.tenants[string(id)]
}

func (r *roster) len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.tenants)
}

// all yields the tenants in random order. Meanwhile, none can be added or removed.
func (r *roster) all(yield func(*tenant) bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, t := range r.tenants {
		if !yield(t) {
			return
		}
	}
}

// addTenant accepts the tokens of a workspace.
func (g *Gateway) addTenant(id string, follower *jwks.Follower) {
	g.roster.mu.Lock()
	defer g.roster.mu.Unlock()
	g.roster.tenants[id] = &tenant{id: id, follower: follower, uses: g.usesOf(id), verifier: &jwks.Verifier{
		Keys: follower, Issuer: jwks.IssuerIs(g.issuer.prefix + id), Audience: g.o.Audience, AnyAudience: g.o.AnyAudience,
		Now: g.o.Now,
	}}
}

// removeTenant refuses the tokens of a workspace that is gone.
func (g *Gateway) removeTenant(id string, _ *jwks.Follower) {
	g.roster.mu.Lock()
	defer g.roster.mu.Unlock()
	delete(g.roster.tenants, id)
}

// acceptsEnvironment reports whether a workspace is the environment whose tokens are accepted.
func (g *Gateway) acceptsEnvironment(t *tenant) bool {
	if g.o.Environment == "" {
		return true
	}
	settings, _ := t.follower.Settings() // the feed leaves out the defaults
	return settings.EnvironmentName() == g.o.Environment
}

// follow makes the Feed, or without Options.Key a Follower for each workspace.
func (g *Gateway) follow() (err error) {
	if g.o.Key != nil {
		g.feed, err = jwks.NewFeed(jwks.FeedOptions{
			Server: g.o.Server, Workspaces: g.o.Workspaces, Key: g.o.Key, Client: g.followers, StateFile: g.stateFile(feedFile),
			Log: g.o.Log, Now: g.o.Now, Heartbeat: g.o.MaxStaleness / 4, Added: g.addTenant, Removed: g.removeTenant,
		})
		return err
	}
	for _, id := range g.o.Workspaces {
		follower, err := jwks.NewFollower(jwks.FollowerOptions{
			URL: g.serverIssuer(id), Client: g.followers,
			StateFile: g.stateFile(id + ".jwks"), Log: g.o.Log, Now: g.o.Now,
			Heartbeat: g.o.MaxStaleness / 4, PollEvery: g.pollEvery(), Key: g.o.UsageKey,
		})
		if err != nil {
			return err
		}
		g.addTenant(id, follower)
	}
	return nil
}

// feedFile in StateDir has the sets of all workspaces.
const feedFile = "feed.jwks"

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

// start begins to follow a tenant's keys by the public calls. To protect the server, only a limited number of
// tenants fetch their first set at the same time.
func (g *Gateway) start(ctx context.Context, t *tenant) {
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
