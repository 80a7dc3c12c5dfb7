package envoy

import (
	"fmt"
	"strconv"
	"strings"
)

// tracesPath is where a collector takes OTLP over HTTP.
const tracesPath = "/v1/traces"

func (c Config) checkTracing() error {
	if c.OTLPEndpoint == "" {
		if c.TraceRatio != nil {
			return fieldError("trace-ratio", "has no effect without --otlp-endpoint")
		}
		return nil
	}
	if c.TraceRatio != nil && !(*c.TraceRatio >= 0 && *c.TraceRatio <= 1) { // false for NaN, too
		return fieldError("trace-ratio", "must be 0 to 1")
	}
	_, _, err := urlAddress("otlp-endpoint", c.OTLPEndpoint)
	return err
}

// byEnvoy is a CEL expression: Envoy itself refused the request, for its form, method, body or upgrade, with or without a key.
// A request that the client broke off has no status.
const byEnvoy = "has(response.code) && response.code >= 400 && response.code < 500 && " +
	"!(response.code_details in ['via_upstream', 'websocket_handshake_unsuccessful'])"

// Decision is a CEL expression for the access log.
func (v *view) Decision() string {
	filter, accepted, refused := "envoy.filters.http.jwt_authn", "burnkey", byEnvoy
	if v.Gateway != nil {
		filter, accepted = "envoy.filters.http.ext_authz", "workspace"
		refused += " || response.code_details == 'ext_authz_error' || " + has(filter, "refused")
	}
	accepts := has(filter, accepted)
	if v.UserIssuer != "" {
		accepts = fmt.Sprintf("(%s || %s)", accepts, has("envoy.filters.http.jwt_authn", "burnkey_user"))
	}
	return fmt.Sprintf("%s || response.code_details.contains('[burnkey-') || response.code_details.startsWith('jwt_authn_access_denied{')"+
		" ? 'refused' : %s ? 'accepted' : 'open'", refused, accepts)
}

// has returns a CEL expression that is true if a filter has set a value in the metadata.
func has(filter, value string) string {
	return fmt.Sprintf("('%[1]s' in metadata.filter_metadata && '%[2]s' in metadata.filter_metadata['%[1]s'])", filter, value)
}

// SampledPercent is the share of requests that begin a trace.
func (v *view) SampledPercent() string {
	if v.TraceRatio == nil {
		return "100"
	}
	return strconv.FormatFloat(*v.TraceRatio*100, 'f', -1, 64)
}

// TracesURL is where Envoy sends spans, and Collector the address. Validate has checked it.
func (v *view) TracesURL() string { return strings.TrimRight(v.OTLPEndpoint, "/") + tracesPath }

func (v *view) Collector() (address, error) {
	a, _, err := urlAddress("otlp-endpoint", v.OTLPEndpoint)
	return a, err
}

// CollectorTLS reports whether the collector is reached by TLS, and CollectorPeer is then its name.
func (v *view) CollectorTLS() bool { return strings.HasPrefix(v.OTLPEndpoint, "https:") }

func (v *view) CollectorPeer() (peer, error) {
	a, err := v.Collector()
	return peer{a.Host, a.IP, DefaultCAFile}, err
}
