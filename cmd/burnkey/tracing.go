package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/spf13/pflag"

	"github.com/burnkey/burnkey/internal/traces"
)

// tracing is the configuration of OpenTelemetry traces.
type tracing struct {
	endpoint string
	ratio    float64
}

func (t *tracing) flags(flags *pflag.FlagSet) {
	flags.StringVar(&t.endpoint, "otlp-endpoint", "",
		"`URL` of an OpenTelemetry collector (OTLP over HTTP), such as http://127.0.0.1:4318 (default no traces)")
	flags.Float64Var(&t.ratio, "trace-ratio", 1,
		"share of requests, 0 to 1, that begin a trace; a request within a sampled trace is always traced")
}

// validate checks the flags.
func (t *tracing) validate() error {
	switch {
	case !(t.ratio >= 0 && t.ratio <= 1): // false for NaN, too
		return fmt.Errorf("--trace-ratio: must be 0 to 1")
	case t.endpoint == "" && t.ratio != 1:
		return fmt.Errorf("--trace-ratio: has no effect without --otlp-endpoint")
	case t.endpoint == "":
		return nil
	}
	if err := traces.CheckEndpoint(t.endpoint); err != nil {
		return fmt.Errorf("--otlp-endpoint: %w", err)
	}
	return nil
}

// tracer returns nil if there is no endpoint.
func (t *tracing) tracer(ctx context.Context, service string, log *slog.Logger) (*traces.Tracer, error) {
	if t.endpoint == "" {
		return nil, nil
	}
	tracer, err := traces.New(ctx, traces.Options{Endpoint: t.endpoint, Ratio: t.ratio, Service: service, Version: version, Log: log})
	if err != nil {
		return nil, fmt.Errorf("--otlp-endpoint: %w", err)
	}
	return tracer, nil
}
