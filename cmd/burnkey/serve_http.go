package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/burnkey/burnkey/publish"
)

// streamLimits leaves a quarter of all connections for other requests than change streams.
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
		delay := time.NewTimer(r.drainDelay)
		defer delay.Stop()
		select {
		case <-delay.C:
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
