package envoy

import (
	"cmp"
	"time"
)

// Edge is what the gateway does besides verifying keys. Bootstrap renders all of it; Filter renders the filters and the
// routes, and says in its comments what the listener needs. ESPv2 has none of it.
type Edge struct {
	// Routes have requirements or settings of their own. All other requests need a valid key.
	Routes []Route
	// Open are requests without a key: a path after an optional list of methods, such as "GET,POST /login". Without
	// methods, only GET is open. A path that ends in /* also matches everything below.
	Open []string

	// Resource is the URL of the API. Unless it is empty, Envoy serves the API's metadata as a protected resource (RFC 9728), to
	// which refusals refer.
	Resource string

	// UserIssuer is the OpenID provider whose tokens, in Authorization, identify users; its keys are at UserJWKS, and tokens
	// must be for one of UserAudiences. Places must then be one header. If empty, only keys are verified.
	UserIssuer, UserJWKS string
	UserAudiences        []string

	// Origins are those of the pages that browsers let call the API (CORS): exact ones, or AnyOrigin alone. Cookies are never
	// allowed, since a key is sent explicitly. OriginHeaders are request headers that such pages may send, besides the usual ones.
	Origins, OriginHeaders []string

	// Timeout is that of a whole answer, and IdleTimeout that of a stream on which nothing moves. If zero, they are
	// DefaultTimeout and DefaultIdleTimeout.
	Timeout, IdleTimeout time.Duration
	// WebSockets are paths on which clients may upgrade to a WebSocket.
	WebSockets []string
	// MaxBody is the largest body of a request, such as 1MiB; larger ones get 413. If empty, bodies are not limited.
	MaxBody string

	// TLSCert and TLSKey are files in PEM, for TLS on the listener.
	TLSCert, TLSKey string
	// UpstreamTLS connects to the API by TLS, and verifies that UpstreamCA (by default the system's) signed a certificate for
	// UpstreamName (by default the host of Upstream).
	UpstreamTLS              bool
	UpstreamCA, UpstreamName string
	// UpstreamHTTP2 connects to the API by HTTP/2, without TLS by prior knowledge (h2c).
	UpstreamHTTP2 bool
	// GRPC is for an API of gRPC: UpstreamHTTP2, clients of gRPC-Web, and 429 as RESOURCE_EXHAUSTED.
	GRPC bool

	// AccessLog logs each request as JSON on standard output, without keys.
	AccessLog bool
	// OTLPEndpoint is the URL of an OpenTelemetry collector that takes OTLP over HTTP. TraceRatio is the share of requests that
	// begin a trace; if nil, all do.
	OTLPEndpoint string
	TraceRatio   *float64
}

// checkEdge checks Edge; its error is a *FieldError.
func (c Config) checkEdge() error {
	_, err := c.allRoutes()
	if _, size := parseSize(c.MaxBody); size != nil {
		return fieldError("max-body", "%v", size)
	}
	return cmp.Or(err, c.checkResource(), c.checkUser(), c.checkCORS(), checkTimeout("timeout", c.Timeout),
		checkTimeout("idle-timeout", c.IdleTimeout), c.checkTLS(), c.checkTracing())
}

// edgeFlag returns the flag of a part of Edge that is set.
func (c Config) edgeFlag() string {
	if flag := c.listenerFlag(); flag != "" {
		return flag
	}
	for _, f := range []struct {
		flag string
		set  bool
	}{
		{"routes", len(c.Routes) > 0},
		{"open", len(c.Open) > 0},
		{"resource", c.Resource != ""},
		{"user-issuer", c.UserIssuer != ""},
		{"cors-origin", len(c.Origins) > 0},
		{"timeout", c.Timeout != 0},
		{"websocket", len(c.WebSockets) > 0},
		{"max-body", c.MaxBody != ""},
		{"grpc", c.GRPC},
		{"access-log", c.AccessLog},
		{"otlp-endpoint", c.OTLPEndpoint != ""},
	} {
		if f.set {
			return f.flag
		}
	}
	return ""
}

// listenerFlag is like edgeFlag, for the parts that are neither in a filter nor in a route.
func (c Config) listenerFlag() string {
	for _, f := range []struct {
		flag string
		set  bool
	}{
		{"idle-timeout", c.IdleTimeout != 0},
		{"tls-cert", c.TLSCert != ""},
		{"upstream-tls", c.UpstreamTLS},
		{"upstream-http2", c.UpstreamHTTP2},
	} {
		if f.set {
			return f.flag
		}
	}
	return ""
}
