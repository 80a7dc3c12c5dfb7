// Package gateway decides which requests may pass, by the key that each of them carries.
// It follows the published keys of some or all workspaces of a server, so that a decision
// needs no call. It knows no protocol: package extauthz serves its decisions to Envoy.
package gateway

import (
	"context"
	"crypto/rand"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/internal/logs"
	"github.com/burnkey/burnkey/internal/loop"
	"github.com/burnkey/burnkey/jwks"
)

// A Gateway decides about requests. It is safe for concurrent use.
type Gateway struct {
	o           Options
	followers   *http.Client   // of all Followers
	usageServer *client.Client // with Options.UsageKey

	remove, removeWithScopes []string // for Decision.Remove, without and with scopes
	headerNames              []string
	protection               jwks.Protection
	readsQuery               bool
	places                   credentials

	issuer      issuer
	issuerEvery time.Duration               // the interval of comparing it with the server's
	wrongIssuer atomic.Pointer[IssuerError] // nil: it is the server's, or that is not known yet

	roster roster
	feed   *jwks.Feed // nil: each tenant has a Follower of its own

	readiness
	usage
	limiting

	starting    chan struct{} // one item for each tenant that fetches its first set
	running     sync.WaitGroup
	routeFaults logs.Throttle
}

// New returns a Gateway with the state stored in StateDir. Errors are *OptionError and
// those of jwks.NewFollower.
func New(o Options) (*Gateway, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	o.setDefaults()
	g := &Gateway{
		roster: roster{tenants: make(map[string]*tenant)},
		o:      o, followers: newClient(), issuer: newIssuer(strings.TrimRight(o.PublicURL, "/") + jwks.IssuerPath),
		issuerEvery: issuerEvery, starting: make(chan struct{}, maxStarting),
		readiness: readiness{began: time.Now(), patience: firstPatience},
		usage:     usage{pace: reportPace}, headerNames: lower(o.Places.HeaderNames()),
		readsQuery: len(o.Places.QueryNames()) > 0,
	}
	g.protection = jwks.Protection{Places: o.Places, Realm: realm}
	g.protection.Metadata, _, _ = jwks.ResourceMetadataURL(o.Resource) // checked; "" if empty
	g.setRemove()
	if err := g.setServer(); err != nil {
		return nil, err
	}
	if o.UsageEvery > 0 {
		g.uses, g.reporterID = make(map[string]*uses), rand.Text()
		g.usesLost = g.isMarked()
	}
	if err := g.follow(); err != nil {
		g.close()
		return nil, err
	}
	if err := g.newLimiting(); err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

// setServer creates the client of the management API.
func (g *Gateway) setServer() error {
	transport := &http.Client{Transport: g.followers.Transport} // calls have their own timeouts
	var err error
	g.usageServer, err = client.New(client.Options{Server: g.o.Server, Key: g.o.UsageKey, HTTP: transport})
	return err
}

// close releases a Gateway that was never run.
func (g *Gateway) close() {
	if g.feed != nil {
		g.feed.Close()
	}
	for t := range g.roster.all {
		t.follower.Close()
	}
	if g.local != nil {
		g.local.Close()
	}
}

// Run follows the server until ctx ends, then releases StateDir and returns nil. It must be called only once.
func (g *Gateway) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer g.followers.CloseIdleConnections()
	defer g.running.Wait()
	defer cancel()
	if g.feed != nil {
		g.running.Go(func() { _ = g.feed.Run(ctx) }) // fails only if called twice
	} else {
		for t := range g.roster.all {
			g.start(ctx, t)
		}
	}
	g.running.Go(func() {
		loop.Loop{Next: g.watchEvery}.Run(ctx, func(ctx context.Context) error {
			g.updateReadiness(ctx)
			return nil
		})
	})
	g.running.Go(func() { g.watchIssuer(ctx) })
	g.running.Go(func() { g.local.Run(ctx) })
	if g.uses != nil {
		g.running.Go(func() { g.reportUsage(ctx) })
	}
	<-ctx.Done()
	return nil
}

// newClient returns the HTTP client that all Followers share. One HTTP/2 connection can serve all of them.
func newClient() *http.Client {
	client := jwks.NewClient()
	transport := client.Transport.(*http.Transport)
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 16, 16
	// Over HTTP/1.1, each workspace's stream has its own connection, so these buffers are small. The stream's
	// reader has another buffer.
	transport.ReadBufferSize, transport.WriteBufferSize = 1<<10, 1<<10
	return client
}

func (g *Gateway) stateFile(name string) string {
	if g.o.StateDir == "" {
		return ""
	}
	return filepath.Join(g.o.StateDir, name)
}

// MakeStateDir creates a folder for Options.StateDir, private to its owner, unless it exists.
func MakeStateDir(dir string) error { return os.MkdirAll(dir, 0o700) }
