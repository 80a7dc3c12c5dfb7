package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/api"
	"github.com/burnkey/burnkey/authz/mint"
	"github.com/burnkey/burnkey/authz/notice"
	"github.com/burnkey/burnkey/authz/portal"
	"github.com/burnkey/burnkey/authz/webhook"
	"github.com/burnkey/burnkey/internal/clientaddr"
	"github.com/burnkey/burnkey/internal/networks"
	"github.com/burnkey/burnkey/internal/outbound"
	"github.com/burnkey/burnkey/internal/traces"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/postgres"
)

// running is a server with everything opened or read that its configuration names.
type running struct {
	*server
	log      *slog.Logger
	tracer   *traces.Tracer // nil: no traces
	metrics  *prometheus.Registry
	proxies  networks.List
	outbound networks.List
	clients  map[string]portal.ClientSecret
	webhook  webhook.Secret
	pepper   []byte
	calls    *http.Client // to webhooks and OpenID providers

	store     store.Store
	publisher *publish.Publisher
	service   *authz.Service
	draining  atomic.Bool
	closing   chan struct{} // closed when draining begins to end change streams
}

// run serves until the context ends, then drains. It calls started with the address once it accepts connections.
func (s *server) run(ctx context.Context, started func(addr string)) (err error) {
	r, err := s.read()
	if err != nil {
		return err
	}
	boundGarbage()
	// Listening comes first, so that the database stays unchanged if the port is in use.
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
	if isPlainAbroad(s.publicURL) {
		r.log.Warn("--public-url: with plain HTTP, anyone between clients and this server can read keys and change answers; use https",
			"public_url", s.publicURL)
	}
	if r.tracer, err = s.tracing.tracer(ctx, "burnkey", r.log); err != nil {
		return err
	}
	defer r.tracer.Close()
	r.calls = outbound.New(outbound.Options{Allow: r.outbound, Local: outbound.IsLoopback(public)})
	defer r.calls.CloseIdleConnections()
	if r.store, err = openStore(ctx, "database", s.database, r.log); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.store.Close()) }()
	if err := r.store.Settle(ctx, false); errors.Is(err, store.ErrMoved) {
		return fmt.Errorf("--database: %w, such as a restored backup: run burnkey restore first", store.ErrMoved)
	} else if err != nil {
		return err
	}
	if err := r.load(ctx); err != nil {
		return err
	}
	handler, err := r.handler()
	if err != nil {
		return err
	}
	defer r.background(ctx)()
	h := httpServer(r.tracer.Handler(handler), r.log)
	h.ConnContext, h.ConnState = publish.StreamConn, noteState
	h.RegisterOnShutdown(func() { close(r.closing) })
	return r.serve(ctx, h, boundConnections(listener, r.proxies, r.metrics, r.log), started)
}

// read checks the flags and reads the files that they name.
func (s *server) read() (*running, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	r := &running{server: s, metrics: newRegistry(), closing: make(chan struct{})}
	var err error
	if r.proxies, err = networks.Parse(s.proxies); err != nil {
		return nil, fmt.Errorf("--trusted-proxies: %w", err)
	}
	if r.outbound, err = networks.Parse(s.outboundAllow); err != nil {
		return nil, fmt.Errorf("--outbound-allow: %w", err)
	}
	if r.clients, err = oidcSecrets(s.oidcSecrets); err != nil {
		return nil, err
	}
	if s.pepperFile != "" {
		if r.pepper, err = readPepper("--pepper-file", s.pepperFile); err != nil {
			return nil, err
		}
	}
	if r.webhook, err = webhookSecret(s.webhookSecretFile); err != nil {
		return nil, fmt.Errorf("--webhook-secret-file: %w", err)
	}
	r.log, err = s.logging.to(s.stderr)
	return r, err
}

// webhookSecret reads the secret from a file. Without a file there is no secret, and webhooks are not signed.
func webhookSecret(file string) (webhook.Secret, error) {
	if file == "" {
		return nil, nil
	}
	text, err := readSecret(file)
	if err != nil {
		return nil, err
	}
	secret, err := webhook.ParseSecret(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return secret, nil
}

// load creates the service, reads the published sets, and prepares the database.
func (r *running) load(ctx context.Context) (err error) {
	r.publisher = publish.NewPublisher(r.store, r.metrics)
	r.service, err = newService(r.store, r.publisher, r.publicURL, r.pepper, r.log, mint.Options{
		Workers: r.mintWorkers, Queue: r.mintQueue, Deadline: r.mintDeadline, Metrics: r.metrics, Log: r.log,
	})
	if err != nil {
		return err
	}
	err = r.publisher.Load(ctx)
	if errors.Is(err, publish.ErrPartly) && r.store.Ping(ctx) == nil {
		// Workspaces with a corrupt set answer 503 until Follow can read the set. All others are served.
		r.log.Error("cannot read the sets of some workspaces; the others are served", "error", err)
		err = nil
	}
	if err != nil {
		return err
	}
	if err := r.bootstrap(ctx, r.service, r.log); err != nil {
		return err
	}
	r.reap(ctx)
	return nil
}

// reap removes keys from the published sets that became due while no server was running, so that they are not
// published again. Each removal is a separate change; if there are very many, the server starts after
// reapTimeout, and service.Reap removes the rest.
func (r *running) reap(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, reapTimeout)
	defer cancel()
	_, err := r.service.ReapDue(limited)
	switch {
	case err != nil && limited.Err() != nil && ctx.Err() == nil:
		r.log.Warn("many keys have expired: some are still published, and are taken out while the server runs")
	case err != nil:
		r.log.Error("some expired keys are still published; trying again", "error", err)
	}
}

func newService(st store.Store, publisher *publish.Publisher, publicURL string, pepper []byte, log *slog.Logger, o mint.Options) (
	*authz.Service, error,
) {
	minter, err := mint.New(o)
	if err != nil {
		return nil, err
	}
	return authz.New(authz.Options{
		Store: st, Minter: minter, Publisher: publisher, PublicURL: publicURL, Pepper: pepper, Log: log, Metrics: o.Metrics,
	}), nil
}

func (r *running) handler() (http.Handler, error) {
	pages, err := portal.New(portal.Options{
		Service: r.service, Publisher: r.publisher, PublicURL: r.publicURL, ClientSecrets: r.clients, Providers: r.calls,
		Metrics: r.metrics, Log: r.log,
	})
	if err != nil {
		return nil, err
	}
	return api.New(api.Options{
		Portal: pages, Service: r.service, Publisher: r.publisher, Metrics: r.metrics, Log: r.log, Version: version,
		TrustedProxies: clientaddr.Proxies(r.proxies), StreamLimits: r.streamLimits(r.log), Closing: r.closing,
		Checks: map[string]api.Check{"database": r.checkDatabase, "shutdown": r.checkShutdown},
	})
}

func (r *running) checkDatabase(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	err := r.store.Ping(ctx)
	if errors.Is(err, postgres.ErrPooler) {
		return postgres.ErrPooler
	}
	if err != nil {
		return fmt.Errorf("the database does not answer; published keys are served as they were %s ago", r.publisher.Age().Round(time.Second))
	}
	return nil
}

func (r *running) checkShutdown(context.Context) error {
	if r.draining.Load() {
		return errors.New("the server is shutting down")
	}
	return nil
}

// background starts the work that does not belong to a request. The work continues after ctx ends, since open
// requests still need it; stop ends it and waits.
func (r *running) background(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var work sync.WaitGroup
	work.Go(func() {
		r.publisher.Follow(ctx, publish.FollowOptions{Every: followEvery, CheckEvery: r.checkEvery, CompactEvery: compactEvery, Log: r.log})
	})
	work.Go(func() { r.service.Reap(ctx, authz.ReapOptions{Log: r.log, Metrics: r.metrics}) })
	work.Go(func() { r.service.RunExchange(ctx, authz.ShiftOptions{Length: r.shift, Log: r.log}) })
	work.Go(func() { r.service.RunUses(ctx, 0, r.log) })
	hooks := webhook.New(webhook.Options{HTTP: r.calls, UserAgent: "burnkey/" + version, Secret: r.webhook})
	work.Go(func() {
		notice.Run(ctx, notice.Options{Store: r.store, Sender: hooks, Now: r.service.Now, Log: r.log, Metrics: r.metrics})
	})
	return func() {
		cancel()
		work.Wait()
	}
}
