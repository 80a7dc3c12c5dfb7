package envoy

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// AnyOrigin is the origin that stands for all.
const AnyOrigin = "*"

// MaxOrigins is the maximum number of Origins, and of OriginHeaders.
const MaxOrigins = 100

// Headers that pages of other origins can send and read. Browsers never let them read Authorization of a request.
var (
	corsMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
	corsRequest = []string{"Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Traceparent"}
	corsAnswer  = []string{
		"RateLimit", "RateLimit-Policy", "Retry-After", "WWW-Authenticate", "Deprecation", "Sunset", "X-Key-Status",
		"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset",
	}
	grpcRequest = []string{"Grpc-Timeout", "X-Grpc-Web", "X-User-Agent"}
	grpcAnswer  = []string{"Grpc-Status", "Grpc-Message", "Grpc-Status-Details-Bin"}
)

var (
	origin      = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?$`)
	defaultPort = regexp.MustCompile(`^(https:.*:443|http:.*:80)$`) // browsers leave it out
	headerName  = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$")
)

func (c Config) checkCORS() error {
	switch {
	case len(c.Origins) > MaxOrigins:
		return fieldError("cors-origin", "may be given at most %d times, not %d", MaxOrigins, len(c.Origins))
	case len(c.OriginHeaders) > MaxOrigins:
		return fieldError("cors-header", "may be given at most %d times, not %d", MaxOrigins, len(c.OriginHeaders))
	case len(c.OriginHeaders) > 0 && len(c.Origins) == 0:
		return fieldError("cors-header", "is for --cors-origin")
	case len(c.Origins) > 1 && slices.Contains(c.Origins, AnyOrigin):
		return fieldError("cors-origin", "%s cannot be combined with other origins", AnyOrigin)
	}
	for i, o := range c.Origins {
		if o != AnyOrigin && (!origin.MatchString(o) || defaultPort.MatchString(o)) {
			return fieldError("cors-origin", "must be an origin as browsers send it, such as https://app.example.com "+
				"(in lower case, without a path, and without the port if it is the default), or %s for all, not %q", AnyOrigin, o)
		}
		if slices.Contains(c.Origins[:i], o) {
			return fieldError("cors-origin", "%q is given twice", o)
		}
	}
	for _, h := range c.OriginHeaders {
		if !headerName.MatchString(h) {
			return fieldError("cors-header", "must be the name of a header, not %q", h)
		}
	}
	return nil
}

// CORSHeaders are those of requests, for Access-Control-Allow-Headers.
func (v *view) CORSHeaders() string {
	all := slices.Clone(corsRequest)
	if v.GRPC {
		all = append(all, grpcRequest...)
	}
	for _, h := range append(v.Places.HeaderNames(), v.OriginHeaders...) {
		if h = http.CanonicalHeaderKey(h); !slices.Contains(all, h) {
			all = append(all, h)
		}
	}
	return strings.Join(all, ", ")
}

// CORSMethods are for Access-Control-Allow-Methods, and CORSExposed for Access-Control-Expose-Headers.
func (v *view) CORSMethods() string { return strings.Join(corsMethods, ", ") }

func (v *view) CORSExposed() string {
	if v.GRPC {
		return strings.Join(append(slices.Clone(corsAnswer), grpcAnswer...), ", ")
	}
	return strings.Join(corsAnswer, ", ")
}

// OriginPattern is an expression for the allowed origins.
func (v *view) OriginPattern() string {
	if slices.Contains(v.Origins, AnyOrigin) {
		return ".+"
	}
	return alternatives(v.Origins)
}
