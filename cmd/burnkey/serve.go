package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/api"
	"github.com/burnkey/burnkey/authz/mint"
	"github.com/burnkey/burnkey/authz/notice"
	"github.com/burnkey/burnkey/authz/portal"
	"github.com/burnkey/burnkey/authz/webhook"
	"github.com/burnkey/burnkey/internal/clientaddr"
	"github.com/burnkey/burnkey/internal/networks"
	"github.com/burnkey/burnkey/internal/outbound"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/postgres"
)

// server is the configuration of serve.
type server struct {
	listen        string
	publicURL     string
	database      string
	adminKeyFile  string
	oidcSecrets   string
	proxies       []string // networks of trusted proxies
	outboundAllow []string // further networks that may be called
	logging       logging
	mintWorkers   int
	mintQueue     int
	mintDeadline  time.Duration
	drainDelay    time.Duration
	drainTimeout  time.Duration
	checkEvery    time.Duration
	streamReaders int
	// webhookSecretFile has what webhooks are signed with; empty: they are not.
	webhookSecretFile string

	stdout io.Writer // gets the first admin key where no file is named
	stderr io.Writer // gets the log
}

// Limits of a connection. The set's own pieces have theirs (publish.Handler).
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 2 * time.Minute // a key may wait for its turn
	idleTimeout       = 2 * time.Minute
	maxHeader         = 32 << 10
	// followEvery is how soon a change that another process made is seen where
	// the database gave no hint of it.
	followEvery  = time.Second
	compactEvery = time.Minute
	// reapTimeout is how long the start may take for keys whose time is over.
	reapTimeout = 5 * time.Second
)

func serveCommand() *cobra.Command {
	var s server
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: "Run the server until SIGINT, SIGTERM or SIGHUP. On an empty database it creates the workspace burnkey and one\n" +
			"admin key, which it writes to --admin-key-file or, without that, prints once.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.stdout, s.stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return s.run(cmd.Context(), func(string) {})
		},
	}
	s.flags(cmd)
	return cmd
}

// flags adds the flags of s to cmd and sets their defaults.
func (s *server) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&s.listen, "listen", "127.0.0.1:8080", "`HOST:PORT` to listen on")
	flags.StringVar(&s.publicURL, "public-url", "", "`URL` by which clients and gateways reach the server: the beginning of every iss (default http:// and the address listened on)")
	databaseFlag(cmd, &s.database)
	flags.StringVar(&s.adminKeyFile, "admin-key-file", "", "`FILE` (0600) that gets the first admin key of an empty database; what is there is kept as FILE.old")
	flags.StringVar(&s.webhookSecretFile, "webhook-secret-file", "", "`FILE` (0600) with the secret, whsec_… or 24 bytes and more, that signs what is posted to workspaces' webhooks (default unsigned)")
	flags.StringVar(&s.oidcSecrets, "oidc-secrets", "", "`FILE` (0600) of JSON, {\"WORKSPACE\": {\"issuer\": \"URL\", \"client_secret\": \"SECRET\"}}: the client secrets at the OpenID providers by which people log in to the portal")
	flags.StringSliceVar(&s.proxies, "trusted-proxies", nil, "`NETWORKS` (CIDR) of the proxies in front of this server, whose "+
		"X-Forwarded-For is trusted (default none: the client's address is that of the connection)")
	flags.StringSliceVar(&s.outboundAllow, "outbound-allow", nil,
		"`NETWORKS` (CIDR) where webhooks and OpenID providers may be, in addition to public and private IPv4 networks")
	s.logging.flags(cmd)
	flags.IntVar(&s.mintWorkers, "mint-workers", 0, "minting processes at once (default one a CPU)")
	flags.IntVar(&s.mintQueue, "mint-queue", 256, "requests that may wait for a minting process; more are answered 503")
	flags.IntVar(&s.streamReaders, "stream-readers", publish.DefaultStreamReaders, "readers of the change streams at one time: half of "+
		"them of one workspace, a tenth from one address; twice as many more with keys of the scope gateway")
	intervalFlag(flags, &s.mintDeadline, "mint-deadline", 30*time.Second, "when a minting process is killed")
	intervalFlag(flags, &s.drainDelay, "drain-delay", 0, "how long to keep serving, unready, after a signal: for balancers that notice late")
	intervalFlag(flags, &s.drainTimeout, "drain-timeout", 30*time.Second, "how long requests in progress may take after that")
	intervalFlag(flags, &s.checkEvery, "check-every", 10*time.Minute, "how often to compare the published sets with the database (0: never)")
}

// validate refuses what could not work before anything is opened.
func (s *server) validate() error {
	if s.mintWorkers < 0 || s.mintQueue < 1 || s.mintDeadline < time.Second {
		return fmt.Errorf("--mint-workers must be 0 or more, --mint-queue 1 or more and --mint-deadline 1s or more")
	}
	if s.streamReaders < 10 {
		return fmt.Errorf("--stream-readers: must be 10 or more")
	}
	for _, flag := range []struct {
		name  string
		value time.Duration
	}{{"drain-delay", s.drainDelay}, {"drain-timeout", s.drainTimeout}, {"check-every", s.checkEvery}} {
		if flag.value < 0 {
			return fmt.Errorf("--%s: must not be negative", flag.name)
		}
	}
	host, _, err := net.SplitHostPort(s.listen)
	if err != nil {
		return fmt.Errorf("--listen: must be HOST:PORT")
	}
	if s.publicURL != "" {
		return checkPublicURL(s.publicURL)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return fmt.Errorf("--public-url: is required where --listen names no one address")
	}
	return nil
}

func checkPublicURL(text string) error {
	u, err := url.Parse(text)
	// It is signed into tokens as it stands, and compared as text: one spelling.
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.String() != text {
		return fmt.Errorf("--public-url: must be http(s)://HOST[:PORT][/PATH]")
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("--public-url: the port must be 1 to 65535")
		}
	}
	return nil
}

// run serves until the context ends, then drains. It calls started with the
// address once it accepts connections.
func (s *server) run(ctx context.Context, started func(addr string)) (err error) {
	if err := s.validate(); err != nil {
		return err
	}
	proxies, err := networks.Parse(s.proxies)
	if err != nil {
		return fmt.Errorf("--trusted-proxies: %w", err)
	}
	inside, err := networks.Parse(s.outboundAllow)
	if err != nil {
		return fmt.Errorf("--outbound-allow: %w", err)
	}
	secrets, err := oidcSecrets(s.oidcSecrets)
	if err != nil {
		return err
	}
	boundGarbage(serverGarbage)
	log, err := s.logging.to(s.stderr)
	if err != nil {
		return err
	}
	// Before the database is touched: a port that is taken should change nothing.
	listener, err := net.Listen("tcp", s.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	defer listener.Close()
	if s.publicURL == "" {
		s.publicURL = "http://" + listener.Addr().String()
	}
	public, err := url.Parse(s.publicURL)
	if err != nil {
		return err
	}
	calls := outbound.New(outbound.Options{Allow: inside, Local: outbound.IsLoopback(public)})
	defer calls.CloseIdleConnections()
	hooks, err := s.webhooks(calls)
	if err != nil {
		return err
	}
	if isPlainAbroad(s.publicURL) {
		log.Warn("--public-url: with plain HTTP, anyone between clients and this server can read keys and change answers; use https",
			"public_url", s.publicURL)
	}
	st, err := openStore(ctx, s.database, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()

	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	publisher := authz.NewPublisher(st, metrics)
	service, err := newService(st, publisher, s.publicURL, log, mint.Options{
		Workers: s.mintWorkers, Queue: s.mintQueue, Deadline: s.mintDeadline, Metrics: metrics, Log: log,
	})
	if err != nil {
		return err
	}
	if err := load(ctx, publisher, st, log); err != nil {
		return err
	}
	if err := s.bootstrap(ctx, service, log); err != nil {
		return err
	}
	reap(ctx, service, log)
	var draining atomic.Bool
	closing := make(chan struct{})
	pages, err := portal.New(portal.Options{
		Service: service, Publisher: publisher, PublicURL: s.publicURL, ClientSecrets: secrets, Providers: calls, Metrics: metrics, Log: log,
	})
	if err != nil {
		return err
	}
	handler, err := api.New(api.Options{
		Portal: pages, Service: service, Publisher: publisher, Metrics: metrics, Log: log, Version: version,
		TrustedProxies: clientaddr.Proxies(proxies), StreamLimits: s.streamLimits(log), Closing: closing, Checks: map[string]api.Check{
			"database": func(ctx context.Context) error { return databaseAnswers(ctx, st, publisher) },
			"shutdown": func(context.Context) error {
				if draining.Load() {
					return errors.New("the server is shutting down")
				}
				return nil
			},
		},
	})
	if err != nil {
		return err
	}
	var following sync.WaitGroup
	followCtx, stopFollowing := context.WithCancel(context.WithoutCancel(ctx))
	defer following.Wait()
	defer stopFollowing()
	following.Go(func() {
		publisher.Follow(followCtx, authz.FollowOptions{
			Every: followEvery, CheckEvery: s.checkEvery, CompactEvery: compactEvery, Log: log,
		})
	})
	following.Go(func() { service.Reap(followCtx, authz.ReapOptions{Log: log, Metrics: metrics}) })
	following.Go(func() {
		notice.Run(followCtx, notice.Options{Store: st, Sender: hooks, Now: service.Now, Log: log, Metrics: metrics})
	})
	h := s.httpServer(handler, log)
	h.RegisterOnShutdown(func() { close(closing) })
	return s.serve(ctx, h, boundConnections(listener, proxies, metrics, log), &draining, log, started)
}

// reap sees to it that what became due while no server ran is not served once more: as
// far as it can in a while. Each key is a change of its own, and a server that answers
// nobody until it has made a hundred thousand helps no one. Reap goes on.
func reap(ctx context.Context, service *authz.Service, log *slog.Logger) {
	limited, cancel := context.WithTimeout(ctx, reapTimeout)
	defer cancel()
	_, err := service.ReapDue(limited)
	switch {
	case err != nil && limited.Err() != nil && ctx.Err() == nil:
		log.Warn("many keys' time is over: some are still published and follow while the server runs")
	case err != nil:
		log.Error("some keys whose time is over are still published; trying again", "error", err)
	}
}

// webhooks makes what posts to the workspaces' webhooks.
func (s *server) webhooks(calls *http.Client) (*webhook.Client, error) {
	o := webhook.Options{HTTP: calls, UserAgent: "burnkey/" + version}
	if s.webhookSecretFile != "" {
		text, err := readSecret(s.webhookSecretFile)
		if err != nil {
			return nil, fmt.Errorf("--webhook-secret-file: %w", err)
		}
		secret, err := webhook.ParseSecret(text)
		if err != nil {
			return nil, fmt.Errorf("--webhook-secret-file: %s: %w", s.webhookSecretFile, err)
		}
		o.Secret = secret
	}
	return webhook.New(o), nil
}

// load reads all published sets. One that is damaged is no reason to serve none: its
// workspace alone answers 503 until Follow can read it.
func load(ctx context.Context, publisher *authz.Publisher, st store.Store, log *slog.Logger) error {
	err := publisher.Load(ctx)
	if !errors.Is(err, authz.ErrPartly) || st.Ping(ctx) != nil {
		return err
	}
	log.Error("some workspaces' sets can't be read; the others are served", "error", err)
	return nil
}

func newService(st store.Store, publisher *authz.Publisher, publicURL string, log *slog.Logger, o mint.Options) (*authz.Service, error) {
	minter, err := mint.New(o)
	if err != nil {
		return nil, err
	}
	return authz.New(authz.Options{
		Store: st, Minter: minter, Publisher: publisher, PublicURL: publicURL, Log: log, Metrics: o.Metrics,
	}), nil
}

func databaseAnswers(ctx context.Context, st store.Store, publisher *authz.Publisher) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	err := st.Ping(ctx)
	if errors.Is(err, postgres.ErrPooler) {
		return postgres.ErrPooler
	}
	if err != nil {
		return fmt.Errorf("the database does not answer; what is published is served as it was %s ago",
			publisher.Age().Round(time.Second))
	}
	return nil
}

// streamLimits leaves a quarter of all connections for other requests than public change
// streams.
func (s *server) streamLimits(log *slog.Logger) *publish.StreamLimits {
	readers := max(10, min(s.streamReaders, mostConnections()*3/4))
	if readers < s.streamReaders {
		log.Warn("the limit of open files allows fewer readers of the change streams than --stream-readers", "places", readers)
	}
	limits := publish.StreamPlaces(readers)
	return &limits
}

func (s *server) httpServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ConnContext: publish.StreamConn, ConnState: noteState,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

func (s *server) serve(ctx context.Context, h *http.Server, listener net.Listener,
	draining *atomic.Bool, log *slog.Logger, started func(string),
) error {
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(listener) }()
	log.Info("serving", "address", listener.Addr().String(), "public_url", s.publicURL, "version", version)
	started(listener.Addr().String())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	draining.Store(true)
	log.Info("shutting down")
	if s.drainDelay > 0 {
		delay := time.NewTimer(s.drainDelay)
		defer delay.Stop()
		select {
		case <-delay.C:
		case err := <-failed:
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.drainTimeout)
	defer cancel()
	if err := h.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests were still in progress after %s", s.drainTimeout), h.Close())
	}
	return nil
}
