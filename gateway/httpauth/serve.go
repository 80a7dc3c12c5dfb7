// Package httpauth serves the decisions of a gateway.Gateway to proxies that ask about each request by HTTP: nginx
// (auth_request), HAProxy, Traefik (ForwardAuth) and Caddy (forward_auth).
package httpauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/burnkey/burnkey/gateway"
	"github.com/burnkey/burnkey/internal/traces"
)

// Paths of the calls.
const (
	// PathCheck is answered with the status, headers and body for the client if its request is refused.
	PathCheck = "/check"
	// PathNginx is answered with 401 or 403 if the request is refused, and with the rest in headers.
	PathNginx = "/auth_request"
	// PathReady says whether the Gateway is ready.
	PathReady = "/readyz"
)

// MaxHeader is the maximum size of a call in bytes. The proxy sends the headers of the client's request.
const MaxHeader = 64 << 10

const (
	callTimeout = 10 * time.Second
	idleTimeout = 2 * time.Minute // longer than proxies keep connections, so that they close them
)

// Options configure a Server.
type Options struct {
	// AddressHeader is the header in which the proxy sends the client's address. Clients must not be able to set it. If
	// empty, the address is unknown: the peer is the proxy.
	AddressHeader string
	Log           *slog.Logger
	Metrics       Metrics
	Tracer        *traces.Tracer // nil: none
}

// Metrics count what a Server does.
type Metrics interface {
	Decided(reason string, took time.Duration)
	Panicked()
}

// A Server answers proxies. It is safe for concurrent use.
type Server struct {
	gateway *gateway.Gateway
	o       Options
}

// New returns a Server that serves g's decisions.
func New(g *gateway.Gateway, o Options) *Server { return &Server{g, o} }

// Serve answers on l until ctx ends, and then waits up to drain for calls in progress.
func (s *Server) Serve(ctx context.Context, l net.Listener, drain time.Duration) error {
	h := &http.Server{
		Handler: s, ReadTimeout: callTimeout, WriteTimeout: callTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: MaxHeader,
		ErrorLog: slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	err := h.Shutdown(ctx)
	_ = h.Close()
	if end := <-failed; !errors.Is(end, http.ErrServerClosed) {
		return end
	}
	if err != nil && drain > 0 {
		return fmt.Errorf("calls were still in progress after %s", drain)
	}
	return nil
}

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer s.recoverPanic(w, r)
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close") // or the server would wait for a body that few proxies send
	}
	switch r.URL.Path {
	case PathCheck:
		s.check(w, r, refuse)
	case PathNginx:
		s.check(w, r, refuseNginx)
	case PathReady:
		s.ready(w)
	default:
		http.NotFound(w, r)
	}
}

func (s *Server) ready(w http.ResponseWriter) {
	if err := s.gateway.Ready(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// recoverPanic limits the effect of a panic to one call. The proxy then refuses the request.
func (s *Server) recoverPanic(w http.ResponseWriter, r *http.Request) {
	if fault := recover(); fault != nil {
		s.o.Metrics.Panicked()
		s.o.Log.ErrorContext(r.Context(), "panic", "fault", fmt.Sprintf("%T", fault), "stack", string(debug.Stack()))
		w.WriteHeader(http.StatusInternalServerError)
	}
}
