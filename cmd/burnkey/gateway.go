package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/gateway"
	"github.com/burnkey/burnkey/gateway/extauthz"
	"github.com/burnkey/burnkey/gateway/httpauth"
	"github.com/burnkey/burnkey/gateway/limits"
	"github.com/burnkey/burnkey/jwks"
)

// gatewayService is the configuration of burnkey gateway.
type gatewayService struct {
	remote
	o             gateway.Options
	credentials   []string
	listen        string
	http          httpDoor
	metricsListen string
	maxStaleness  span
	expiryNotice  span
	whenStale     string
	usageKeyFile  string
	pepperFile    string
	logging       logging
	tracing       tracing
	shared        sharedLimits
	drainTimeout  time.Duration

	flags  *pflag.FlagSet
	stderr io.Writer // for the log
}

func gatewayCommand() *cobra.Command {
	var s gatewayService
	cmd := &cobra.Command{
		Use:   "gateway",
		Short: "Run the service that decides for Envoy which requests may pass (ext_authz)",
		Long: "Run Envoy's authorization service (gRPC, envoy.service.auth.v3) until SIGINT, SIGTERM or SIGHUP. On the same port, it\n" +
			"is a rate limit service (envoy.service.ratelimit.v3) for an Envoy that verifies tokens itself. With a management\n" +
			"key that has the scope gateway, it follows the keys of every workspace, or of each --workspace, with their\n" +
			"attributes and limits. Without one, it follows the public keys of each --workspace, and attributes and limits\n" +
			"have no effect.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := notEmpty(cmd.Flags(), "workspace", "audience"); err != nil {
				return err
			}
			s.stderr = cmd.ErrOrStderr()
			return s.run(cmd.Context())
		},
	}
	s.define(cmd)
	return cmd
}

// define defines the flags with their defaults.
func (s *gatewayService) define(cmd *cobra.Command) {
	s.remote.flags(cmd)
	s.flags = cmd.Flags()
	flags := s.flags
	flags.StringVar(&s.o.PublicURL, "public-url", "", "public `URL` of the server, with which iss begins (default --server)")
	flags.StringSliceVarP(&s.o.Workspaces, "workspace", "w", nil,
		"workspace whose tokens are accepted; may be repeated (default every workspace, with --key-file)")
	flags.StringVar(&s.o.Environment, "environment", "",
		"`NAME` of the environment whose tokens are accepted, such as live; requires --key-file (default any)")
	flags.StringVar(&s.listen, "listen", "127.0.0.1:9002", "`HOST:PORT` to listen on for Envoy")
	s.http.define(flags)
	flags.StringVar(&s.metricsListen, "metrics-listen", "", "`HOST:PORT` for /metrics, /healthz and /readyz (default none)")
	flags.StringVar(&s.o.StateDir, "state-dir", "", "`FOLDER` that stores keys, so that the next start needs no server (default none)")
	flags.Var(&s.maxStaleness, "max-staleness", "maximum age of keys: 60, 10m or 7d (default any age)")
	flags.StringVar(&s.whenStale, "when-stale", "", "what to do with tokens once keys are older than that: refuse or serve (default refuse)")
	audienceFlags(flags, &s.o.Audience, &s.o.AnyAudience)
	managementFlag(flags, &s.o.InsecureManagementKeys)
	flags.BoolVar(&s.o.RequireExpiration, "require-expiration", false, "refuse keys that never expire")
	credentialFlag(flags, &s.credentials)
	flags.BoolVar(&s.o.StripAuthorization, "strip-authorization", false,
		"remove the headers that contain the key from requests that pass; a query parameter is always removed")
	flags.StringVar(&s.o.Resource, "resource", "",
		"`URL` of the API: refusals refer to its metadata (RFC 9728), which Envoy serves if it has the same flag (default none)")
	flags.StringVar(&s.o.LimitHeaders, "ratelimit-headers", gateway.LimitHeadersDraft,
		"headers that tell clients about limits: draft (RateLimit and RateLimit-Policy), x (X-RateLimit-*), both or off")
	flags.Float64Var(&s.o.LimitShare, "limit-share", 1,
		"share of each limit that this gateway allows, if several divide the requests among them: 0.5 for each of two")
	flags.IntVar(&s.o.LimitEntries, "limit-entries", limits.DefaultEntries,
		"approximate number of counts of limits in memory, each of which takes up to 60 bytes")
	intervalFlag(flags, &s.o.UsageEvery, "usage-every", time.Minute,
		"approximate interval between reports of key usage to the server; 0: no reports")
	flags.StringVar(&s.usageKeyFile, "usage-key-file", "",
		"`FILE` with a management key that has the scope gateway, for use with --workspace: it permits reports of key usage, and "+
			"reserves a place at the change stream (default none)")
	flags.StringVar(&s.pepperFile, "pepper-file", "",
		"`FILE` with the pepper of imported keys that were hashed with HMAC-SHA-256; requires --key-file (default none)")
	s.expiryNotice = span{text: "30d", value: jwks.DefaultExpiryNotice, orZero: true}
	flags.Var(&s.expiryNotice, "expiry-notice", "for how long before the end of a key answers announce it (Sunset); 0: never")
	s.shared.flags(cmd)
	s.logging.flags(cmd)
	s.tracing.flags(flags)
	intervalFlag(flags, &s.drainTimeout, "drain-timeout", 10*time.Second, "how long to wait for calls in progress after a signal")
	choices(cmd, "when-stale", "refuse", "serve")
	choices(cmd, "ratelimit-headers", gateway.LimitHeadersDraft, gateway.LimitHeadersX, gateway.LimitHeadersBoth, gateway.LimitHeadersOff)
}

// validate checks the flags. It opens nothing.
func (s *gatewayService) validate() error {
	err := cmp.Or(checkAddress("listen", s.listen), checkAddress("metrics-listen", cmp.Or(s.metricsListen, ":0")),
		notNegative("drain-timeout", s.drainTimeout), s.http.validate(), s.tracing.validate(), s.shared.validate())
	switch {
	case err != nil:
		return err
	case s.whenStale != "" && s.whenStale != "refuse" && s.whenStale != "serve":
		return fmt.Errorf("--when-stale: must be refuse or serve")
	case s.whenStale != "" && s.maxStaleness.value == 0:
		return fmt.Errorf("--when-stale: has no effect without --max-staleness")
	}
	if err := cmp.Or(s.checkWorkspaces(), envoy.CheckManagement(s.o.Workspaces, s.o.InsecureManagementKeys),
		envoy.CheckChoice(s.o.Audience, s.o.AnyAudience)); err != nil {
		return asFlag(s.flags, err)
	}
	if s.o.Environment != "" && !s.hasKey() {
		return fmt.Errorf("%s: has no effect without %s: name the workspaces of the environment with --workspace",
			asGiven(s.flags, "environment"), asGiven(s.flags, "key-file"))
	}
	if s.shared.url != "" && !s.hasKey() {
		return fmt.Errorf("%s: has no effect without %s: limits come with the feed", asGiven(s.flags, "redis"), asGiven(s.flags, "key-file"))
	}
	if s.o.Places, err = parsePlaces(s.flags, s.credentials); err != nil {
		return err
	}
	return s.checkUsage()
}

// hasKey reports whether the gateway follows the feed. If --workspace is on the command line, a key in the
// environment is ignored, because it may be meant for other commands.
func (s *gatewayService) hasKey() bool {
	ambient := isAmbient(s.flags, "key-file") && !isAmbient(s.flags, "workspace")
	return len(s.o.Workspaces) == 0 || s.keyFile != "" && !ambient
}

// checkWorkspaces requires workspaces or a management key.
func (s *gatewayService) checkWorkspaces() error {
	if !s.hasKey() {
		return nil
	}
	if s.keyFile == "" && strings.TrimSpace(os.Getenv("BURNKEY_KEY")) == "" {
		return errors.New("--workspace: name at least one workspace or, for every workspace, " +
			"a management key with the scope gateway in --key-file or BURNKEY_KEY")
	}
	return s.checkKey()
}

// checkKey checks the form of the management key. Only the server can verify it.
func (s *gatewayService) checkKey() error {
	key, err := s.credential()
	if err != nil {
		return err
	}
	if _, err = readClaims(key); err == nil {
		return nil
	}
	if s.keyFile == "" {
		return fmt.Errorf("BURNKEY_KEY: invalid management key: %w", err)
	}
	return fmt.Errorf("%s: invalid management key: %w", asGiven(s.flags, "key-file"), err)
}

func readClaims(token string) (*jwks.Claims, error) {
	parsed, err := jwks.Parse(token)
	if err != nil {
		return nil, err
	}
	return parsed.Claims()
}

// flagOf maps the option names of a Gateway to flags.
var flagOf = map[string]string{
	"Server": "server", "PublicURL": "public-url", "Workspaces": "workspace", "Environment": "environment", "Audience": "audience",
	"MaxStaleness": "max-staleness", "ServeStale": "when-stale", "UsageEvery": "usage-every", "UsageKey": "usage-key-file",
	"LimitHeaders": "ratelimit-headers", "LimitShare": "limit-share", "LimitEntries": "limit-entries",
	"ExpiryNotice": "expiry-notice", "Resource": "resource", "Pepper": "pepper-file",
}

func (s *gatewayService) newGateway(log *slog.Logger, metrics prometheus.Registerer) (*gateway.Gateway, error) {
	o := s.o
	if s.shared.url != "" {
		o.Counter = func(local *limits.Local) (limits.Counter, error) { return s.shared.open(local, metrics, log) }
	}
	o.ExpiryNotice = s.expiryNotice.value
	o.Server, o.MaxStaleness, o.ServeStale, o.Log = s.server, s.maxStaleness.value, s.whenStale == "serve", log
	if s.hasKey() {
		o.Key = s.credential
	}
	if !s.reportsUsage() {
		o.UsageEvery = 0
	}
	if s.usageKeyFile != "" { // it also reserves a place at the change stream
		o.UsageKey = s.usageKey
	}
	if s.pepperFile != "" {
		pepper, err := readPepper(asGiven(s.flags, "pepper-file"), s.pepperFile)
		if err != nil {
			return nil, err
		}
		o.Pepper = pepper
	}
	if s.o.StateDir != "" {
		if err := makeStateDir(s.o.StateDir); err != nil {
			return nil, fmt.Errorf("--state-dir: %w", err)
		}
	}
	g, err := gateway.New(o)
	if bad := new(gateway.OptionError); errors.As(err, &bad) {
		return nil, fmt.Errorf("--%s: %s", flagOf[bad.Option], bad.Detail)
	}
	if err != nil {
		return nil, fmt.Errorf("--state-dir: %w", err)
	}
	return g, nil
}

// run serves until the context ends, then drains.
func (s *gatewayService) run(ctx context.Context) error {
	if err := s.validate(); err != nil {
		return err
	}
	log, err := s.logging.to(s.stderr)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", s.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	defer listener.Close()
	httpListener, err := s.http.open()
	if err != nil {
		return err
	}
	if httpListener != nil {
		defer httpListener.Close()
	}
	metrics := newRegistry()
	g, err := s.newGateway(log, metrics)
	if err != nil {
		return err
	}
	tracer, err := s.tracing.tracer(ctx, "burnkey-gateway", log)
	if err != nil {
		return err
	}
	defer tracer.Close()
	server := extauthz.New(g, log, metrics)
	server.Trace(tracer)
	// Following continues while calls finish.
	following, stopFollowing := context.WithCancel(context.WithoutCancel(ctx))
	var done sync.WaitGroup
	defer done.Wait()
	defer stopFollowing()
	done.Go(func() { _ = g.Run(following) }) // always nil
	done.Go(func() { s.shared.run(following) })
	if s.metricsListen != "" {
		h, err := s.serveMetrics(g, metrics, log)
		if err != nil {
			return err
		}
		defer func() { _ = h.Close() }()
	}
	s.announce(log, listener.Addr().String())
	doors := []door{{server, listener}}
	if httpListener != nil {
		doors = append(doors, door{httpauth.New(g, s.http.options(log, server, tracer)), httpListener})
		log.Info("serving HTTP", "address", httpListener.Addr().String(), "client_address_header", s.http.addressHeader)
	}
	err = serveAll(ctx, s.drainTimeout, doors...)
	log.Info("shut down")
	return err
}

func (s *gatewayService) announce(log *slog.Logger, address string) {
	workspaces := strings.Join(s.o.Workspaces, ",")
	if workspaces == "" {
		workspaces = "all"
	}
	log.Info("serving", "address", address, "server", s.server, "workspaces", workspaces, "version", version)
	if s.hasKey() {
		warnOfScopes(log, s.credential)
	} else {
		log.Warn("changed expiry and scopes, allowed addresses and limits of keys are not held without a management key (--key-file); " +
			"suspension and revocation are")
	}
	if queries := s.o.Places.QueryNames(); len(queries) > 0 {
		log.Warn("keys are accepted in the query, which logs and histories store; prefer a header", "parameters", queries)
	}
	s.announceUsage(log)
	s.shared.announce(log, s.o.LimitShare)
	switch {
	case s.maxStaleness.value == 0:
		log.Warn("keys of any age are used while the server is unreachable; --max-staleness limits their age")
	case s.whenStale == "serve":
		log.Warn("keys older than --max-staleness stay in use; log and metrics report them", "max_staleness", s.maxStaleness.value)
	default:
		log.Info("tokens are refused with 503 once keys are older than --max-staleness", "max_staleness", s.maxStaleness.value)
	}
}

// warnOfScopes warns about a management key that has scopes other than gateway.
func warnOfScopes(log *slog.Logger, credential func() (string, error)) {
	key, err := credential()
	if err != nil {
		return
	}
	claims, err := readClaims(key)
	if err != nil || slices.Equal(claims.Scopes(), []string{authz.ScopeGateway}) {
		return
	}
	log.Warn("the management key has scopes that a gateway does not need; issue a key with the scope gateway only", "scopes", claims.Scope)
}

func (s *gatewayService) serveMetrics(g *gateway.Gateway, metrics *prometheus.Registry, log *slog.Logger) (*http.Server, error) {
	listener, err := net.Listen("tcp", s.metricsListen)
	if err != nil {
		return nil, fmt.Errorf("--metrics-listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := g.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	h := httpServer(mux, log)
	go func() { _ = h.Serve(listener) }()
	log.Info("serving metrics", "address", listener.Addr().String())
	return h, nil
}
