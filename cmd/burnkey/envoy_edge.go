package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/burnkey/burnkey/deploy/envoy"
)

// edgeFlags are the flags for what a gateway does besides verifying keys.
type edgeFlags struct {
	routes, scheme string
	ratio          float64
}

func (e *edgeFlags) flags(cmd *cobra.Command, c *envoy.Config) {
	flags := cmd.Flags()
	flags.StringVar(&e.routes, "routes", "", "`FILE` with the requirements of routes: a routes file, or an OpenAPI 3 document")
	flags.Float64Var(&e.ratio, "trace-ratio", 1,
		"share of requests, 0 to 1, that begin a trace; a request within a sampled trace is always traced")
	flags.StringVar(&e.scheme, "openapi-scheme", "", "`NAME` of the security scheme of keys, if the OpenAPI document has several")
	flags.StringArrayVar(&c.Open, "open", nil,
		"path that needs no key, after an optional list of methods: 'GET /healthz', 'GET,POST /public/*'; may be repeated")
	flags.StringVar(&c.Resource, "resource", "",
		"`URL` of the API: Envoy serves its metadata as a protected resource (RFC 9728), and refusals refer to it (default none)")
	flags.StringVar(&c.UserIssuer, "user-issuer", "",
		"`URL` of the OpenID provider whose tokens, in Authorization, identify users (default none); with --credential header:NAME for keys")
	flags.StringVar(&c.UserJWKS, "user-jwks", "", "`URL` of the provider's keys: its jwks_uri")
	flags.StringSliceVar(&c.UserAudiences, "user-audience", nil, "audience of users' tokens, such as the client's id; may be repeated")
	flags.StringSliceVar(&c.Origins, "cors-origin", nil,
		"`ORIGIN` of pages that browsers let call the API, such as https://app.example.com; may be repeated; * for all")
	flags.StringSliceVar(&c.OriginHeaders, "cors-header", nil, "`NAME` of another request header that these pages may send; may be repeated")
}

// trafficFlags are for all requests that may pass.
func trafficFlags(cmd *cobra.Command, c *envoy.Config) {
	flags := cmd.Flags()
	intervalFlag(flags, &c.Timeout, "timeout", 0, "how long the API may take for an answer (default 1m); a route can have another, or none")
	intervalFlag(flags, &c.IdleTimeout, "idle-timeout", 0, "how long nothing may move on a request or answer (default 5m)")
	flags.StringArrayVar(&c.WebSockets, "websocket", nil, "`PATH` on which clients may upgrade to a WebSocket; may be repeated")
	flags.StringVar(&c.MaxBody, "max-body", "", "largest body of a request, as `SIZE` such as 256KiB or 10MiB (default not limited)")
	flags.StringVar(&c.TLSCert, "tls-cert", "", "`FILE` with the listener's certificate and its chain; with --tls-key")
	flags.StringVar(&c.TLSKey, "tls-key", "", "`FILE` with the certificate's private key")
	flags.BoolVar(&c.UpstreamTLS, "upstream-tls", false, "connect to the API by TLS, and verify its certificate")
	flags.StringVar(&c.UpstreamCA, "upstream-ca", "", "`FILE` with the CA certificates of the API (default the system's)")
	flags.StringVar(&c.UpstreamName, "upstream-name", "", "`HOST` in the API's certificate (default that of --upstream)")
	flags.BoolVar(&c.GRPC, "grpc", false, "the API speaks gRPC: HTTP/2 to the API, gRPC-Web, and gRPC's status codes")
	flags.BoolVar(&c.AccessLog, "access-log", false, "log each request as JSON on standard output: key id, owner, decision, reason, no keys")
	flags.StringVar(&c.OTLPEndpoint, "otlp-endpoint", "",
		"`URL` of an OpenTelemetry collector (OTLP over HTTP), such as http://127.0.0.1:4318 (default no traces)")
	flags.BoolVar(&c.UpstreamHTTP2, "upstream-http2", false, "connect to the API by HTTP/2, also without TLS (h2c)")
}

// kubernetesFlags are for Envoy Gateway.
func kubernetesFlags(flags *pflag.FlagSet, c *envoy.Config) {
	flags.StringSliceVar(&c.Targets, "target", nil,
		"`KIND/NAME` that needs a key, for --format envoy-gateway: the Gateway, and HTTPRoutes or GRPCRoutes to protect only these; "+
			"may be repeated")
	flags.StringVar(&c.Namespace, "namespace", "", "namespace of --target, and of the policies (default \""+envoy.DefaultNamespace+"\")")
}

// set reads the files that the flags name.
func (e *edgeFlags) set(c *envoy.Config) error {
	if e.ratio != 1 {
		c.TraceRatio = &e.ratio
	}
	if e.routes == "" {
		if e.scheme != "" {
			return errors.New("--openapi-scheme: is for --routes")
		}
		return nil
	}
	file, err := os.Open(e.routes)
	if err != nil {
		return fmt.Errorf("--routes: %w", err)
	}
	defer func() { _ = file.Close() }()
	if c.Routes, err = envoy.ReadRoutes(file, e.scheme); err != nil {
		return fmt.Errorf("--routes: %s: %w", e.routes, err)
	}
	return nil
}
