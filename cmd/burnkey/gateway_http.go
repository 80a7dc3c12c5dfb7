package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"time"

	"github.com/spf13/pflag"

	"github.com/burnkey/burnkey/gateway/httpauth"
	"github.com/burnkey/burnkey/internal/traces"
)

// httpDoor is the configuration of the decisions that burnkey gateway serves by HTTP.
type httpDoor struct{ listen, addressHeader string }

func (h *httpDoor) define(flags *pflag.FlagSet) {
	flags.StringVar(&h.listen, "listen-http", "",
		"`HOST:PORT` to listen on for proxies that ask by HTTP: nginx, HAProxy, Caddy and others (default none)")
	flags.StringVar(&h.addressHeader, "http-client-address-header", "",
		"`HEADER` in which these proxies send the client's address, and which clients can't set (default none: the address is unknown)")
}

var addressHeaderName = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// validate checks the flags.
func (h *httpDoor) validate() error {
	switch {
	case h.listen == "" && h.addressHeader != "":
		return errors.New("--http-client-address-header: has no effect without --listen-http")
	case h.listen == "":
		return nil
	case h.addressHeader != "" && !addressHeaderName.MatchString(h.addressHeader):
		return fmt.Errorf("--http-client-address-header: must match %s", addressHeaderName)
	}
	return checkAddress("listen-http", h.listen)
}

// open returns the listener, or nil without --listen-http.
func (h *httpDoor) open() (net.Listener, error) {
	if h.listen == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", h.listen)
	if err != nil {
		return nil, fmt.Errorf("--listen-http: %w", err)
	}
	return l, nil
}

func (h *httpDoor) options(log *slog.Logger, metrics httpauth.Metrics, tracer *traces.Tracer) httpauth.Options {
	return httpauth.Options{AddressHeader: h.addressHeader, Log: log, Metrics: metrics, Tracer: tracer}
}

// A door serves the decisions of a gateway over one protocol.
type door struct {
	server interface {
		Serve(ctx context.Context, l net.Listener, drain time.Duration) error
	}
	listener net.Listener
}

// serveAll serves until ctx ends or a door fails, and then drains all doors.
func serveAll(ctx context.Context, drain time.Duration, doors ...door) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan error, len(doors))
	for _, d := range doors {
		go func() { results <- d.server.Serve(ctx, d.listener, drain) }()
	}
	var err error
	for range doors {
		err = errors.Join(err, <-results)
		cancel()
	}
	return err
}
