package envoy

import (
	"cmp"
	"strings"

	"github.com/burnkey/burnkey/jwks"
)

// checkEnvoyGateway refuses what Envoy Gateway cannot do, or does by other resources.
func (c Config) checkEnvoyGateway() error {
	const (
		ofGateway = ": it is a setting of the Gateway or of its EnvoyProxy"
		ofRoute   = ": it is a setting of the HTTPRoute or GRPCRoute"
	)
	for _, f := range []struct {
		flag   string
		set    bool
		detail string
	}{
		{"listen", c.Listen != "", ofGateway},
		{"upstream", c.Upstream != "", ofRoute},
		{"admin", c.Admin != "", ofGateway},
		{"tls-cert", c.TLSCert+c.TLSKey != "", ofGateway},
		{"upstream-tls", c.UpstreamTLS, ": use a BackendTLSPolicy"},
		{"upstream-http2", c.UpstreamHTTP2, ": set appProtocol in the Service"},
		{"grpc", c.GRPC, ": name a GRPCRoute in --target"},
		{"websocket", len(c.WebSockets) > 0, ": HTTPRoutes let clients upgrade"},
		{"access-log", c.AccessLog, ofGateway},
		{"otlp-endpoint", c.OTLPEndpoint != "", ofGateway},
		{"open", len(c.Open) > 0, ": give the path an HTTPRoute of its own, and name only the others in --target"},
		{"resource", c.Resource != "", ": a policy cannot serve the metadata; serve it by an HTTPRoute of its own"},
		{"user-issuer", c.UserIssuer != "", ": a policy accepts a key or a user's token, and cannot require both"},
		{"limits", len(c.SignedLimits)+len(c.LimitServices) > 0, ": its rate limits ignore those of keys; use --mode gateway"},
		{"strip-authorization", c.StripAuthorization, ": let the HTTPRoute's filter RequestHeaderModifier remove the header"},
		{"ca-file", c.CAFile != "", ": add a ConfigMap as caCertificateRefs to the Backend that is printed"},
		{"service-name", c.ServiceName != "", ": it is for ESPv2's document"},
		{"trusted-hops", c.TrustedHops > 0 && len(c.Gateways) > 0, " in mode gateway: the service gets only the address of the connection"},
	} {
		if f.set {
			return fieldError(f.flag, "is not possible with --format envoy-gateway%s", f.detail)
		}
	}
	return cmp.Or(c.checkEnvoyGatewaySizes(), c.checkEnvoyGatewayPlaces(), c.checkEnvoyGatewayRoutes())
}

func (c Config) checkEnvoyGatewaySizes() error {
	switch {
	case len(c.Workspaces) > MaxProviders:
		return fieldError("workspace", "may be given at most %d times with --format envoy-gateway, not %d; --mode gateway has no limit",
			MaxProviders, len(c.Workspaces))
	case len(c.Audiences) > maxAudiences:
		return fieldError("audience", "may be given at most %d times with --format envoy-gateway, not %d", maxAudiences, len(c.Audiences))
	case c.Namespace != "" && (!kubernetesName.MatchString(c.Namespace) || strings.Contains(c.Namespace, ".") || len(c.Namespace) > 63):
		return fieldError("namespace", "must be the name of a namespace, not %q", c.Namespace)
	}
	for _, o := range c.Origins {
		if strings.Contains(o, "[") {
			return fieldError("cors-origin", "must not be an IPv6 address with --format envoy-gateway, unlike %q", o)
		}
	}
	return nil
}

func (c Config) checkEnvoyGatewayPlaces() error {
	if len(c.Gateways) > 0 {
		return nil
	}
	const pull = " is not possible with --mode pull --format envoy-gateway"
	switch all := c.Places.All(); {
	case len(all) > 1:
		return fieldError("credential", "must be one place with --mode pull --format envoy-gateway: "+
			"Envoy would accept two different keys in one request")
	case all[0].Form == jwks.InAPIKey:
		return fieldError("credential", "apikey"+pull+": Envoy compares the scheme case-sensitively")
	case all[0].Form == jwks.InBasic:
		return fieldError("credential", "basic"+pull+": Envoy does not decode base64")
	case all[0].Form == jwks.InQuery:
		return fieldError("credential", "query"+pull+": the parameter would reach the API")
	}
	return nil
}

func (c Config) checkEnvoyGatewayRoutes() error {
	for _, r := range c.Routes {
		field := ""
		switch {
		case r.Open:
			field = "open"
		case r.Timeout != 0:
			field = "timeout"
		case r.IdleTimeout != 0:
			field = "idle_timeout"
		case r.Stream:
			field = "stream"
		case r.WebSocket:
			field = "websocket"
		case r.MaxBody != "":
			field = "max_body"
		default:
			continue
		}
		return fieldError("routes", "%s: %s is not possible with --format envoy-gateway: give the path an HTTPRoute of its own, "+
			"with policies of its own", r, field)
	}
	return nil
}

// checkNoTargets is for the formats that are not for Kubernetes.
func (c Config) checkNoTargets() error {
	switch {
	case len(c.Targets) > 0:
		return fieldError("target", "is for --format envoy-gateway")
	case c.Namespace != "":
		return fieldError("namespace", "is for --format envoy-gateway")
	}
	return nil
}
