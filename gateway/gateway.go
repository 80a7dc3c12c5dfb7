// Package gateway decides for Envoy which requests pass: it is the service that
// the filter ext_authz asks (envoy.service.auth.v3). It follows the published
// keys of some workspaces, or of all, and verifies without asking anybody.
package gateway

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/jwks"
)

const (
	issuerPath = "/v1/auth/oauth/"
	realm      = "api"

	// MinStaleness is the least Options.MaxStaleness. The age of keys that are well
	// goes up to a quarter of it, and a second by which a server may lag.
	MinStaleness = 2 * time.Second
	// MaxWorkspaces is how many may be listed in Options.Workspaces.
	MaxWorkspaces = 1000
)

var workspaceID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// Options say whose tokens are good, and what for.
type Options struct {
	// Server is the base URL of the server to follow, PublicURL that of the tokens'
	// iss; empty: Server.
	Server, PublicURL string
	// Workspaces whose tokens are good. Empty: all that the server lists to Key.
	Workspaces []string
	// InsecureManagementKeys lets Workspaces include burnkey, the server's own workspace, whose
	// keys open the management API. The API behind Envoy then receives such keys and can use
	// them.
	InsecureManagementKeys bool
	// Key returns a management key of the scope gateway. It is called for each look
	// at the list, so that the key may change. Not used with Workspaces.
	Key func() (string, error)
	// StateDir keeps what is known for the next start, which then needs no server. It
	// must be there, and belongs to one Gateway at a time. Empty: nothing is kept.
	StateDir string

	// Audience lists audiences, one of which a token must have. A workspace may have an audience
	// for each API, so either Audience or AnyAudience must be set.
	Audience []string
	// AnyAudience accepts any audience, unless the route requires one.
	AnyAudience bool
	// RequireExpiration refuses tokens without exp.
	RequireExpiration bool
	// StripAuthorization keeps the token from what is behind Envoy.
	StripAuthorization bool

	// MaxStaleness is how old a workspace's keys may be, as of Follower.Age. 0: any age.
	MaxStaleness time.Duration
	// ServeStale goes on with keys older than MaxStaleness, which is then only told.
	ServeStale bool

	// ListEvery is how often to ask for the list, give or take a fifth. 0: 5 s.
	ListEvery time.Duration
	// UsageEvery is about how often the server is told which keys were used. 0: never.
	UsageEvery time.Duration
	// UsageKey returns a management key with the scope gateway, for reporting usage and for a
	// reserved place at the change streams, also where UsageEvery is 0. It is called like
	// Key. Nil: Key.
	UsageKey func() (string, error)
	Metrics  prometheus.Registerer // nil: none
	Log      *slog.Logger          // nil: slog.Default
	Now      func() time.Time      // what ages and exp go by; nil: time.Now
}

// A roster is one list of workspaces.
type roster struct {
	tenants map[string]*tenant // by the id of their workspace
	// unfollowed are those that are no tenants, since what StateDir has of them is in
	// use: by another Gateway, or by a Follower that has yet to end.
	unfollowed int
}

// OptionError says which of the Options is wrong, and what it would have to be.
type OptionError struct{ Option, Detail string }

func (e *OptionError) Error() string { return e.Option + " " + e.Detail }

// A Gateway judges requests. It is safe for concurrent use.
type Gateway struct {
	o       Options
	client  *http.Client
	metrics *metrics
	answers *answers

	spokenFor   issuer
	issuerEvery time.Duration               // how often the server is asked for its own
	wrongIssuer atomic.Pointer[IssuerError] // nil: it is the one spokenFor, or not known

	// roster is whose tokens are good; replaced as a whole. Nil: that is not known yet.
	roster atomic.Pointer[roster]
	// complete is set once all of the first list had keys, but those that can't be had.
	complete atomic.Bool
	began    time.Time
	patience time.Duration         // until what can't be had no longer counts: firstPatience, but in tests
	lacking  atomic.Pointer[error] // why one of them has none, if that is known
	stale    atomic.Int64          // tenants whose keys were too old at the last look
	lost     atomic.Bool           // they were all that have keys

	// unkept says that StateDir has not the list that is followed. It is Run's own.
	unkept bool

	// uses are those that are reported, by workspace. Nil: none are. They are looked up by
	// New and then by followList alone.
	uses       map[string]*uses
	forgot     bool          // a Gateway before this one did not tell of all that it saw
	reporter   string        // what the server calls this one
	reportPace time.Duration // between two reports: reportPace, but in tests

	starting chan struct{} // holds one of each that fetches its first set
	running  sync.WaitGroup
	faults   faults // of routes, that were told of
}

// New makes a Gateway and reads what StateDir has. Errors: *OptionError, and those
// of jwks.NewFollower.
func New(o Options) (*Gateway, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.PublicURL == "" {
		o.PublicURL = o.Server
	}
	if o.ListEvery == 0 {
		o.ListEvery = 5 * time.Second
	}
	if o.UsageKey == nil {
		o.UsageKey = o.Key
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	g := &Gateway{
		o: o, client: newClient(), answers: newAnswers(o.StripAuthorization),
		spokenFor:   newIssuer(strings.TrimRight(o.PublicURL, "/") + issuerPath),
		issuerEvery: issuerEvery, starting: make(chan struct{}, maxStarting),
		began: time.Now(), patience: firstPatience, reportPace: reportPace,
	}
	if o.UsageEvery > 0 {
		g.uses, g.reporter = make(map[string]*uses), rand.Text()
		g.forgot = g.isMarked()
	}
	g.metrics = newMetrics(g, o.Metrics)
	if err := g.recall(); err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

func (o *Options) check() error {
	for name, text := range map[string]string{"Server": o.Server, "PublicURL": o.PublicURL} {
		u, err := url.Parse(text)
		if text == "" && name == "PublicURL" {
			continue
		}
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
			return &OptionError{name, "must be http(s)://HOST[:PORT][/PATH]"}
		}
	}
	if (len(o.Workspaces) == 0) == (o.Key == nil) {
		return &OptionError{"Workspaces", "must be given, or Key, and not both"}
	}
	if len(o.Workspaces) > MaxWorkspaces {
		return &OptionError{"Workspaces", fmt.Sprintf("may be at most %d", MaxWorkspaces)}
	}
	for i, id := range o.Workspaces {
		if !workspaceID.MatchString(id) {
			return &OptionError{"Workspaces", fmt.Sprintf("must match %s, which %q does not", workspaceID, id)}
		}
		if id == home && !o.InsecureManagementKeys {
			return &OptionError{"Workspaces", "must not name " + home + ", whose keys are management keys, without InsecureManagementKeys"}
		}
		if slices.Contains(o.Workspaces[:i], id) {
			return &OptionError{"Workspaces", fmt.Sprintf("names %q twice", id)}
		}
	}
	if slices.Contains(o.Audience, "") {
		return &OptionError{"Audience", "must not be empty"}
	}
	if (len(o.Audience) == 0) != o.AnyAudience {
		return &OptionError{"Audience", "must be given, or AnyAudience, and not both"}
	}
	if o.MaxStaleness != 0 && o.MaxStaleness < MinStaleness {
		return &OptionError{"MaxStaleness", fmt.Sprintf("must be %s or more", MinStaleness)}
	}
	if o.ServeStale && o.MaxStaleness == 0 {
		return &OptionError{"ServeStale", "says nothing without MaxStaleness"}
	}
	return o.checkUsage()
}

// recall sets up the tenants: those of the Options, or the last known ones.
func (g *Gateway) recall() error {
	list := g.o.Workspaces
	if list == nil {
		known, err := g.readList()
		if err != nil || known == nil {
			return err
		}
		list = known
	}
	tenants := make(map[string]*tenant, len(list))
	g.roster.Store(&roster{tenants: tenants})
	for _, id := range list {
		t, err := g.newTenant(id)
		if err != nil {
			return fmt.Errorf("workspace %s: %w", id, err)
		}
		tenants[id] = t
	}
	return nil
}

// close frees what a Gateway that was not run holds.
func (g *Gateway) close() {
	for _, t := range g.all() {
		t.follower.Close()
	}
}

// Run follows until ctx ends and then returns nil, with all of StateDir free. A
// Gateway runs once.
func (g *Gateway) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer g.client.CloseIdleConnections()
	defer g.running.Wait()
	defer cancel()
	for _, t := range g.all() {
		g.start(ctx, t)
	}
	g.running.Go(func() { g.watch(ctx) })
	g.running.Go(func() { g.watchIssuer(ctx) })
	if g.uses != nil {
		g.running.Go(func() { g.reportUsage(ctx) })
	}
	if g.o.Key != nil {
		g.followList(ctx)
	}
	<-ctx.Done()
	return nil
}

// all returns the tenants by their ids; not to be changed.
func (g *Gateway) all() map[string]*tenant {
	if known := g.roster.Load(); known != nil {
		return known.tenants
	}
	return nil
}

// newClient is for Followers to share: of HTTP/2 one connection may do for them all.
func newClient() *http.Client {
	client := jwks.NewClient()
	transport := client.Transport.(*http.Transport)
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 16, 16
	// There is a connection for each workspace's stream, and what it reads through has
	// a buffer of its own.
	transport.ReadBufferSize, transport.WriteBufferSize = 1<<10, 1<<10
	return client
}

func (g *Gateway) stateFile(name string) string {
	if g.o.StateDir == "" {
		return ""
	}
	return filepath.Join(g.o.StateDir, name)
}

// A tenant is a workspace whose tokens are good.
type tenant struct {
	id       string
	follower *jwks.Follower
	verifier *jwks.Verifier
	uses     *uses              // nil: they are not reported
	stop     context.CancelFunc // nil before it is started
}

func (g *Gateway) newTenant(id string) (*tenant, error) {
	follower, err := jwks.NewFollower(jwks.FollowerOptions{
		URL: g.serverIssuer(id), Client: g.client,
		StateFile: g.stateFile(id + ".jwks"), Log: g.o.Log, Now: g.o.Now,
		Heartbeat: g.o.MaxStaleness / 4, PollEvery: g.pollEvery(), Key: g.o.UsageKey, // defaults to Key
	})
	if err != nil {
		return nil, err
	}
	return &tenant{id: id, follower: follower, uses: g.usesOf(id), verifier: &jwks.Verifier{
		Keys: follower, Issuer: jwks.IssuerIs(g.spokenFor.prefix + id), Audience: g.o.Audience, AnyAudience: g.o.AnyAudience,
		Now: g.o.Now,
	}}, nil
}

// serverIssuer is where a workspace's public calls are.
func (g *Gateway) serverIssuer(workspace string) string {
	return strings.TrimRight(g.o.Server, "/") + issuerPath + workspace
}

// pollEvery keeps the age of keys below MaxStaleness where there is no stream.
func (g *Gateway) pollEvery() time.Duration {
	if g.o.MaxStaleness == 0 {
		return jwks.DefaultPollEvery
	}
	return min(jwks.DefaultPollEvery, max(jwks.MinPollEvery, g.o.MaxStaleness/4))
}

const (
	maxStarting  = 64
	startTimeout = 10 * time.Second
)

// start follows a tenant's keys. So many at once fetch a first set that a server
// of ten thousand workspaces is not asked for them all in one moment.
func (g *Gateway) start(ctx context.Context, t *tenant) {
	ctx, t.stop = context.WithCancel(ctx)
	g.running.Go(func() {
		select {
		case g.starting <- struct{}{}:
		case <-ctx.Done():
			t.follower.Close()
			return
		}
		g.running.Go(func() {
			timer := time.NewTimer(startTimeout)
			defer timer.Stop()
			select {
			case <-t.follower.Ready():
			case <-timer.C:
			case <-ctx.Done():
			}
			<-g.starting
		})
		if err := t.follower.Run(ctx); err != nil {
			g.o.Log.ErrorContext(ctx, "cannot follow", "workspace", t.id, "err", err)
		}
	})
}

// usable returns nil if a tenant's keys may be relied on, else jwks.ErrNotReady or
// jwks.ErrStale.
func (g *Gateway) usable(t *tenant) error {
	if g.o.ServeStale {
		return t.follower.Usable(0)
	}
	return t.follower.Usable(g.o.MaxStaleness)
}

// MakeStateDir makes a folder for Options.StateDir that is its owner's alone,
// unless it is there.
func MakeStateDir(dir string) error { return os.MkdirAll(dir, 0o700) }
