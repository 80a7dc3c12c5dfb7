package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/burnkey/burnkey/publish"
)

// streamLimits reserves a quarter of all connections for requests other than change streams.
func (s *server) streamLimits(log *slog.Logger) *publish.StreamLimits {
	readers := max(10, min(s.streamReaders, mostConnections()*3/4))
	if readers < s.streamReaders {
		log.Warn("the limit of open files allows fewer readers of the change streams than --stream-readers", "places", readers)
	}
	limits := publish.StreamPlaces(readers)
	return &limits
}

// httpServer returns a server with limits. Its errors are logged only at level debug, since clients can cause
// them.
func httpServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

func newRegistry() *prometheus.Registry {
	metrics := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "burnkey_build_info", Help: "1; the label is the version of the program.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	metrics.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return metrics
}

// checkAddress returns an error for a flag that is not a HOST:PORT.
func checkAddress(flag, address string) error {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return fmt.Errorf("--%s: must be HOST:PORT", flag)
	}
	return nil
}

// notNegative returns an error if a flag's duration is negative.
func notNegative(flag string, d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("--%s: must not be negative", flag)
	}
	return nil
}

// serve answers requests until the context ends, then drains.
func (r *running) serve(ctx context.Context, h *http.Server, listener net.Listener, started func(string)) error {
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(listener) }()
	r.log.Info("serving", "address", listener.Addr().String(), "public_url", r.publicURL, "version", version)
	started(listener.Addr().String())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	r.draining.Store(true)
	r.log.Info("shutting down")
	if r.drainDelay > 0 {
		select {
		case <-time.After(r.drainDelay):
		case err := <-failed:
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.drainTimeout)
	defer cancel()
	if err := h.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests were still in progress after %s", r.drainTimeout), h.Close())
	}
	return nil
}
